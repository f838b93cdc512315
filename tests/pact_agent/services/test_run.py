"""A service and its holder: started, stopped with all that it has started, and found again by who comes later."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from pact_agent.holder import descendants
from pact_agent.services.restarts import Ended
from pact_agent.services.run import Run, Spec, find, is_held, read_state, start

from pactsh.errors import PactError
from tests.pact_agent.services.processes import (
    SPEC,
    ended,
    ending,
    is_there,
    python,
    said,
    shell,
    spec_of,
    until,
)

ROOT = Path(__file__).parents[3]


def test_a_service_gets_a_clean_start(tmp_path: Path) -> None:
    """A session of its own, no descriptors and no signals of the agent's, and just the environment it is given."""
    script = """
import os, signal
print(os.getcwd(), sorted(os.environ), os.getsid(0) == os.getpid(), len(os.listdir("/proc/self/fd")))
ignored = [s for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if signal.getsignal(s) == signal.SIG_IGN]
print(ignored, signal.pthread_sigmask(signal.SIG_BLOCK, ()), os.umask(0), flush=True)
"""

    async def go() -> None:
        async with ending(tmp_path / "a") as place:
            run = await start(place, spec_of(*python(script), directory="/usr", environment={"A": "1"}))
            assert await ended(run) == (0, None)
            assert said(place) == ["/usr ['A', 'LC_CTYPE'] True 4", "[] set() 18"]

    asyncio.run(go())


@pytest.mark.parametrize(
    ("script", "how"), [("exit 0", (0, None)), ("exit 3", (3, None)), ("kill -SEGV $$", (None, signal.SIGSEGV))]
)
def test_how_it_ends_is_known(tmp_path: Path, script: str, how: tuple[int | None, int | None]) -> None:
    async def go() -> None:
        async with ending(tmp_path / "a") as place:
            run = await start(place, spec_of(*shell(f"echo out; echo err >&2; {script}")))
            assert await ended(run) == how
            assert said(place)[:2] == ["out", "err"]
            assert not is_held(place)

    asyncio.run(go())


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        (spec_of("/nonexistent"), "/nonexistent: No such file or directory"),
        (spec_of("/etc/passwd"), "/etc/passwd: Permission denied"),
        (spec_of("/bin/true", directory="/nonexistent"), "/nonexistent: No such file or directory"),
    ],
)
def test_what_can_not_be_started_says_why(tmp_path: Path, spec: Spec, says: str) -> None:
    async def go() -> None:
        async with ending(tmp_path / "a") as place:
            with pytest.raises(PactError) as caught:
                await start(place, spec)
            assert (caught.value.message, is_held(place)) == (says, False)

    asyncio.run(go())


def test_the_end_takes_all_that_it_has_started_along(tmp_path: Path) -> None:
    """Also children that ignore the signal, and one that has left for a session of its own."""
    stubborn = "trap '' TERM; echo child; sleep 1000"
    script = f'trap "" TERM; setsid sh -c "{stubborn}" & echo main; while :; do sleep 1000; done'

    async def go() -> None:
        async with ending(tmp_path / "a") as place:
            run = await start(place, spec_of(*shell(script), stop_timeout_s=0.2))
            await until(lambda: len(said(place)) == 2)
            group = [run.state.pid, *descendants(run.state.holder)]
            assert len(group) >= 3
            run.stop()
            assert await ended(run) == (None, signal.SIGKILL)
            assert [pid for pid in group if is_there(pid)] == []

    asyncio.run(go())


def test_it_ends_by_the_signal_it_wants(tmp_path: Path) -> None:
    async def go() -> None:
        async with ending(tmp_path / "a") as place:
            script = "trap 'echo bye; exit 7' INT; echo ready; while :; do sleep 0.05; done"
            run = await start(place, spec_of(*shell(script), stop_signal=signal.SIGINT))
            await until(lambda: said(place))
            run.stop()
            assert await ended(run) == (7, None)
            assert said(place) == ["ready", "bye"]

    asyncio.run(go())


def test_what_a_service_leaves_behind_is_reaped_and_ended_with_it(tmp_path: Path) -> None:
    script = "(true &); (true &); (sleep 1000 &); echo started; while [ ! -e stop ]; do sleep 0.02; done; exit 4"

    async def go() -> None:
        async with ending(tmp_path / "a") as place:
            run = await start(place, spec_of(*shell(script), directory=str(place)))
            await until(lambda: said(place))
            await until(lambda: len(_own_children(run.state.holder)) == 2)  # no zombies: itself and the one that sleeps
            left = set(_own_children(run.state.holder)) - {run.state.pid}
            (place / "stop").touch()
            assert await ended(run) == (4, None)
            assert [pid for pid in left if is_there(pid)] == []

    asyncio.run(go())


def test_who_started_it_may_be_killed_and_the_next_one_finds_it(tmp_path: Path) -> None:
    """Its output, its end and its exit status are kept whoever is there."""
    place = tmp_path / "a"
    place.mkdir()
    script = "n=0; while [ ! -e stop ]; do n=$((n+1)); echo $n; sleep 0.02; done; exit 5"
    parent = (
        "import asyncio, os\nfrom pathlib import Path\nfrom pact_agent.services.run import start\n"
        "from tests.pact_agent.services.processes import shell, spec_of\n"
        f"asyncio.run(start(Path({str(place)!r}), spec_of(*shell({script!r}), directory={str(place)!r})))\n"
        "os.kill(os.getpid(), 9)\n"
    )
    env = {"PYTHONPATH": f"{ROOT}:{ROOT / 'agent'}", "PATH": os.environ["PATH"]}
    done = subprocess.run((sys.executable, "-c", parent), env=env, stdin=subprocess.DEVNULL, timeout=60)
    assert done.returncode == -signal.SIGKILL

    async def go() -> None:
        async with ending(place):
            found = await find(place, "boot-1")
            assert isinstance(found, Run)
            pid, lines = found.state.pid, len(said(place))
            await until(lambda: len(said(place)) > lines + 2)
            assert is_there(pid)
            (place / "stop").touch()
            assert await ended(found) == (5, None)
            how = await find(place, "boot-1")
            assert isinstance(how, Ended)
            assert (how.status, how.signal) == (5, None)
            assert await find(place, "boot-2") is None

    asyncio.run(go())


def test_one_that_was_told_to_end_is_not_missed_by_the_next(tmp_path: Path) -> None:
    async def go() -> None:
        async with ending(tmp_path / "a") as place:
            run = await start(place, SPEC)
            run.stop()
            await ended(run)
            assert await find(place, "boot-1") is None

    asyncio.run(go())


def test_a_holder_that_is_killed_takes_its_service_along(tmp_path: Path) -> None:
    async def go() -> None:
        async with ending(tmp_path / "a") as place:
            run = await start(place, SPEC)
            os.kill(run.state.holder, signal.SIGKILL)
            async with asyncio.timeout(20):
                assert await run.ended() == Ended(signal=9, why="its holder was killed")
            await until(lambda: not is_there(run.state.pid))
            assert await find(place, "boot-1") == Ended(signal=9, why="its holder was killed")

    asyncio.run(go())


def test_nothing_is_started_twice(tmp_path: Path) -> None:
    async def go() -> None:
        async with ending(tmp_path / "a") as place:
            run = await start(place, SPEC)
            with pytest.raises(PactError, match="it is held already"):
                await start(place, SPEC)
            assert is_there(run.state.pid)
            run.stop()
            await ended(run)

    asyncio.run(go())


@pytest.mark.skipif(os.geteuid() != 0, reason="takes another user")
def test_it_runs_as_its_user_and_dies_with_its_holder(tmp_path: Path) -> None:
    async def go() -> None:
        async with ending(tmp_path / "a") as place:
            spec = spec_of(*shell("id -u; id -G; exec sleep 1000"), uid=65534, gid=65534, gids=(65534,))
            run = await start(place, spec)
            await until(lambda: len(said(place)) == 2)
            assert said(place) == ["65534", "65534"]
            os.kill(run.state.holder, signal.SIGKILL)
            await until(lambda: not is_there(run.state.pid))

    asyncio.run(go())


@pytest.mark.parametrize("text", ["", "{", "[]", '{"holder": "x"}'])
def test_a_state_that_can_not_be_read_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "state.json").write_text(text)
    assert read_state(tmp_path) is None


def _own_children(parent: int) -> list[int]:
    """Zombies too."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{name}/stat") as file:
                found += [int(name)] if file.read().rpartition(")")[2].split()[1] == str(parent) else []
    return found
