"""Everything that looks like success at PCS and is none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pactsh.delegates.openchami.http import Http, trust
from pactsh.delegates.openchami.pcs import Pcs
from pactsh.delegates.openchami.places import places_of
from pactsh.delegates.openchami.waiting import Pace
from pactsh.errors import AuthError, ConflictError, PactError, UnreachableError
from tests.openchami import Openchami
from tests.openchami.serving import Answer, Call, Server
from tests.pactsh.delegates.openchami.asking import LIMIT_S, QUICK, fails, settings
from tests.pactsh.delegates.openchami.conftest import NODE


@contextmanager
def pcs(site: Openchami, *, pace: Pace = QUICK, timeout_s: float = LIMIT_S, url: str | None = None) -> Iterator[Pcs]:
    given = settings(site, pcs_url=url)
    with Http(trust("openchami_ca", None), timeout_s=timeout_s, token=given.token) as http:
        yield Pcs(http, places_of(given).pcs, pace)


def restart(site: Openchami, xname: str = NODE, *, pace: Pace = QUICK) -> list[str]:
    """Restart it; returns what was told meanwhile."""
    told: list[str] = []
    with pcs(site, pace=pace) as asked:
        asked.transit(xname, "soft-restart", told.append)
    return told


def test_a_transition_is_followed_step_by_step(site: Openchami) -> None:
    assert restart(site) == [
        f"{NODE}: soft-restart",
        f"{NODE}: Gathering data",
        f"{NODE}: Applying transition, Soft-Restart",
        f"{NODE}: Confirming successful transition, Soft-Restart",
        f"{NODE}: Transition confirmed, Soft-Restart",
    ]
    [begun] = site.asked("POST")
    assert begun.body == {"operation": "soft-restart", "location": [{"xname": NODE}]}


@pytest.mark.parametrize("error", ["Unable to reserve component", "Xname not found in HSM"])
def test_a_task_that_failed_in_what_is_completed(site: Openchami, error: str) -> None:
    site.task_error = error
    failed = fails(lambda: restart(site))
    assert failed.message == f"soft-restart of {NODE} failed: Failed to achieve transition: {error}"
    assert ("SMD" in failed.hint) == ("reserve" in error)


def test_an_xname_that_pcs_does_not_know_is_taken_first_and_fails_later(site: Openchami) -> None:
    assert "Missing xname" in fails(lambda: restart(site, "x1000c0s0b0n9")).message


def test_a_restart_of_what_is_off_fails(site: Openchami) -> None:
    site.nodes[NODE].power = "off"
    assert "wrong power state" in fails(lambda: restart(site)).message


def test_what_a_bmc_does_not_offer(site: Openchami) -> None:
    site.unsupported = True
    error = fails(lambda: restart(site))
    assert "is not possible: Unsupported for transition operation Soft-Restart" in error.message


def test_somebody_aborts_it(site: Openchami) -> None:
    site.aborted = True
    assert "was aborted" in fails(lambda: restart(site), ConflictError).message


def test_a_record_that_is_gone_tells_nothing(site: Openchami) -> None:
    site.forgets = True
    error = fails(lambda: restart(site))
    assert "what came of it is not known" in error.message
    assert error.hint == "look at the node before you repeat it"


def test_a_gateway_that_hiccups_meanwhile_is_no_failure(site: Openchami) -> None:
    site.flaky = QUICK.lost - 1
    assert restart(site)[-1] == f"{NODE}: Transition confirmed, Soft-Restart"


def test_a_gateway_that_stays_away_is(site: Openchami) -> None:
    site.flaky = 100
    error = fails(lambda: restart(site), UnreachableError)
    assert "power control service not reachable" in error.message
    assert "it goes on without pact" in error.hint


def test_waiting_has_an_end(site: Openchami) -> None:
    site.never_ends = True
    error = fails(lambda: restart(site, pace=Pace(limit_s=0.2, first_s=0.01)), UnreachableError)
    assert error.message == f"soft-restart of {NODE} is not over after 0.2 s"
    assert f"{site.url}/power-control/v1/transitions/" in error.hint


@pytest.mark.parametrize("how", ["html404", "html503"])
def test_a_gateway_without_pcs(site: Openchami, how: str) -> None:
    site.trouble["pcs"] = how
    for deed in (lambda: restart(site), lambda: is_on(site)):
        error = fails(deed, UnreachableError)
        assert f"power control service not reachable at {site.url}/power-control/v1" in error.message
        assert "openchami_pcs_url" in error.hint or "look before you repeat it" in error.hint


def test_smd_alone_is_no_pcs(site: Openchami) -> None:
    """Its own port answers in plain text."""
    with pcs(site, url=f"{site.url}/hsm/v2/power-control") as asked:
        error = fails(lambda: asked.is_on(NODE), UnreachableError)
    assert "power control service not reachable" in error.message


@pytest.mark.parametrize("how", ["garbage", "list", "huge", "redirect", "problem500", "cut"])
def test_nothing_else_is_taken_for_done(site: Openchami, how: str) -> None:
    site.trouble["pcs"] = how
    for deed in (lambda: restart(site), lambda: is_on(site)):
        with pytest.raises(PactError, match=r"power control service at 127\.0\.0\.1"):
            deed()


def test_a_wrong_token_is_told_in_plain_text(site: Openchami) -> None:
    site.token = "another"
    with pcs(site) as asked:
        site.token = "changed"
        error = fails(lambda: asked.is_on(NODE), AuthError)
    assert "refuses pact: token is unauthorized" in error.message
    assert "another" not in error.message


@pytest.mark.parametrize("id_", ["", "../../x", "a b", "x" * 200])
def test_an_id_that_is_none_is_not_made_a_path(site: Openchami, id_: str) -> None:
    asked: list[Call] = []

    def answer(call: Call) -> Answer:
        asked.append(call)
        return Answer(200, {"transitionID": id_})

    server = Server(answer)
    server.start()
    try:
        with pcs(site, url=f"http://127.0.0.1:{server.server_port}") as here:
            assert "which is no id" in fails(lambda: here.transit(NODE, "on", lambda _text: None)).message
    finally:
        server.end()
    assert [call.method for call in asked] == ["POST"]


@pytest.mark.parametrize(
    "counts",
    [
        {"total": 0, "failed": 0, "succeeded": 0, "un-supported": 0},
        {"total": 2, "failed": 0, "succeeded": 1, "un-supported": 0},
        {"total": 1, "failed": 1, "succeeded": 1, "un-supported": 0},
        {"total": 1, "failed": 0, "succeeded": 1, "un-supported": 1},
        {"total": 1, "failed": 0, "succeeded": 1},
    ],
)
def test_only_what_succeeded_as_a_whole_has(site: Openchami, counts: dict[str, int]) -> None:
    told = {"transitionID": "1-2", "transitionStatus": "completed", "taskCounts": counts}
    server = Server(lambda _call: Answer(200, told))
    server.start()
    try:
        with pcs(site, url=f"http://127.0.0.1:{server.server_port}/v1") as asked:
            fails(lambda: asked.transit(NODE, "on", lambda _text: None))
    finally:
        server.end()


def is_on(site: Openchami) -> bool:
    with pcs(site) as asked:
        return asked.is_on(NODE)


def test_whether_its_power_is_on(site: Openchami) -> None:
    assert is_on(site)
    site.nodes[NODE].power = "off"
    assert not is_on(site)


def test_whether_its_power_is_on_is_not_known(site: Openchami) -> None:
    site.nodes[NODE].manageable = False
    assert "its management is unavailable" in fails(lambda: is_on(site)).message
    del site.nodes[NODE]
    assert "Component not found in component map." in fails(lambda: is_on(site)).message


@pytest.mark.parametrize("status", [None, [], [{"xname": "x1c0s0b0n0", "powerState": "on"}]])
def test_what_is_said_of_others_does_not_count(site: Openchami, status: object) -> None:
    server = Server(lambda _call: Answer(200, {"status": status}))
    server.start()
    try:
        with pcs(site, url=f"http://127.0.0.1:{server.server_port}") as asked:
            assert "does not say whether" in fails(lambda: asked.is_on(NODE)).message
    finally:
        server.end()
