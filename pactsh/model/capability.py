"""What a node has: the document of `pact cap`, of an agent's report, and of the manifest beside its socket.

None is "not known", an empty list "there is none". Sizes are in bytes. docs/capabilities.md says how to read it,
docs/capabilities.schema.json is made of these types.
"""

from __future__ import annotations

import msgspec

FORMAT = 1


class MigInstance(msgspec.Struct, frozen=True):
    """A slice of a GPU, as CUDA names it."""

    uuid: str | None
    name: str | None
    memory_bytes: int | None


class Ecc(msgspec.Struct, frozen=True):
    """Error correction of a GPU's memory: `on` now, `pending` after the next reset; errors since the driver's start."""

    on: bool | None = None
    pending: bool | None = None
    corrected: int | None = None
    uncorrected: int | None = None


class Gpu(msgspec.Struct, frozen=True):
    """A GPU. `number` is its key in the dimension `gpu`, `health` its value there: `healthy`, `DEGRADED (WHY)`; or
    `unknown (WHY)`. `cuda` is the newest version that the driver runs."""

    number: int | None
    vendor: str
    name: str | None
    health: str
    uuid: str | None = None
    memory_bytes: int | None = None
    driver: str | None = None
    cuda: str | None = None
    mig: bool | None = None
    mig_instances: tuple[MigInstance, ...] | None = None
    ecc: Ecc | None = None
    temperature_c: int | None = None
    pci: str | None = None
    numa_node: int | None = None


class CpuNode(msgspec.Struct, frozen=True):
    """A NUMA node: its processors as the kernel lists them (`0-31,64-95`), and its memory."""

    number: int
    cpus: str | None
    memory_bytes: int | None


class Cpu(msgspec.Struct, frozen=True):
    """Processors. `threads` are those that are online, `cores` and `sockets` what they are on."""

    architecture: str
    model: str | None
    sockets: int | None
    cores: int | None
    threads: int | None
    numa: tuple[CpuNode, ...] | None
    min_mhz: int | None = None
    max_mhz: int | None = None
    flags: tuple[str, ...] | None = None


class HugePages(msgspec.Struct, frozen=True):
    """The pool of one size of huge pages."""

    size_bytes: int
    total: int | None
    free: int | None


class MemoryModule(msgspec.Struct, frozen=True):
    """A module that is plugged in, as the firmware tells of it."""

    slot: str | None
    size_bytes: int | None
    type: str | None
    speed_mts: int | None
    part: str | None


class Memory(msgspec.Struct, frozen=True):
    """Memory that the kernel has; `type` is what all modules are (`DDR5`), None also where they differ."""

    total_bytes: int | None
    type: str | None
    huge_pages: tuple[HugePages, ...] | None
    modules: tuple[MemoryModule, ...] | None


class Link(msgspec.Struct, frozen=True):
    """A network interface. `kind` is `ethernet`, `infiniband`, `loopback`, what the kernel calls it (`bond`, `vlan`,
    `bridge`), or `virtual`. `speed_mbit` is None while it is down."""

    name: str
    kind: str
    state: str | None
    driver: str | None = None
    speed_mbit: int | None = None
    mac: str | None = None
    mtu: int | None = None
    pci: str | None = None
    numa_node: int | None = None


class InfinibandPort(msgspec.Struct, frozen=True):
    """A port of an RDMA device, in the kernel's words: `ACTIVE`, `200 Gb/sec (4X HDR)`, `InfiniBand`."""

    device: str
    port: int
    state: str | None
    physical_state: str | None
    rate: str | None
    link_layer: str | None
    firmware: str | None = None
    driver: str | None = None
    pci: str | None = None
    numa_node: int | None = None


class Slingshot(msgspec.Struct, frozen=True):
    """A Slingshot (cxi) device, its fabric address (`nid`) and its link, in the driver's words: `up`, `BS_200G`."""

    device: str
    interface: str | None
    nid: int | None
    state: str | None
    speed: str | None
    media: str | None = None
    part: str | None = None
    firmware: str | None = None
    driver: str | None = None
    pci: str | None = None
    numa_node: int | None = None


class Network(msgspec.Struct, frozen=True):
    """What a node is connected with."""

    links: tuple[Link, ...] | None
    infiniband: tuple[InfinibandPort, ...] | None
    slingshot: tuple[Slingshot, ...] | None


class Disk(msgspec.Struct, frozen=True):
    """A block device that holds something. `transport` is `nvme`, `sata`, `sas`, `usb`, `virtio` or alike."""

    name: str
    size_bytes: int
    rotational: bool | None = None
    model: str | None = None
    transport: str | None = None
    partitions: int | None = None


class MountPoint(msgspec.Struct, frozen=True):
    """A mounted file system; `where` is `local`, `network`, `memory`, or `program` (FUSE). Of those that have to be
    asked, `answers` is whether they did in time; `size_bytes` is then what they said last."""

    point: str
    type: str
    source: str
    where: str
    size_bytes: int | None = None
    answers: bool | None = None


class Storage(msgspec.Struct, frozen=True):
    """Disks and mounts; `diskless`: the root is in memory or comes over the network."""

    diskless: bool | None
    disks: tuple[Disk, ...] | None
    mounts: tuple[MountPoint, ...] | None


class System(msgspec.Struct, frozen=True):
    """The machine and what it runs. What looks like a secret on the kernel's command line is left out of it."""

    kernel: str | None
    command_line: str | None
    boot_time: str | None
    os: str | None
    os_id: str | None
    os_version: str | None
    vendor: str | None = None
    product: str | None = None
    firmware: str | None = None


class Enforces(msgspec.Struct, frozen=True):
    """What the node's kernel enforces on commands; `masks` counts secrets, `landlock*` say what its ABI covers."""

    landlock_abi: int
    landlock: tuple[str, ...]
    landlock_missing: tuple[str, ...]
    seccomp: bool
    masks: int
    capabilities: bool
    control_groups: bool
    processes_bounded: bool
    required: bool


class Capabilities(msgspec.Struct, frozen=True):
    """All of it. `left_out` names fields that were left out because the document would be too long."""

    node: str
    gpus: tuple[Gpu, ...] | None = None
    cpu: Cpu | None = None
    memory: Memory | None = None
    network: Network | None = None
    storage: Storage | None = None
    system: System | None = None
    containment: str | None = None
    enforces: Enforces | None = None
    versions: dict[str, str] = {}
    left_out: tuple[str, ...] = ()


class Manifest(msgspec.Struct, frozen=True):
    """`capabilities.json` of the agent's run directory. It is written anew when something in it changes;
    `generated_at` (RFC 3339 UTC) is when. Numbers that change all the time are null in it."""

    format: int
    generated_at: str
    boot_id: str
    capabilities: Capabilities
