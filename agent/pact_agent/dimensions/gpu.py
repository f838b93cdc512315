"""GPUs, as NVIDIA's management library (NVML) tells of them: how many, how each is, and what is set on it.

Keys are `count`, `N` for the health of a GPU and `N.persistence`, `N.compute`, `N.power_limit`. N counts in the order
of PCI addresses, as `nvidia-smi` does, and stays a GPU's own while the driver is loaded, whichever others go. Health is
`healthy` or `DEGRADED (ECC uncorrectable: 12; retired pages: 3; XID 79)`; of XIDs, those since the agent's start.

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
from collections.abc import Callable, Iterator

from pact_agent.dimensions import ApplyError, nvml
from pactsh.errors import PactError

_KEY = re.compile(r"(\d{1,4})(?:\.(persistence|compute|power_limit))?")
_PATIENCE_S = 2.0
_POLL_MS = 1000

_log = logging.getLogger(__name__)


class Gpus:
    """The dimension. `driver` is a file that is there while the driver is loaded."""

    name = "gpu"
    interval_s = 30.0
    lasting = False

    def __init__(self, driver: str = nvml.DRIVER) -> None:
        self._driver = driver
        self._turn = threading.Lock()
        self._numbers: dict[str, int] = {}  # by PCI address
        self._xids: dict[str, tuple[int, ...]] = {}  # by PCI address; replaced, never changed
        self._wait: Callable[[], None] | None = None
        self._waiting: threading.Thread | None = None

    def snapshot(self) -> dict[str, str]:
        """All GPUs; nothing where there is no driver. Raises `PactError` when the driver does not answer."""
        with self._alone(), nvml.opened(self._driver) as library:
            if library is None:
                self._numbers, self._xids = {}, {}
                return {}
            found: dict[str, str] = {}
            listed = nvml.gpus(library)
            for number, gpu in self._numbered(listed).items():
                signs = nvml.signs(library, gpu.handle)
                signs += [f"XID {xid}" for xid in self._xids.get(self._address(number), ())]
                found[f"{number}"] = f"DEGRADED ({'; '.join(signs)})" if signs else "healthy"
                found.update((f"{number}.{key}", value) for key, value in nvml.settings(library, gpu.handle).items())
            found["count"] = str(len(listed))
            self._keep_waiting()
            return found

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """One call at a time: of a driver that hangs, threads would pile up at each look."""
        if not self._turn.acquire(timeout=_PATIENCE_S):
            raise PactError("gpu: the driver has not answered an earlier call yet")
        try:
            yield
        finally:
            self._turn.release()

    def _numbered(self, listed: list[nvml.Gpu]) -> dict[int, nvml.Gpu]:
        """The GPUs by number. One that can't say where it is is one of those that are missing."""
        nameless = [gpu for gpu in listed if gpu.bus is None]
        known = set(self._numbers.values())
        # The library lists by address, too: at the first look, the places of the nameless show what is before them.
        taken = known or {gpu.position for gpu in nameless}
        new = sorted(gpu.bus for gpu in listed if gpu.bus is not None and gpu.bus not in self._numbers)
        self._numbers.update(zip(new, (n for n in itertools.count() if n not in taken), strict=False))
        found = {self._numbers[gpu.bus]: gpu for gpu in listed if gpu.bus is not None}
        missing = itertools.chain(sorted(known - found.keys()), (n for n in itertools.count() if n not in known))
        found.update(zip((n for n in missing if n not in found), nameless, strict=False))
        return dict(sorted(found.items()))

    def _address(self, number: int) -> str:
        return next((bus for bus, known in self._numbers.items() if known == number), "")

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
            raise ApplyError(
                f"gpu {number}: health is the hardware's: reset it (nvidia-smi -r -i {place}) or replace it"
            )
        if value is None:
            raise ApplyError(f"gpu {key}: a setting can't be taken away")
        try:
            with self._alone(), nvml.opened(self._driver) as library:
                gpu = self._numbered(nvml.gpus(library)).get(number) if library is not None else None
                if library is None or gpu is None or gpu.handle is None:
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
