"""NVIDIA's management library, as far as the dimension `gpu` needs it: health, settings, and events of its GPUs.

The library is left alone until the driver is loaded: opening it would load the driver, which somebody may just have
unloaded on purpose. What a GPU does not support is no failure. Any call may hang with the driver, so they are made in
threads, and who opened the library closes it; it counts (nvmlInit, nvmlShutdown).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any, NamedTuple

from pact_agent.dimensions import ApplyError
from pactsh.errors import PactError

DRIVER = "/proc/driver/nvidia/version"
_LIBRARY = "libnvidia-ml.so.1"

# XIDs that mean trouble with the hardware or the firmware on it, where NVIDIA's "Xid Catalog" has a reset, a restart or
# a replacement as the remedy. The others are about what a program did (13, 31, 43, 45, 68, 69, 109, 137), or inform.
HARDWARE_XIDS = frozenset(
    {46, 48, 54, 62, 63, 64, 74, 79, 92, 94, 95, 110, 119, 120, 136, 140, 143}
    | {144, 145, 146, 149, 150, 156, 157, 158, 167, 169, 171, 172}
)

_SWITCH = {0: "off", 1: "on"}
_COMPUTE = {0: "default", 1: "exclusive-thread", 2: "prohibited", 3: "exclusive-process"}
_ADDRESS = re.compile(r"(?:0000)?([0-9A-Fa-f]{4}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-7])")
_WATTS = re.compile(r"(\d{1,6})(?:\.(\d{1,3}))? W")

Handle = Any  # what the library calls a device; its binding has no types


class Gpu(NamedTuple):
    """One that the library lists: `bus` is where it is, None if it is too far gone to say that."""

    position: int
    bus: str | None
    handle: Handle


@contextlib.contextmanager
def opened(driver: str = DRIVER) -> Iterator[ModuleType | None]:
    """The binding, with the library open; None where there is no driver or no library. Raises `PactError`."""
    if not os.path.exists(driver):
        yield None
        return
    try:
        ctypes.CDLL(_LIBRARY)
    except OSError:
        yield None
        return
    import pynvml  # takes 40 ms, and most nodes have no GPU

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        if error.value in {pynvml.NVML_ERROR_DRIVER_NOT_LOADED, pynvml.NVML_ERROR_LIBRARY_NOT_FOUND}:
            yield None
            return
        raise PactError(f"gpu: NVML does not start: {error}") from error
    try:
        yield pynvml
    except pynvml.NVMLError as error:
        raise PactError(f"gpu: NVML: {error}") from error
    finally:
        with contextlib.suppress(pynvml.NVMLError):
            pynvml.nvmlShutdown()


def gpus(nvml: ModuleType) -> list[Gpu]:
    """Those there are, lost ones among them."""
    found = []
    for position in range(nvml.nvmlDeviceGetCount()):
        try:
            handle = nvml.nvmlDeviceGetHandleByIndex(position)
            bus = nvml.nvmlDeviceGetPciInfo(handle).busId
        except nvml.NVMLError as error:
            if error.value in _gone(nvml):
                found.append(Gpu(position, None, None))
            continue  # one that is not ours to look at (control groups, virtual machines)
        found.append(Gpu(position, bus.decode() if isinstance(bus, bytes) else str(bus), handle))
    return found


def pci_of(bus: str | None) -> str | None:
    """One of the library's PCI addresses as the kernel writes it.

    >>> pci_of("00000000:3B:00.0"), pci_of("00010000:3B:00.0"), pci_of(None)
    ('0000:3b:00.0', '00010000:3b:00.0', None)
    """
    found = _ADDRESS.fullmatch(bus or "")
    return found[1].lower() if found else bus.lower() if bus else None


def signs(nvml: ModuleType, handle: Handle) -> list[str]:
    """What is wrong with a GPU, in words; nothing if it is healthy."""
    if handle is None:
        return ["lost"]
    uncorrected = nvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED
    try:
        errors = max(
            asked(nvml, nvml.nvmlDeviceGetTotalEccErrors, handle, uncorrected, counter) or 0
            for counter in (nvml.NVML_VOLATILE_ECC, nvml.NVML_AGGREGATE_ECC)
        )
        # Pages that were retired for correctable errors went in time; those for others took data along.
        pages = asked(
            nvml, nvml.nvmlDeviceGetRetiredPages, handle, nvml.NVML_PAGE_RETIREMENT_CAUSE_DOUBLE_BIT_ECC_ERROR
        )
        pending = asked(nvml, nvml.nvmlDeviceGetRetiredPagesPendingStatus, handle)
        rows = asked(nvml, nvml.nvmlDeviceGetRemappedRows, handle) or (0, 0, 0, 0)
    except nvml.NVMLError as error:
        return ["lost" if error.value == nvml.NVML_ERROR_GPU_IS_LOST else "reset required"]
    told = {
        f"ECC uncorrectable: {errors}": errors,
        f"retired pages: {len(pages or ())}": pages,
        "page retirement pending": pending,
        "row remapping pending": rows[2],
        "row remapping failed": rows[3],
    }
    return [text for text, is_so in told.items() if is_so]


def _gone(nvml: ModuleType) -> frozenset[int]:
    return frozenset({nvml.NVML_ERROR_GPU_IS_LOST, nvml.NVML_ERROR_RESET_REQUIRED})


def asked(nvml: ModuleType, function: Callable[..., Any], *arguments: object) -> Any:
    """What a GPU answers, None where it can't. Raises the binding's error when the GPU is gone."""
    try:
        return function(*arguments)
    except nvml.NVMLError as error:
        if error.value in _gone(nvml):
            raise
        return None


def settings(nvml: ModuleType, handle: Handle) -> dict[str, str]:
    """What an administrator can set on a GPU and pact can set back: those it has."""
    if handle is None:
        return {}
    try:
        persistence = asked(nvml, nvml.nvmlDeviceGetPersistenceMode, handle)
        compute = asked(nvml, nvml.nvmlDeviceGetComputeMode, handle)
        power = asked(nvml, nvml.nvmlDeviceGetPowerManagementLimit, handle)
    except nvml.NVMLError:
        return {}
    found = {"persistence": _SWITCH.get(persistence), "compute": _COMPUTE.get(compute)}
    found["power_limit"] = None if power is None else watts_text(power)
    return {name: text for name, text in found.items() if text is not None}


def change(nvml: ModuleType, handle: Handle, name: str, value: str) -> None:
    """Set one of them. Raises `ApplyError` for a value there is not, the binding's error when it is refused."""
    if name == "power_limit":
        nvml.nvmlDeviceSetPowerManagementLimit(handle, parse_watts(value))
    elif name == "persistence":
        nvml.nvmlDeviceSetPersistenceMode(handle, _number(_SWITCH, value))
    else:
        nvml.nvmlDeviceSetComputeMode(handle, _number(_COMPUTE, value))


def _number(names: Mapping[int, str], value: str) -> int:
    for number, name in names.items():
        if name == value:
            return number
    raise ApplyError(f"{value!r} is none of {', '.join(names.values())}")


def watts_text(milliwatts: int) -> str:
    """A limit as people write it.

    >>> watts_text(300000), watts_text(299500)
    ('300 W', '299.5 W')
    """
    whole, rest = divmod(milliwatts, 1000)
    return f"{whole}.{rest:03}".rstrip("0").rstrip(".") + " W" if rest else f"{whole} W"


def parse_watts(text: str) -> int:
    """The other way round, in milliwatts. Raises `ApplyError`.

    >>> parse_watts("300 W"), parse_watts("299.5 W")
    (300000, 299500)
    """
    found = _WATTS.fullmatch(text)
    if found is None:
        raise ApplyError(f"{text!r} is no limit in watts, as `300 W`")
    return int(found[1]) * 1000 + int((found[2] or "").ljust(3, "0"))


def xids(
    nvml: ModuleType, listed: Sequence[Gpu], poll_ms: int, is_over: Callable[[], bool]
) -> Iterator[tuple[str, int]]:
    """Wait for XIDs of these GPUs: where, and which. Ends when told so, within `poll_ms`, or if no GPU has events."""
    places: dict[int | None, str] = {}
    events = nvml.nvmlEventSetCreate()
    try:
        for gpu in listed:
            if gpu.bus is None:
                continue
            with contextlib.suppress(nvml.NVMLError):  # lost just now, or it has no events
                nvml.nvmlDeviceRegisterEvents(gpu.handle, nvml.nvmlEventTypeXidCriticalError, events)
                places[_address(gpu.handle)] = gpu.bus
        while places and not is_over():
            try:
                event = nvml.nvmlEventSetWait_v2(events, poll_ms)
            except nvml.NVMLError as error:
                if error.value != nvml.NVML_ERROR_TIMEOUT:
                    raise
                continue
            place = places.get(_address(event.device))
            if place is not None and event.eventType == nvml.nvmlEventTypeXidCriticalError:
                yield place, int(event.eventData)
    finally:
        with contextlib.suppress(nvml.NVMLError):
            nvml.nvmlEventSetFree(events)


def _address(handle: Handle) -> int | None:
    return ctypes.cast(handle, ctypes.c_void_p).value
