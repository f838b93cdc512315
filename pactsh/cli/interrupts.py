"""Ctrl-C in `pact`: the first is told to whoever asked for it, or is a `KeyboardInterrupt`; a second ends the program.

Python's own handler raises wherever the program is: in the middle of its tidying up, or of the interpreter's end, where
nothing can catch it and complaints are printed. So the second one raises nothing at all: it ends the process.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, TypeVar

T = TypeVar("T")

INTERRUPTED = 130


class _Handler:
    """Of SIGINT, for the whole process. `told` is who hears of the first; None: it raises."""

    def __init__(self) -> None:
        self.told: Callable[[], None] | None = None
        self.came = False

    def __call__(self, _number: int, _frame: FrameType | None) -> None:
        if self.came:
            os._exit(INTERRUPTED)
        self.came = True
        if self.told is None:
            raise KeyboardInterrupt
        self.told()


def install() -> None:
    """Take SIGINT over, for good, where Python has it: it may be ignored (nohup), or somebody's who embeds us."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _Handler())


@contextmanager
def telling(told: Callable[[], None]) -> Iterator[None]:
    """In the block the first Ctrl-C calls `told`, in the middle of whatever runs. Of blocks in each other the inner
    one hears of it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler and not isinstance(before, _Handler):
        yield
        return
    handler = before if isinstance(before, _Handler) else _Handler()
    outer, handler.told = handler.told, told
    if handler is not before:
        signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        handler.told = outer
        if handler is not before:
            signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def held() -> Iterator[None]:
    """The first Ctrl-C in the block is raised at its end: what it does is not to be left half done."""
    came = False

    def hold() -> None:
        nonlocal came
        came = True

    with telling(hold):
        yield
    if came:
        raise KeyboardInterrupt


def run(main: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run`. The first Ctrl-C cancels `main`, which may tidy up, and raises `KeyboardInterrupt`."""
    with held(), asyncio.Runner() as runner:
        return run_in(runner, lambda: main)


def run_in(runner: asyncio.Runner, main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """The same in a runner that is used again. From before there is a coroutine until the loop has stopped nothing is
    raised in between, which would leave one that nobody ends."""
    came = False
    cancel: Callable[[], object] | None = None

    def interrupt() -> None:
        nonlocal came
        came = True
        if cancel is not None:
            cancel()

    async def cancellable() -> T:
        nonlocal cancel
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        cancel = lambda: loop.call_soon_threadsafe(task.cancel)  # noqa: E731  it is handed over
        if came:
            task.cancel()
        try:
            return await main()
        finally:
            cancel = None

    try:
        with telling(interrupt):
            found = runner.run(cancellable())
    except asyncio.CancelledError:
        if not came:
            raise
    if came:
        raise KeyboardInterrupt
    return found
