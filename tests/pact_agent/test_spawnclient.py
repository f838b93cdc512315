"""The agent's side of the spawner: ends, signals, and what becomes of those who wait when it dies."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from pact_agent.sandbox import Plan
from pact_agent.spawnclient import PIPE, Ended, Job, Spawner, StageSpec

from pactsh.errors import PactError

Use = Callable[[Spawner], Awaitable[None]]


def stage(*argv: str, stdio: tuple[int, int, int] = (-2, -2, -2), text: str | None = None) -> StageSpec:
    return StageSpec(
        path=argv[0], argv=argv, env={"PATH": "/usr/bin:/bin"}, cwd="/", plan=Plan(), stdio=stdio, text=text
    )


def play(tmp_path: Path, use: Use) -> None:
    scratch = tmp_path / "masks"
    scratch.mkdir()
    spawner = Spawner.launch(scratch)

    async def go() -> None:
        async with asyncio.timeout(60):
            await spawner.start()
            try:
                await use(spawner)
            finally:
                spawner.close()

    try:
        asyncio.run(go())
    finally:
        os.waitpid(spawner.pid, 0)


def test_nothing_is_ever_run_twice(tmp_path: Path) -> None:
    """A child that hangs up right after its job has taken it: handing the job to another would run it again."""

    async def use(spawner: Spawner) -> None:
        read, write = os.pipe()
        job = Job((stage("/usr/bin/echo", "x", stdio=(-2, 0, -2)),), (write,))
        piped = Job(
            (stage("/usr/bin/echo", "x", stdio=(-2, PIPE, -2)), stage("/usr/bin/cat", stdio=(PIPE, 0, -2))), (write,)
        )
        count = 0
        for _ in range(15):  # more at a time than children wait, and each batch fits the pipe
            jobs = [await spawner.spawn(j) for j in (job, piped) * 5]
            for running in jobs:
                assert set((await running.wait()).statuses) == {0}
            count += len(jobs)
        os.close(write)
        with os.fdopen(read, "rb") as output:
            assert output.read() == b"x\n" * count

    play(tmp_path, use)


def test_a_waiter_that_gives_up_leaves_the_job_alone(tmp_path: Path) -> None:
    async def use(spawner: Spawner) -> None:
        running = await spawner.spawn(Job((stage("/usr/bin/sleep", "100"),), ()))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await running.wait()
        running.kill("TERM")
        assert await running.wait() == Ended((128 + signal.SIGTERM,))
        running.kill("KILL")  # of one that has ended: nothing, and no other job with its number either
        assert await running.wait() == Ended((128 + signal.SIGTERM,))

    play(tmp_path, use)


def test_everybody_who_waits_learns_that_the_spawner_died(tmp_path: Path) -> None:
    async def use(spawner: Spawner) -> None:
        jobs = [await spawner.spawn(Job((stage("/usr/bin/sleep", "100"),), ())) for _ in range(3)]
        waiting = [asyncio.create_task(job.wait()) for job in jobs]
        os.kill(spawner.pid, signal.SIGKILL)
        assert await asyncio.gather(*waiting) == [Ended((137,), ("the spawner died",))] * 3
        assert not spawner.alive
        with pytest.raises(PactError, match="spawner has died"):
            await spawner.spawn(Job((stage("/usr/bin/true"),), ()))
        jobs[0].kill("TERM")

    play(tmp_path, use)


def test_it_says_what_the_kernel_enforces(tmp_path: Path) -> None:
    async def use(spawner: Spawner) -> None:
        assert spawner.features.keys() == {
            "landlock_abi",
            "seccomp",
            "masks",
            "masks_error",
            "capabilities",
            "cgroups",
            "bounded",
        }
        assert spawner.features["capabilities"] == (os.geteuid() == 0)

    play(tmp_path, use)


def test_a_text_stage_writes_without_a_program(tmp_path: Path) -> None:
    async def use(spawner: Spawner) -> None:
        read, write = os.pipe()
        running = await spawner.spawn(Job((stage("", stdio=(-2, 0, 0), text="aGkK"),), (write,)))
        os.close(write)
        assert await running.wait() == Ended((0,))
        with os.fdopen(read, "rb") as output:
            assert output.read() == b"hi\n"

    play(tmp_path, use)
