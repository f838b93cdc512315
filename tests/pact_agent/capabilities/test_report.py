"""A node's report stays within what the journal takes, and says what it leaves out."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import msgspec
import pytest
from pact_agent.capabilities.prober import Prober
from pact_agent.capabilities.report import MOST_BYTES, reported, shortened
from pact_agent.dimensions.gpu import Gpus

from pactsh.model.capability import (
    Capabilities,
    Cpu,
    Disk,
    Gpu,
    Link,
    Memory,
    MemoryModule,
    MigInstance,
    MountPoint,
    Network,
    Storage,
    System,
)
from tests.pact_agent.recording import facts_of, recording


def capabilities(many: int) -> Capabilities:
    """A node with that many of everything."""
    slices = tuple(MigInstance(f"MIG-{n}", "1g.10gb", 10 << 30) for n in range(many))
    modules = tuple(MemoryModule(f"DIMM {n}", 64 << 30, "DDR5", 4800, "part") for n in range(many))
    return Capabilities(
        "node042",
        gpus=(Gpu(0, "nvidia", "A100", "healthy", mig=True, mig_instances=slices),),
        cpu=Cpu("x86_64", "EPYC", 2, 128, 256, (), flags=tuple(f"flag{n}" for n in range(many))),
        memory=Memory(512 << 30, "DDR5", (), modules),
        network=Network(tuple(Link(f"veth{n}", "virtual", "up") for n in range(many)), (), ()),
        storage=Storage(
            False,
            tuple(Disk(f"sd{n}", 1 << 40) for n in range(many)),
            tuple(MountPoint(f"/mnt/{n}", "nfs4", f"server:/{n}", "network", 1 << 40, True) for n in range(many)),
        ),
        system=System("6.1", "quiet " * many, None, "Linux", "linux", "1"),
    )


@pytest.mark.parametrize("many", [0, 1, 50, 100, 300, 1000, 20000])
def test_it_is_never_too_long(many: int) -> None:
    found = shortened(capabilities(many))
    assert len(json.dumps(msgspec.to_builtins(found))) <= MOST_BYTES
    assert found.node == "node042"
    assert msgspec.convert(json.loads(json.dumps(msgspec.to_builtins(found))), Capabilities) == found


def test_what_is_left_out_is_named_and_the_rest_is_whole() -> None:
    assert shortened(capabilities(50)) == capabilities(50)
    whole = capabilities(200)
    found = shortened(whole)
    assert found.left_out[:2] == ("cpu.flags", "storage.mounts")
    for part in ("cpu", "memory", "network", "storage", "system"):
        for field, value in msgspec.structs.asdict(getattr(whole, part)).items():
            left = None if f"{part}.{field}" in found.left_out else value
            assert getattr(getattr(found, part), field) == left, (part, field)


def test_the_report_has_the_state_of_now_and_what_was_found_last(tmp_path: Path) -> None:
    with recording(tmp_path) as node:
        facts = facts_of(node)
        prober = Prober(facts, Gpus())
        assert "cap" not in json.loads(reported(facts, prober))  # nobody has looked, and a report can't wait
        asyncio.run(prober.look())
        told = json.loads(reported(facts, prober))
    assert (told["containment"], told["supervisor"]) == (told["cap"]["containment"], None)
    assert (told["cap"]["node"], told["cap"]["left_out"], told["drift"]) == ("node042", [], 0)
