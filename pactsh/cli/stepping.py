"""An asynchronous iterator for a caller that is not: it works while the next item is waited for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any, TypeVar

from pactsh.cli.interrupts import held, run_in

T = TypeVar("T")


def stepwise(items: AsyncIterator[T]) -> Iterator[T]:
    """The items of an asynchronous iterator, which works only while the next one is waited for."""

    async def step(items: AsyncIterator[T]) -> tuple[T, ...]:
        async for item in items:
            return (item,)
        return ()

    runner = asyncio.Runner()
    try:
        while found := run_in(runner, lambda: step(items)):
            yield from found
    finally:
        with held(), runner:
            runner.run(_close(items))


async def _close(items: AsyncIterator[Any]) -> None:
    close = getattr(items, "aclose", None)
    if close is not None:
        await close()
