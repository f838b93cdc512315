"""Looking at a node's dimensions: which, when, and what is found.

The kernel wakes us for most of them; the rest is looked at when its interval is over. Reading happens in a thread,
as a file system may hang, and what can't be read in time is as it was.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Container, Iterable, Sequence

from pact_agent.aside import aside
from pact_agent.clock import Clock
from pact_agent.dimensions import ApplyError, Dimension
from pact_agent.dimensions.files import Files
from pact_agent.dimensions.gpu import Gpus
from pactsh.errors import PactError

_log = logging.getLogger(__name__)

_LOOK_LIMIT_S, _APPLY_LIMIT_S = 10.0, 60.0
_UNWOKEN_S = 10.0
_MOST_GROWN = 64 << 20


class Observers:
    """The dimensions of this node by name. `woken` is set when there is something to look at."""

    def __init__(self, dimensions: Sequence[Dimension], clock: Clock) -> None:
        self._dimensions = {dimension.name: dimension for dimension in dimensions}
        self._clock = clock
        self._intervals_s = {d.name: d.interval_s for d in dimensions if d.interval_s}
        self._due = {name: clock.monotonic() + interval_s for name, interval_s in self._intervals_s.items()}
        self._changed: set[str] = set()
        self._ends: list[Callable[[], None]] = []
        self.woken = asyncio.Event()

    @property
    def names(self) -> tuple[str, ...]:
        """The dimensions that are observed here."""
        return tuple(self._dimensions)

    def lasting(self, name: str) -> bool:
        """Whether what is changed in that dimension outlives a boot."""
        return self._dimensions[name].lasting

    def start(self) -> None:
        """Have the kernel wake us, in the running loop. What it can't wake us for is looked at every 10 s."""
        for name, dimension in self._dimensions.items():
            try:
                self._ends.append(dimension.watch(lambda name=name: self._wake(name)))  # type: ignore[misc]
            except OSError as error:
                _log.error("%s: the kernel can't wake us: %s", name, error.strerror)
                self._intervals_s[name] = _UNWOKEN_S
                self._due[name] = self._clock.monotonic() + _UNWOKEN_S

    def close(self) -> None:
        """Be woken no more."""
        while self._ends:
            self._ends.pop()()

    def _wake(self, name: str) -> None:
        self._changed.add(name)
        self.woken.set()

    def next_due(self) -> float | None:
        """When the next interval is over, in monotonic seconds."""
        return min(self._due.values(), default=None)

    def due(self) -> set[str]:
        """What has to be looked at now; asked once, it is no more."""
        now = self._clock.monotonic()
        over = {name for name, at in self._due.items() if at <= now}
        found, self._changed = self._changed | over, set()
        self.woken.clear()
        return found

    async def look(self, names: Iterable[str] | None = None) -> dict[str, dict[str, str]]:
        """The state of those dimensions, of all without `names`. One that can't be read in time is left out."""
        found: dict[str, dict[str, str]] = {}
        for name in self._dimensions if names is None else names:
            if (dimension := self._dimensions.get(name)) is None:
                continue
            if name in self._intervals_s:
                self._due[name] = self._clock.monotonic() + self._intervals_s[name]
            try:
                found[name] = await aside(_LOOK_LIMIT_S, f"looking at {name}", dimension.snapshot)
            except PactError as error:
                _log.error("%s", error.message)
        return found

    async def keep(self, contents: Iterable[bytes]) -> None:
        """Keep contents of files that may have to be made here. Raises `PactError`."""
        files, kept = self._dimensions.get("files"), tuple(contents)
        if kept and isinstance(files, Files):
            await aside(_APPLY_LIMIT_S, "keeping contents of files", lambda: files.keep(kept))

    async def forget(self, named: Callable[[], Container[str]]) -> None:
        """Where contents of files have piled up, keep no more than those of the digests named."""
        files = self._dimensions.get("files")
        if not isinstance(files, Files) or files.grown < _MOST_GROWN:
            return
        wanted = named()
        try:
            await aside(_APPLY_LIMIT_S, "writing the kept contents anew", lambda: files.forget(wanted))
        except (OSError, PactError) as error:
            _log.error("contents of files are not written anew: %s", error)

    def spelled(self, path: str, wanted: str, now: str | None) -> str:
        """A wanted value of a file as this node names it."""
        files = self._dimensions.get("files")
        return files.spelled(path, wanted, now) if isinstance(files, Files) else wanted

    def place(self, name: str, key: str) -> str:
        """Where what a key of that dimension is about can be found in the machine, "" where that isn't known."""
        gpus = self._dimensions.get("gpu")
        return gpus.place(int(key)) if name == "gpu" and key.isdecimal() and isinstance(gpus, Gpus) else ""

    def lost(self, name: str, value: str | None) -> str:
        """Why a key of that dimension can't be given that value again, as far as is known; "" when it can."""
        files = self._dimensions.get("files")
        return files.lost(value) if name == "files" and isinstance(files, Files) else ""

    async def texts(self, values: Iterable[str]) -> dict[str, str]:
        """Texts of files with these values. Raises `PactError`."""
        files, some = self._dimensions.get("files"), tuple(values)
        if not some or not isinstance(files, Files):
            return {}
        return await aside(_LOOK_LIMIT_S, "reading contents of files", lambda: files.texts(some))

    async def apply(self, name: str, key: str, value: str | None) -> None:
        """Make a key have a value. Raises `ApplyError`."""
        dimension = self._dimensions.get(name)
        if dimension is None:
            raise ApplyError(f"{name} can't be undone by this node's agent")
        try:
            await aside(_APPLY_LIMIT_S, f"changing {name}:{key}", lambda: dimension.apply(key, value))
        except ApplyError:
            raise
        except PactError as error:
            raise ApplyError(error.message) from error
