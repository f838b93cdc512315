"""What several nodes have, in a table."""

from __future__ import annotations

import io

from pactsh.cli.capfleet import Fleet, render
from pactsh.cli.render import Out
from pactsh.model.capability import Capabilities, Cpu, Gpu, Memory

CPU = Cpu("x86_64", "AMD EPYC 7A53", 1, 64, 128, ())
GIB = 1 << 30


def having(node: str, *health: str, total_bytes: int | None = 512 * GIB) -> Capabilities:
    gpus = tuple(Gpu(n, "NVIDIA", "NVIDIA A100", text) for n, text in enumerate(health))
    return Capabilities(node, cpu=CPU, memory=Memory(total_bytes, None, (), ()), gpus=gpus)


def shown(fleet: Fleet, *, colour: bool = False) -> list[str]:
    stream = io.StringIO()
    render(fleet, Out(stream, colour=colour))
    return stream.getvalue().splitlines()


def test_nodes_that_have_the_same_share_a_row_and_ill_ones_come_first() -> None:
    nodes = (
        having("n1", "healthy", "healthy"),
        having("n2", "healthy", "healthy", total_bytes=512 * GIB - 300_000_000),
        having("n3", "healthy", "DEGRADED (ECC uncorrectable: 12)"),
        having("n4", "healthy", "DEGRADED (ECC uncorrectable: 7)"),
        Capabilities("n5"),
    )
    assert shown(Fleet(nodes)) == [
        "NODES       GPUS                                                CPU                 MEMORY",
        "n[3-4] (2)  1x A100 (healthy), 1x A100 (DEGRADED - ECC errors)  128x AMD EPYC 7A53  512.0 GiB",
        "n[1-2] (2)  2x A100 (healthy)                                   128x AMD EPYC 7A53  512.0 GiB",
        "n5          unknown                                             unknown             unknown",
    ]
    assert [line.startswith("\x1b[31m") for line in shown(Fleet(nodes), colour=True)] == [False, True, False, False]


def test_who_is_missing_is_told_and_shows_in_the_status() -> None:
    fleet = Fleet((having("n1", "healthy"),), silent=("n2", "n3"), unknown=("n9",))
    assert shown(fleet)[-2:] == ["[WARN] n[2-3] (2): have reported no capabilities", "[WARN] n9: no such nodes"]
    assert fleet.exit_status == 1
    assert Fleet((having("n1", "healthy"),)).exit_status == 0
