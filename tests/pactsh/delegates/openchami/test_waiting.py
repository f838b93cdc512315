from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from pactsh.delegates.openchami.waiting import Pace, wait
from pactsh.errors import AuthError, NotFoundError, UnreachableError

QUICK = Pace(limit_s=30.0, first_s=0.001, most_s=0.002, lost=3)


def looks(*seen: object) -> Callable[[], str | None]:
    """What is seen one after the other; errors are raised."""
    left: Iterator[object] = iter(seen)

    def look() -> str | None:
        found = next(left)
        if isinstance(found, Exception):
            raise found
        assert found is None or isinstance(found, str)
        return found

    return look


def waits(*seen: object, pace: Pace = QUICK) -> str:
    return wait(looks(*seen), pace, what="reboot of n", hint="look")


def test_it_looks_until_there_is_something() -> None:
    assert waits(None, None, "done", "more") == "done"


def test_a_look_that_nobody_answers_is_made_up_for_by_the_next() -> None:
    gone = UnreachableError("PCS not reachable")
    assert waits(gone, gone, None, gone, gone, "done") == "done"


def test_too_many_of_them_in_a_row_are_the_answer() -> None:
    gone = UnreachableError("PCS not reachable")
    with pytest.raises(UnreachableError, match="reboot of n: PCS not reachable") as caught:
        waits(gone, gone, gone, "done")
    assert caught.value.hint == "look"


def test_any_other_error_ends_it() -> None:
    with pytest.raises(NotFoundError):
        waits(None, NotFoundError("no"), "done")


def test_a_token_that_ends_meanwhile_does_not_end_the_deed() -> None:
    with pytest.raises(AuthError, match="reboot of n has begun, but PCS refuses pact: token is expired") as caught:
        waits(None, AuthError("PCS refuses pact: token is expired", hint="set it"))
    assert caught.value.hint == "look"


def test_it_ends_when_time_is_up() -> None:
    with pytest.raises(UnreachableError, match=r"reboot of n is not over after 0\.01 s") as caught:
        wait(lambda: None, Pace(limit_s=0.01, first_s=0.001), what="reboot of n", hint="it goes on")
    assert caught.value.hint == "it goes on"


def test_no_two_looks_are_more_than_five_seconds_apart() -> None:
    assert Pace().most_s <= 5
