"""An asynchronous iterator for a caller that is not: it works while the next item is waited for."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Any, TypeVar

T = TypeVar("T")


def stepwise(items: AsyncIterator[T]) -> Iterator[T]:
    """The items of an asynchronous iterator, which works only while the next one is waited for."""

    async def step(items: AsyncIterator[T]) -> tuple[T, ...]:
        with _gentle_once():
            async for item in items:
                return (item,)
            return ()

    runner = asyncio.Runner()
    try:
        while found := runner.run(step(items)):
            yield from found
    finally:
        with _untold(), runner:
            runner.run(_close(items))


@contextmanager
def _gentle_once() -> Iterator[None]:
    """In a task of a `Runner`: the first Ctrl-C cancels it, as ever; a second ends the program as a signal does. The
    Runner's way, an exception in the middle of the loop, may leave tasks that nothing ends."""
    gentle = signal.getsignal(signal.SIGINT)
    if not isinstance(gentle, partial):  # not the Runner's: somebody has one of their own
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        gentle(number, frame)

    signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGINT) is interrupt:
            signal.signal(signal.SIGINT, gentle)


@contextmanager
def _untold() -> Iterator[None]:
    """A Ctrl-C in the block ends the program as a signal does: raised while things are closed, it would end in
    complaints of what was left open, or in nothing at all."""
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


async def _close(items: AsyncIterator[Any]) -> None:
    close = getattr(items, "aclose", None)
    if close is not None:
        await close()
