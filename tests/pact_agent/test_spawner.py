"""The spawner's promises: signals arrive at any moment, nothing outlives its job, shortage kills nobody."""

from __future__ import annotations

import asyncio
import os
import resource
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from pact_agent.sandbox import Plan
from pact_agent.spawnclient import PIPE, Ended, Job, Running, Spawner, StageSpec

from pactsh.errors import PactError

ENV = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
Start = Callable[..., Awaitable[Running]]


def with_spawner(tmp_path: Path, use: Callable[[Spawner, Start], Awaitable[None]]) -> None:
    scratch = tmp_path / "masks"
    scratch.mkdir()
    spawner = Spawner.launch(scratch)

    async def start(*commands: tuple[str, ...], stdout: int = -1) -> Running:
        """A pipeline of commands; the last one writes to `stdout`."""
        last = len(commands) - 1
        stages = tuple(
            StageSpec(
                path=argv[0], argv=argv, env=ENV, cwd="/", plan=Plan(),
                stdio=(-2 if n == 0 else PIPE, PIPE if n < last else 0 if stdout >= 0 else -2, -2),
            )
            for n, argv in enumerate(commands)
        )  # fmt: skip
        return await spawner.spawn(Job(stages=stages, fds=(stdout,) if stdout >= 0 else ()))

    async def go() -> None:
        await spawner.start()
        try:
            await use(spawner, start)
        finally:
            spawner.close()

    try:
        asyncio.run(go())
    finally:
        os.waitpid(spawner.pid, 0)  # it ends when the link does


SLEEP = ("/usr/bin/sleep", "300")


@pytest.mark.parametrize("stages", [1, 3])
@pytest.mark.parametrize(("name", "status"), [("INT", 130), ("TERM", 143), ("HUP", 129), ("QUIT", 131)])
def test_a_signal_sent_right_after_the_start_arrives(tmp_path: Path, stages: int, name: str, status: int) -> None:
    """More jobs at once than children wait, so that some are forked for the job."""

    async def use(_spawner: Spawner, start: Start) -> None:
        for _ in range(3):
            jobs = [await start(*(SLEEP,) * stages) for _ in range(5)]
            for job in jobs:
                job.kill(name)
            for job in jobs:
                ended = await asyncio.wait_for(job.wait(), 20)
                assert set(ended.statuses) == {status}

    with_spawner(tmp_path, use)


def test_generations_of_daemons_are_killed_without_another_job(tmp_path: Path) -> None:
    """Each has its own session and children; these come to the spawner only when their parent has died."""
    script = (
        "use POSIX; for (1 .. 6) { my $p = fork; if ($p) { $_ == 1 ? exit 0 : sleep 300 } POSIX::setsid(); } sleep 300"
    )

    async def use(_spawner: Spawner, start: Start) -> None:
        read, write = os.pipe()
        job = await start(("/usr/bin/perl", "-e", script), stdout=write)
        os.close(write)
        await job.wait()
        with os.fdopen(read, "rb") as output:
            # The end of the file comes when the last of them has died.
            assert await asyncio.wait_for(asyncio.to_thread(output.read), 20) == b""

    with_spawner(tmp_path, use)


def test_it_survives_a_shortage_of_processes_or_descriptors(tmp_path: Path) -> None:
    async def use(spawner: Spawner, start: Start) -> None:
        before = resource.prlimit(spawner.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(spawner.pid, resource.RLIMIT_NOFILE, (9, before[1]))
        ends = [await (await start(("/usr/bin/true",))).wait() for _ in range(6)]
        assert any(end.statuses != (0,) and end.errors for end in ends)
        resource.prlimit(spawner.pid, resource.RLIMIT_NOFILE, before)
        # Children that were forked meanwhile still suffer.
        after = [await (await start(("/usr/bin/true",))).wait() for _ in range(6)]
        assert after[-1] == Ended((0,))

    with_spawner(tmp_path, use)


def test_an_oversized_job_is_refused_and_the_spawner_lives(tmp_path: Path) -> None:
    async def use(_spawner: Spawner, start: Start) -> None:
        with pytest.raises(PactError, match="too long"):
            await start(("/usr/bin/true", "x" * (5 << 20)))
        assert await (await start(("/usr/bin/true",))).wait() == Ended((0,))

    with_spawner(tmp_path, use)


def test_a_program_that_cannot_be_started_says_so(tmp_path: Path) -> None:
    async def use(_spawner: Spawner, start: Start) -> None:
        assert (await (await start(("/nonexistent/program",))).wait()).statuses == (127,)

    with_spawner(tmp_path, use)


def test_statuses_are_those_of_the_stages_in_order(tmp_path: Path) -> None:
    async def use(_spawner: Spawner, start: Start) -> None:
        job = await start(("/usr/bin/false",), ("/usr/bin/perl", "-e", "exit 7"), ("/usr/bin/true",))
        assert await job.wait() == Ended((1, 7, 0))

    with_spawner(tmp_path, use)
