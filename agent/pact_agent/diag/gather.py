"""The answer to `diag`: every source that is wanted, each searched in a thread, all within limits of time and size."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec

from pact_agent.aside import aside
from pact_agent.diag.found import Found, Search
from pact_agent.diag.services import ServiceLogs
from pact_agent.diag.shown import shown
from pact_agent.diag.sources import Places, Source, left_out, named_sources, sources_of
from pact_agent.diag.wanted import Wanted, wanted_of
from pact_agent.parts import in_items
from pactsh.errors import NotFoundError, PactError
from pactsh.policy.model import Policy

LIMIT_BYTES = 4 << 20
_GRACE_S = 1.5  # a search ends by itself at its time; what hangs longer, hangs
_AT_ONCE, _CALLS = 4, 2

_T = TypeVar("_T")
Item = dict[str, object]


class Times(msgspec.Struct, frozen=True):
    """How long it may take to find out what there is, to search a log, and to search all, in seconds."""

    list_s: float = 4.0
    each_s: float = 8.0
    all_s: float = 16.0


class Diagnostics:
    """Of one node. `secrets` gives the real paths that are masked, `policy` the one in force."""

    def __init__(
        self,
        node: str,
        policy: Callable[[], Policy],
        secrets: Callable[[], Sequence[str]],
        *,
        services: ServiceLogs,
        places: Places | None = None,
        times: Times | None = None,
    ) -> None:
        self._node, self._policy, self._secrets = node, policy, secrets
        self._services = services
        self._places, self._times = places or Places(), times or Times()
        self._turn = asyncio.Semaphore(_CALLS)
        self._under_way: dict[str, asyncio.Event] = {}

    async def answer(self, params: Item) -> list[Item]:
        """What the logs have of it, in parts that a frame holds; a source that can't be read says so in its place.
        Raises `UsageError` for odd parameters, `NotFoundError` for a service that is none, `PactError` when not even
        names can be read."""
        wanted = wanted_of(params)
        async with self._turn:
            found = await self._search(wanted, await self._sources(wanted))
            await self._check_service(wanted, found)
        # Aside as well: long lists take their time, and the loop is everybody's.
        return await aside(self._times.list_s, "diag: the answer", lambda: in_items(_item(self._node, found)))

    async def _sources(self, wanted: Wanted) -> list[Source]:
        """The logs in the order in which they are shown. Those that the policy names are left out, which is said, when
        the file system does not even tell their names: that may be when somebody wants to see the kernel's."""
        places, list_s, secrets = self._places, self._times.list_s, tuple(self._secrets())
        own = functools.partial(sources_of, wanted, places, self._services, secrets)
        sources = await self._aside("diag: looking for logs", list_s, own)
        extra = self._policy().diag_paths
        if not extra or wanted.service or wanted.source == "service":
            return sources
        known = frozenset(source.name for source in sources)
        try:
            named = functools.partial(named_sources, extra, places, secrets, known)
            return [*sources, *await self._aside("diag_paths", list_s, named)]
        except PactError as error:
            return [*sources, Source("diag_paths", functools.partial(left_out, "diag_paths", _told(error)))]

    async def _aside(self, what: str, limit_s: float, function: Callable[[], _T]) -> _T:
        """Have it done in a thread, but not once more while an earlier one still hangs: what hangs may do so for ever,
        and there is room for a few such threads only."""
        loop, over, begun = asyncio.get_running_loop(), asyncio.Event(), False
        try:
            async with asyncio.timeout(limit_s):
                if (earlier := self._under_way.get(what)) is not None:
                    await earlier.wait()
        except TimeoutError:
            raise PactError(f"{what}: an earlier try still hangs", hint="is a network file system down?") from None

        def work() -> _T:
            nonlocal begun
            begun = True
            try:
                return function()
            finally:
                with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                    loop.call_soon_threadsafe(over.set)

        try:
            return await aside(limit_s, what, work)
        finally:
            if begun and not over.is_set():  # nobody waits for it any more
                self._under_way[what] = over
            else:
                self._under_way.pop(what, None)

    async def _search(self, wanted: Wanted, sources: Sequence[Source]) -> list[Found]:
        ends = time.monotonic() + self._times.all_s
        share = LIMIT_BYTES // max(1, len(sources))
        room = asyncio.Semaphore(_AT_ONCE)

        async def one(source: Source) -> Found | None:
            async with room:
                left_s = min(self._times.each_s, ends - time.monotonic())
                if left_s <= 0:
                    return Found(source.name, [], "time", "there was no time left for it")
                search = Search(wanted, share, time.monotonic() + left_s, time.time())
                try:
                    return await self._aside(source.name, left_s + _GRACE_S, functools.partial(source.search, search))
                except PactError as error:
                    return Found(source.name, [], "time", _told(error))
                finally:
                    search.ends = 0.0  # where somebody has gone meanwhile it ends soon

        answers = await asyncio.gather(*(one(source) for source in sources))
        return [found for found in answers if found is not None]

    async def _check_service(self, wanted: Wanted, found: Sequence[Found]) -> None:
        """A service of which there is nothing in the journal may be a name that was mistyped."""
        if not wanted.service or any(item.lines for item in found):
            return

        def is_known() -> bool:
            return wanted.service in self._services.names() or self._places.journal.knows(wanted.service)

        if not await self._aside("diag: looking for the service", self._times.list_s + _GRACE_S, is_known):
            raise NotFoundError(
                f"diag: {wanted.service}: no such service on this node", hint="systemctl list-units shows them"
            )


def _told(error: PactError) -> str:
    return f"{error.message}: {error.hint}" if error.hint else error.message


def _item(node: str, found: Sequence[Found]) -> Item:
    return {
        "node": node,
        "truncated": any(item.limit for item in found),
        "sources": [
            {
                "source": _name(item.source),
                "lines": len(item.lines),
                "truncated": item.limit != "",
                "limit": item.limit or None,
                "error": item.error or None,
            }
            for item in found
        ],
        "lines": [{"source": _name(item.source), "text": text} for item in found for text in item.lines],
    }


def _name(source: str) -> str:
    """Names of files are what whoever made them likes."""
    return shown(source.encode("utf-8", "surrogateescape"))
