"""GPUs, as NVIDIA's management library (NVML) and AMD's driver tell of them: how many, how each is, and what is set.

Keys are `count`, `N` for the health of a GPU, of NVIDIA's `N.persistence`, `N.compute`, `N.power_limit`. N counts in
the order of PCI addresses, as `nvidia-smi` does, those of AMD after those of NVIDIA, and stays a GPU's own while the
driver is loaded, whichever others go. Health is `healthy`, `DEGRADED (ECC uncorrectable: 12; retired pages: 3; XID 79)`
(of XIDs, those since the agent's start), or not known while the driver hangs.

Settings can be set back; the rest is the hardware's. While events are waited for the driver is in use: to unload it or
to reset a GPU, the agent has to be stopped.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from pact_agent.dimensions import ApplyError, amdgpu, nvml
from pactsh.errors import PactError

UNANSWERED = "unknown (the driver does not answer)"
_KEY = re.compile(r"(\d{1,4})(?:\.(persistence|compute|power_limit))?")
_PATIENCE_S, _HANGS_S = 2.0, 20.0
_POLL_MS = 1000

_log = logging.getLogger(__name__)


class Looked(NamedTuple):
    """A GPU as it was found: its number, where it is, and how it is."""

    number: int
    gpu: nvml.Gpu
    health: str


class Gpus:
    """The dimension. `driver` is a file that is there while NVIDIA's driver is loaded, `drm` where AMD's are listed."""

    name = "gpu"
    interval_s = 30.0
    lasting = False

    def __init__(
        self, driver: str = nvml.DRIVER, drm: str = amdgpu.DRM, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._driver, self._drm, self._monotonic = driver, drm, monotonic
        self._turn = threading.Lock()
        self._since: float | None = None  # when the call that is under way began
        self._known: dict[str, str] = {}
        self._numbers: dict[str, int] = {}  # by PCI address
        self._xids: dict[str, tuple[int, ...]] = {}  # by PCI address; replaced, never changed
        self._wait: Callable[[], None] | None = None
        self._waiting: threading.Thread | None = None

    def snapshot(self) -> dict[str, str]:
        """All GPUs; nothing where there is no driver. Raises `PactError` when the driver does not answer, until it has
        not for so long that how its GPUs are is unknown."""
        try:
            self._known = self._snapshot()
        except PactError:
            if not self.hangs() or not self._known:
                raise
            return {key: UNANSWERED if key.isdecimal() else value for key, value in self._known.items()}
        return self._known

    def hangs(self) -> bool:
        """Whether the driver has not answered for so long that it is no slow start."""
        since = self._since
        return since is not None and self._monotonic() - since >= _HANGS_S

    def _snapshot(self) -> dict[str, str]:
        with self.looked() as (library, found):
            values: dict[str, str] = {}
            for number, gpu, health in found:
                values[f"{number}"] = health
                if library is not None and not isinstance(gpu.handle, Path):
                    values.update((f"{number}.{k}", v) for k, v in nvml.settings(library, gpu.handle).items())
            return values | {"count": str(len(found))} if found or library is not None else values

    @contextlib.contextmanager
    def looked(self) -> Iterator[tuple[ModuleType | None, list[Looked]]]:
        """All GPUs, while NVIDIA's library is open (None where there is none); raises like `snapshot`."""
        with self._alone(), nvml.opened(self._driver) as library:
            nvidia = nvml.gpus(library) if library is not None else []
            amd = amdgpu.gpus(self._drm, len(nvidia))
            if library is None:  # when it is loaded again, they are counted anew
                stay = {gpu.bus for gpu in amd}
                self._numbers, self._xids = {bus: n for bus, n in self._numbers.items() if bus in stay}, {}
            found = []
            for number, gpu in self._numbered(nvidia, amd).items():
                if isinstance(gpu.handle, Path):
                    signs = amdgpu.signs(gpu.handle)
                else:
                    signs = nvml.signs(library, gpu.handle) if library is not None else []
                    signs += [f"XID {xid}" for xid in self._xids.get(self._address(number), ())]
                found.append(Looked(number, gpu, f"DEGRADED ({'; '.join(signs)})" if signs else "healthy"))
            if library is not None:
                self._keep_waiting()
            yield library, found

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """One call at a time: of a driver that hangs, threads would pile up at each look."""
        if not self._turn.acquire(timeout=0 if self.hangs() else _PATIENCE_S):
            raise PactError("gpu: the driver has not answered an earlier call yet")
        self._since = self._monotonic()
        try:
            yield
        finally:
            self._since = None
            self._turn.release()

    def _numbered(self, nvidia: list[nvml.Gpu], amd: list[nvml.Gpu]) -> dict[int, nvml.Gpu]:
        """The GPUs by number. One that can't say where it is is one of those that are missing."""
        listed = nvidia + amd
        nameless = [gpu for gpu in listed if gpu.bus is None]
        known = set(self._numbers.values())
        # The library lists by address, too: at the first look, the places of the nameless show what is before them.
        taken = known or {gpu.position for gpu in nameless}
        new = [bus for some in (nvidia, amd) for bus in sorted(gpu.bus for gpu in some if gpu.bus is not None)]
        new = [bus for bus in new if bus not in self._numbers]
        self._numbers.update(zip(new, (n for n in itertools.count() if n not in taken), strict=False))
        found = {self._numbers[gpu.bus]: gpu for gpu in listed if gpu.bus is not None}
        missing = itertools.chain(sorted(known - found.keys()), (n for n in itertools.count() if n not in known))
        found.update(zip((n for n in missing if n not in found), nameless, strict=False))
        return dict(sorted(found.items()))

    def _address(self, number: int) -> str:
        return next((bus for bus, known in self._numbers.items() if known == number), "")

    def place(self, number: int) -> str:
        """The PCI address of a GPU as the kernel writes it, "" where none is known."""
        return nvml.pci_of(self._address(number) or None) or ""

    def apply(self, key: str, value: str | None) -> None:
        """Set a setting back. Raises `ApplyError`, always for what is the hardware's."""
        found = _KEY.fullmatch(key)
        if key == "count":
            raise ApplyError("gpu count: how many there are is not for pact to change: see what the kernel log says")
        if found is None:
            raise ApplyError(f"{key!r} is neither a GPU nor a setting of one")
        number, setting = int(found[1]), found[2]
        if setting is None:
            place = self._address(number) or number
            is_amd = any(gpu.bus == place for gpu in amdgpu.gpus(self._drm))
            how = "reset it" if is_amd else f"reset it (nvidia-smi -r -i {place})"
            raise ApplyError(f"gpu {number}: health is the hardware's: {how} or replace it")
        if value is None:
            raise ApplyError(f"gpu {key}: a setting can't be taken away")
        try:
            with self._alone(), nvml.opened(self._driver) as library:
                amd = amdgpu.gpus(self._drm)
                gpu = self._numbered(nvml.gpus(library), amd).get(number) if library is not None else None
                if library is None or gpu is None or gpu.handle is None or gpu in amd:
                    raise ApplyError(f"gpu {number} is not there")
                nvml.change(library, gpu.handle, setting, value)
        except ApplyError:
            raise
        except PactError as error:
            raise ApplyError(f"gpu {key}={value}: {error.message.removeprefix('gpu: ')}") from error

    # -- waking

    def watch(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Wake on an XID that means trouble. Events are waited for in a thread, once a look has found a driver."""
        loop = asyncio.get_running_loop()
        ended = threading.Event()

        def tell() -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(lambda: None if ended.is_set() else wake())

        def end() -> None:
            ended.set()  # nobody waits for the thread: it may hang with the driver
            self._wait = self._waiting = None

        self._wait = lambda: self._wait_for_events(ended, tell)
        return end

    def _keep_waiting(self) -> None:
        wait = self._wait
        if wait is not None and (self._waiting is None or not self._waiting.is_alive()):
            self._waiting = threading.Thread(target=wait, name="gpu events", daemon=True)
            self._waiting.start()

    def _wait_for_events(self, ended: threading.Event, tell: Callable[[], None]) -> None:
        """Until ended, or the driver is gone: then the look that finds it again starts this anew."""
        while not ended.is_set():
            try:
                with nvml.opened(self._driver) as library:
                    if library is None:
                        return
                    for bus, xid in nvml.xids(library, nvml.gpus(library), _POLL_MS, ended.is_set):
                        if xid in nvml.HARDWARE_XIDS:
                            _log.warning("gpu %s: XID %d", bus, xid)
                            self._xids = self._xids | {bus: tuple(sorted({*self._xids.get(bus, ()), xid}))}
                            tell()
            except PactError as error:
                _log.error("%s", error.message)
                tell()
            except Exception:  # noqa: BLE001  the top of a thread: the next look starts another
                _log.exception("gpu events")
                return
            ended.wait(self.interval_s)
