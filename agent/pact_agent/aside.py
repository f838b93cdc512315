"""Work that may hang on a dead mount, done aside in a thread of its own with a time limit.

asyncio's own pool won't do: a few directories on a dead file system would fill it for good,
and the agent would wait for its threads when it ends. These threads are daemons, and there
is a bound on how many may be stuck.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import threading
from collections.abc import Callable
from typing import TypeVar

from pactsh.errors import PactError

MOST_STUCK = 64
_HINT = "is a network file system down?"
_T = TypeVar("_T")
_busy: set[threading.Thread] = set()


async def aside(timeout_s: float, what: str, function: Callable[[], _T]) -> _T:
    """Call `function` in a thread and return its value; what it raises is raised here.

    Raises `PactError`, naming `what`, when it takes longer than `timeout_s` or too many others still hang.
    """
    if len(_busy) >= MOST_STUCK:
        raise PactError(f"{what}: too much already waits for the file system", hint=_HINT)
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[_T] = loop.create_future()

    def work() -> None:
        try:
            value = function()
        except Exception as error:  # noqa: BLE001  the top of a thread: handed over to who waits
            settle = functools.partial(_fail, answer, error)
        else:
            settle = functools.partial(_succeed, answer, value)
        _busy.discard(threading.current_thread())
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(settle)

    thread = threading.Thread(target=work, name=f"aside: {what}", daemon=True)
    _busy.add(thread)
    thread.start()
    try:
        async with asyncio.timeout(timeout_s):
            return await answer
    except TimeoutError:
        raise PactError(f"{what} took too long", hint=_HINT) from None


def busy() -> bool:
    """Whether any of it is still under way, perhaps long after who asked has been told that it took too long."""
    return bool(_busy)


def _succeed(answer: asyncio.Future[_T], value: _T) -> None:
    if not answer.done():
        answer.set_result(value)


def _fail(answer: asyncio.Future[_T], error: Exception) -> None:
    if not answer.done():
        answer.set_exception(error)
