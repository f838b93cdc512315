"""Control groups of services, in a hierarchy that only looks like one and, where it can be written, in the real one."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from pact_agent.services.definition import Limits
from pact_agent.services.limits import ServiceGroups

from tests.pact_agent.services.processes import Services, shell, until


def test_limits_are_written_and_what_is_missing_is_told(tmp_path: Path) -> None:
    (base,) = ServiceGroups("x", _places(tmp_path)).bases
    group = Path(base) / "web"
    group.mkdir()
    for name in ("memory.max", "memory.swap.max", "cpu.max", "cgroup.procs"):
        (group / name).touch()
    limits = Limits(memory_bytes=1 << 30, cpus=0.5, processes=16)
    assert ServiceGroups("x", _places(tmp_path)).make("web", limits) == ((str(group),), "not in force here: pids.max")
    written = {name: (group / name).read_text() for name in ("memory.max", "memory.swap.max", "cpu.max")}
    assert written == {"memory.max": "1073741824", "memory.swap.max": "0", "cpu.max": "50000 100000"}


def _places(tmp_path: Path) -> tuple[str, ...]:
    """A directory in which groups can be made: a real one has `cgroup.procs` as soon as it is there."""
    place = tmp_path / "cgroup"
    made = [*place.glob("pact-*")]
    if not made:
        place.mkdir()
        assert ServiceGroups("x", (str(place),)).bases == ()
        (base,) = place.glob("pact-*")
        (base / "cgroup.procs").touch()
    return (str(place),)


def test_without_control_groups_services_run_all_the_same(tmp_path: Path) -> None:
    groups = ServiceGroups("x", ())
    assert groups.make("web", Limits()) == ((), "")
    assert groups.make("web", Limits(processes=5)) == ((), "not in force here: pids.max")


def test_a_service_is_bound_by_the_real_ones(tmp_path: Path) -> None:
    """All it starts together have so many processes, and its groups go with it."""
    services = Services(tmp_path, limited=True)
    script = "cat /proc/self/cgroup; for i in 1 2 3 4 5 6 7 8 9; do sleep 1000 & done; echo all; wait"
    services.define("a", *shell(script), more='restart = "never"\n[limits]\nprocesses = 5')

    async def go() -> None:
        async with services.agent() as supervisor:
            await until(lambda: services.pid("a"))
            (shown,) = await supervisor.all()
            if "not in force" in shown.why:
                pytest.skip("no hierarchy here counts processes and can be written")
            await until(lambda: any("fork" in line for line in services.said("a")))
            assert any(line.endswith("/a") for line in services.said("a")), services.said("a")

    asyncio.run(go())
    made = ServiceGroups(str(services.state)).bases
    assert [base for base in made if os.path.exists(f"{base}/a")] == []
    for base in made:
        os.rmdir(base)
