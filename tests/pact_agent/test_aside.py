"""Work aside: values and errors come back, and what hangs holds nobody up for longer than its limit."""

from __future__ import annotations

import asyncio
import threading

import pytest
from pact_agent import aside as module
from pact_agent.aside import aside

from pactsh.errors import PactError


def test_values_and_errors_come_back() -> None:
    assert asyncio.run(aside(5, "counting", lambda: 42)) == 42
    with pytest.raises(ZeroDivisionError):
        asyncio.run(aside(5, "dividing", lambda: 1 // 0))


def test_what_hangs_is_given_up_and_does_not_hinder_others_or_the_end() -> None:
    """More of it than asyncio's own pool has threads; the loop ends with all of it still hanging."""
    release = threading.Event()

    async def go() -> int:
        hanging = [asyncio.create_task(aside(0.05, "reading", release.wait)) for _ in range(40)]
        answers = await asyncio.gather(*hanging, return_exceptions=True)
        assert all(isinstance(a, PactError) and "reading took too long" in a.message for a in answers)
        return await aside(5, "counting", lambda: 42)

    try:
        assert asyncio.run(go()) == 42
    finally:
        release.set()


def test_there_is_a_bound_on_what_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_STUCK", 0)
    with pytest.raises(PactError, match="already waits"):
        asyncio.run(aside(5, "counting", lambda: 42))


def test_a_cancellation_is_not_lost_when_the_answer_comes_at_the_same_moment() -> None:
    async def go() -> None:
        task = asyncio.create_task(aside(5, "counting once", lambda: 42))
        await asyncio.sleep(0)
        for thread in threading.enumerate():
            if thread.name == "aside: counting once":
                thread.join()
        asyncio.get_running_loop().call_soon(task.cancel)  # right behind the answer
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(go())
