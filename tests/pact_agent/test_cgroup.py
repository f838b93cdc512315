"""Control groups of jobs: whatever a process does to get away, its group ends it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pact_agent.cgroup import PROCESSES, Group, Groups, enter
from pact_agent.sandbox import Plan
from pact_agent.spawnclient import Ended, Job, Spawner, StageSpec


def writable(kind: str, option: str) -> bool:
    """Whether a hierarchy of that kind and with that option (proc(5), mounts) may be written to by this process."""
    mounts = [line.split() for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines()]
    return any(
        fields[2] == kind and option in fields[3].split(",") and os.access(fields[1], os.W_OK) for fields in mounts
    )


pytestmark = pytest.mark.skipif(
    not writable("cgroup2", "rw"),
    reason="no control groups of version 2 that may be written to: run as root where there are",
)
BOUNDED = writable("cgroup", "pids")
# Two forks, a session of its own, no terminal and no descriptors left: what daemons do.
DAEMON = (
    "use POSIX; my $p = fork; if ($p) { WAIT } POSIX::setsid(); exit 0 if fork; "
    "POSIX::close($_) for 0 .. 2; open(F, '>', 'MARK'); print F $$; close F; sleep 300"
)


@pytest.fixture
def groups(tmp_path: Path) -> Iterator[Groups]:
    made = Groups(str(tmp_path))
    yield made
    made.close()


def in_group(group: Group, script: str) -> subprocess.Popen[bytes]:
    """A perl script that is in the group once this returns."""
    join = "".join(f"open(G, '>', '{p}/cgroup.procs') or die; syswrite(G, '0') or die; close G; " for p in group)
    started = subprocess.Popen(["/usr/bin/perl", "-e", f"{join} print 'in'; close STDOUT; {script}"], stdout=-1)
    assert started.stdout is not None
    with started.stdout as output:
        assert output.read() == b"in"
    return started


def daemon(mark: Path, parent: str) -> str:
    return DAEMON.replace("MARK", str(mark)).replace("WAIT", parent)


def written(mark: Path) -> int:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if mark.exists() and mark.read_text():
            return int(mark.read_text())
        time.sleep(0.01)
    raise AssertionError("the daemon has not come up")


def gone(pid: int) -> bool:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True  # dead; whoever is its parent here has not looked yet
        time.sleep(0.01)
    return False


def test_a_group_ends_what_has_left_its_session_and_process_group(tmp_path: Path, groups: Groups) -> None:
    group = groups.make()
    started = in_group(group, daemon(tmp_path / "mark", "exit 0"))
    pid = written(tmp_path / "mark")
    assert started.wait(20) == 0
    groups.end(group)
    assert gone(pid)
    groups.tidy()
    assert not any(Path(path).exists() for path in group)


def test_groups_are_apart(tmp_path: Path, groups: Groups) -> None:
    first, second = groups.make(), groups.make()
    one, two = in_group(first, "sleep 300"), in_group(second, "sleep 300")
    try:
        groups.end(first)
        assert one.wait(20) == -signal.SIGKILL
        assert two.poll() is None
    finally:
        two.kill()
        two.wait(20)


def test_the_next_agent_ends_what_a_killed_one_left(tmp_path: Path) -> None:
    """The first is gone without a word, its groups and their processes are still there."""
    child = os.fork()
    if child == 0:
        group = Groups(str(tmp_path)).make()
        in_group(group, daemon(tmp_path / "mark", "exit 0"))
        os._exit(0)
    os.waitpid(child, 0)
    pid = written(tmp_path / "mark")
    later = Groups(str(tmp_path))
    Groups("somebody else").reclaim()
    os.kill(pid, 0)  # others' groups are left alone
    later.reclaim()
    assert gone(pid)
    later.close()


def test_without_a_hierarchy_there_are_no_groups() -> None:
    none = Groups("x", ("/proc/no-such-place",))
    assert (none.available, none.bounded, none.make()) == (False, False, ())
    none.reclaim()
    none.end(())
    none.close()
    enter(())


def test_a_directory_that_is_no_control_group_is_none(tmp_path: Path) -> None:
    assert not Groups("x", (str(tmp_path),)).available


@pytest.mark.parametrize("how", ["KILL", "its end", "the spawner's end"])
def test_a_daemon_of_a_contained_command_ends_with_its_line(tmp_path: Path, how: str) -> None:
    """It may write only its mark; the leader stays while the daemon is up, then ends in one of three ways."""
    mark = tmp_path / "marks" / "mark"
    mark.parent.mkdir()
    leader = "sleep 300" if how != "its end" else f"until (-s '{mark}') {{ select(undef, undef, undef, 0.01) }} exit 0"
    plan = Plan(write=(str(mark.parent),), changing=True)
    argv = ("/usr/bin/perl", "-e", daemon(mark, leader))
    spec = StageSpec(path=argv[0], argv=argv, env={"PATH": "/usr/bin"}, cwd="/", plan=plan, stdio=(-2, -2, -2))
    scratch = tmp_path / "masks"
    scratch.mkdir()
    spawner = Spawner.launch(scratch)
    pids: list[int] = []

    async def go() -> None:
        await spawner.start()
        try:
            running = await spawner.spawn(Job(stages=(spec,), fds=()))
            pids.append(await asyncio.to_thread(written, mark))
            if how == "KILL":
                running.kill("KILL")
            if how == "the spawner's end":
                return
            ended = await asyncio.wait_for(running.wait(), 20)
            assert ended in (Ended((0,)), Ended((137,)))
            assert await asyncio.to_thread(gone, pids[0])
        finally:
            spawner.close()

    try:
        asyncio.run(go())
    finally:
        os.waitpid(spawner.pid, 0)
    assert gone(pids[0])


@pytest.mark.skipif(
    not BOUNDED, reason="no hierarchy here has the pids controller: mount one, or delegate it to this process"
)
@pytest.mark.parametrize("processes", [PROCESSES, 20])
def test_root_too_makes_only_so_many_processes(tmp_path: Path, processes: int) -> None:
    """RLIMIT_NPROC does not bind uid 0 (fork(2))."""
    script = (
        "for (1 .. 700) { my $p = fork; if (!defined $p) { print $_ - 1; exit } if (!$p) { sleep 300 } } print 'all'"
    )
    read, write = os.pipe()
    argv = ("/usr/bin/perl", "-e", script)
    plan = Plan(processes=processes)
    spec = StageSpec(path=argv[0], argv=argv, env={"PATH": "/usr/bin"}, cwd="/", plan=plan, stdio=(-2, 0, -2))
    scratch = tmp_path / "masks"
    scratch.mkdir()
    spawner = Spawner.launch(scratch)

    async def go() -> None:
        await spawner.start()
        running = await spawner.spawn(Job(stages=(spec,), fds=(write,)))
        os.close(write)
        await asyncio.wait_for(running.wait(), 60)
        spawner.close()

    try:
        asyncio.run(go())
    finally:
        os.waitpid(spawner.pid, 0)
    with os.fdopen(read, "rb") as output:
        assert output.read() == str(processes - 1).encode()
