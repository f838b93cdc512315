"""Ctrl-C: the first is told, or raises; the second ends the process without a word, whatever it is in."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap

import pytest

from pactsh.cli.interrupts import INTERRUPTED

_BEFORE = """
import asyncio, os, signal, sys, time
from pactsh.cli import interrupts
from pactsh.cli.stepping import stepwise
me = lambda: os.kill(os.getpid(), signal.SIGINT)
interrupts.install()
"""
_LATE = """
class Late:
    def __del__(self):
        me(); time.sleep(30)
late = Late()
try:
    me(); time.sleep(30)
except KeyboardInterrupt:
    pass
"""


def ran(script: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-c", _BEFORE + textwrap.dedent(script)], capture_output=True, text=True, timeout=60
    )
    return done.returncode, done.stdout, done.stderr


def test_the_first_raises_where_nobody_asked_for_it() -> None:
    script = """
        try:
            me(); time.sleep(30)
        except KeyboardInterrupt:
            print("told")
    """
    assert ran(script) == (0, "told\n", "")


@pytest.mark.parametrize(
    "where",
    [
        "try:\n    me(); time.sleep(30)\nfinally:\n    me(); time.sleep(30)",
        "try:\n    me(); time.sleep(30)\nexcept KeyboardInterrupt:\n    me(); time.sleep(30)",
        _LATE,
    ],
    ids=["finally", "except", "the interpreter's end"],
)
def test_the_second_ends_it_wherever_it_is(where: str) -> None:
    status, _, errors = ran(where)
    assert status in {INTERRUPTED, -signal.SIGINT}  # the latter where the interpreter has let go of its handlers
    assert errors == ""


def test_a_task_is_cancelled_and_may_tidy_up() -> None:
    script = """
        async def main():
            try:
                me(); await asyncio.sleep(30)
            finally:
                await asyncio.sleep(0); print("tidy")
        try:
            interrupts.run(main())
        except KeyboardInterrupt:
            print("over")
    """
    assert ran(script) == (0, "tidy\nover\n", "")


def test_a_task_that_does_not_end_is_ended_by_the_second() -> None:
    script = """
        async def main():
            try:
                me(); await asyncio.sleep(30)
            finally:
                me(); await asyncio.sleep(30)
        interrupts.run(main())
    """
    assert ran(script) == (INTERRUPTED, "", "")


def test_an_iterator_is_closed_where_its_caller_was_interrupted() -> None:
    script = """
        async def items():
            try:
                yield 1
                yield 2
            finally:
                print("closed")
        try:
            for item in stepwise(items()):
                me(); time.sleep(30)
        except KeyboardInterrupt:
            print("over")
    """
    status, out, errors = ran(script)
    assert (status, sorted(out.split()), errors) == (0, ["closed", "over"], "")


def test_a_task_that_is_cancelled_by_others_is_no_interrupt() -> None:
    script = """
        async def main():
            asyncio.current_task().cancel()
            await asyncio.sleep(30)
        try:
            interrupts.run(main())
        except asyncio.CancelledError:
            print("cancelled")
    """
    assert ran(script) == (0, "cancelled\n", "")


def test_who_is_told_has_it_alone_and_the_outer_one_again_afterwards() -> None:
    script = """
        with interrupts.telling(lambda: print("outer")):
            with interrupts.telling(lambda: print("inner")):
                pass
            me()
    """
    assert ran(script) == (0, "outer\n", "")


def test_an_ignored_signal_stays_ignored() -> None:
    command = [sys.executable, "-c", _BEFORE + "me(); me(); print('alive')"]
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    finally:
        signal.signal(signal.SIGINT, before)
    assert (done.returncode, done.stdout) == (0, "alive\n")
