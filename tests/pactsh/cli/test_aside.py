"""Questions aside: at the same time, bounded, in nobody's way."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from pactsh.cli.aside import Aside
from pactsh.errors import AuthError, UnreachableError


def test_an_answer_and_an_error_come_back() -> None:
    assert Aside("it", lambda: 42, 5).answer() == 42

    def refuse() -> int:
        raise AuthError("no")

    asked = Aside("it", refuse, 5)
    assert isinstance(asked.outcome(), AuthError)
    with pytest.raises(AuthError, match="no"):
        asked.answer()

    def fail() -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):  # nothing that is hidden as an outcome
        Aside("it", fail, 5).outcome()


def test_several_are_asked_at_the_same_time() -> None:
    together = threading.Barrier(3)
    asked = [Aside("it", lambda: together.wait(timeout=30), 30) for _ in range(3)]
    assert sorted(one.answer() for one in asked) == [0, 1, 2]


def test_one_that_does_not_answer_is_not_waited_for_longer() -> None:
    never = threading.Event()
    try:
        with pytest.raises(UnreachableError, match=r"lattice did not answer within 0\.1 s"):
            Aside("lattice", never.wait, 0.1).answer()
    finally:
        never.set()


def test_a_question_that_hangs_does_not_hold_up_the_end_of_the_program() -> None:
    code = (
        "import threading\nfrom pactsh.cli.aside import Aside\n"
        "Aside('it', threading.Event().wait, 0.1).outcome()\nprint('over')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert (done.stdout, done.stderr) == ("over\n", "")
