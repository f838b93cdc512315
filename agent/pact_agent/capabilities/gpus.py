"""GPUs in full: what the dimension `gpu` found, what NVML and AMD's driver know beyond it, and those that no driver
tells of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType

import msgspec

from pact_agent.capabilities.tree import names, numa_node, read_number, read_text, target
from pact_agent.dimensions import amdgpu, nvml
from pact_agent.dimensions.gpu import UNANSWERED, Gpus, Looked
from pactsh.model.capability import Ecc, Gpu, MigInstance

_PCI = "sys/bus/pci/devices"
_VENDORS = {0x10DE: "nvidia", 0x1002: "amd"}
# Base classes of display controllers and of processing accelerators, in the first byte of three (PCI Code and ID
# Assignment Specification).
_CLASSES = frozenset({0x03, 0x12})
_MOST_INSTANCES = 64


def gpus(dimension: Gpus, root: Path) -> tuple[Gpu, ...]:
    """All GPUs of this node. Raises `PactError` when NVIDIA's driver does not answer."""
    with dimension.looked() as (library, found):
        told = [_described(library, one, root) for one in found]
    return (*told, *_undriven(root, {gpu.pci for gpu in told}))


def unanswered(known: tuple[Gpu, ...] | None, root: Path) -> tuple[Gpu, ...]:
    """The GPUs while the driver does not answer: those known from before, or at least those on the bus."""
    return tuple(msgspec.structs.replace(gpu, health=UNANSWERED) for gpu in known or _undriven(root, set()))


def _described(library: ModuleType | None, one: Looked, root: Path) -> Gpu:
    if isinstance(one.gpu.handle, Path):
        return _amd(one, one.gpu.handle, root)
    pci = nvml.pci_of(one.gpu.bus)
    if library is None or one.gpu.handle is None:
        return Gpu(one.number, "nvidia", None, one.health, pci=pci)
    try:
        return _nvidia(library, one, pci, root)
    except library.NVMLError:  # lost just now: the next look says so
        return Gpu(one.number, "nvidia", None, one.health, pci=pci)


def _nvidia(library: ModuleType, one: Looked, pci: str | None, root: Path) -> Gpu:
    handle = one.gpu.handle

    def asked(name: str, *arguments: object) -> object:
        return nvml.asked(library, getattr(library, name), *arguments)

    memory = asked("nvmlDeviceGetMemoryInfo", handle)
    mig, cuda = asked("nvmlDeviceGetMigMode", handle), asked("nvmlSystemGetCudaDriverVersion_v2")
    temperature = asked("nvmlDeviceGetTemperature", handle, library.NVML_TEMPERATURE_GPU)
    is_mig = bool(mig[0]) if isinstance(mig, list) else None
    return Gpu(
        number=one.number,
        vendor="nvidia",
        name=text_of(asked("nvmlDeviceGetName", handle)),
        health=one.health,
        uuid=text_of(asked("nvmlDeviceGetUUID", handle)),
        memory_bytes=memory.total if isinstance(memory, library.c_nvmlMemory_t) else None,
        driver=text_of(asked("nvmlSystemGetDriverVersion")),
        cuda=f"{cuda // 1000}.{cuda % 1000 // 10}" if isinstance(cuda, int) and cuda > 0 else None,
        mig=is_mig,
        mig_instances=tuple(_instances(library, handle)) if is_mig else None if is_mig is None else (),
        ecc=_ecc(library, handle),
        temperature_c=temperature if isinstance(temperature, int) else None,
        pci=pci,
        numa_node=numa_node(root / _PCI / pci) if pci else None,
    )


def text_of(value: object) -> str | None:
    """A text of the binding, which has had them as bytes."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return value or None if isinstance(value, str) else None


def _instances(library: ModuleType, handle: nvml.Handle) -> Iterator[MigInstance]:
    most = nvml.asked(library, library.nvmlDeviceGetMaxMigDeviceCount, handle) or 0
    for index in range(min(most, _MOST_INSTANCES)):
        slice_ = nvml.asked(library, library.nvmlDeviceGetMigDeviceHandleByIndex, handle, index)
        if slice_ is None:
            continue  # places are numbered, and may be empty
        memory = nvml.asked(library, library.nvmlDeviceGetMemoryInfo, slice_)
        yield MigInstance(
            uuid=text_of(nvml.asked(library, library.nvmlDeviceGetUUID, slice_)),
            name=text_of(nvml.asked(library, library.nvmlDeviceGetName, slice_)),
            memory_bytes=None if memory is None else memory.total,
        )


def _ecc(library: ModuleType, handle: nvml.Handle) -> Ecc | None:
    """None where this GPU has no error correction. Counts are of the GPU's life, where it keeps them."""
    mode = nvml.asked(library, library.nvmlDeviceGetEccMode, handle)
    if mode is None:
        return None
    counts = []
    for kind in (library.NVML_MEMORY_ERROR_TYPE_CORRECTED, library.NVML_MEMORY_ERROR_TYPE_UNCORRECTED):
        of_kind = [
            nvml.asked(library, library.nvmlDeviceGetTotalEccErrors, handle, kind, counter)
            for counter in (library.NVML_VOLATILE_ECC, library.NVML_AGGREGATE_ECC)
        ]
        counts.append(max((count for count in of_kind if count is not None), default=None))
    return Ecc(bool(mode[0]), bool(mode[1]), counts[0], counts[1])


def _amd(one: Looked, device: Path, root: Path) -> Gpu:
    counted = list(amdgpu.errors(device))
    ids = [read_number(device / "vendor"), read_number(device / "device")]
    sensor = next((device / "hwmon" / name for name in names(device / "hwmon") or ()), None)
    degrees = read_number(sensor / "temp1_input") if sensor is not None else None  # in thousandths
    return Gpu(
        number=one.number,
        vendor="amd",
        name=read_text(device / "product_name") or "AMD " + ":".join(f"{i:04x}" for i in ids if i is not None),
        health=one.health,
        uuid=read_text(device / "unique_id"),
        memory_bytes=read_number(device / "mem_info_vram_total"),
        driver=" ".join(filter(None, (target(device / "driver"), read_text(root / "sys/module/amdgpu/version"))))
        or None,
        ecc=Ecc(corrected=sum(c for _, _, c in counted), uncorrected=sum(u for _, u, _ in counted))
        if counted
        else None,
        temperature_c=None if degrees is None else degrees // 1000,
        pci=nvml.pci_of(one.gpu.bus),
        numa_node=numa_node(device),
    )


def _undriven(root: Path, told: Iterable[str | None]) -> Iterator[Gpu]:
    """GPUs on the bus that nothing has told of."""
    for address in names(root / _PCI) or ():
        device = root / _PCI / address
        class_, vendor = read_number(device / "class"), _VENDORS.get(read_number(device / "vendor") or 0)
        if address in told or vendor is None or class_ is None or class_ >> 16 not in _CLASSES:
            continue
        driver = target(device / "driver")
        yield Gpu(
            number=None,
            vendor=vendor,
            name=None,
            health=f"unknown (driver {driver})" if driver else "unknown (no driver)",
            pci=address,
            numa_node=numa_node(device),
        )
