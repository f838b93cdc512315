"""One spawner for a module's tests, and programs run in and out of what it makes of a plan."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pexpect
import pexpect.fdpexpect
import pytest
from pact_agent.config import Limits
from pact_agent.io import Io, Terminal
from pact_agent.sandbox import Plan
from pact_agent.spawnclient import Job, Running, Spawner, StageSpec
from pact_agent.stages import launch, plan_of, resolve_program

from pactsh.policy.decision import StageDecision
from tests.pactsh.catalog.deciding import decided

TIMEOUT_S = 20
_SOURCE = Path(__file__).with_name("misbehave.c")
# Not the agent's fixed environment: a program's own secure mode would hide what the kernel does.
BARE = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "TERM": "vt100", "HOME": "/"}
PIPES = Io(0, 1, 2)
ON_TERMINAL = Io(None, None, None, Terminal("vt100", 24, 80))

Keys = tuple[tuple[str, str], ...]
"""What to type on a terminal: (regular expression to wait for, keys)."""


class Ended(NamedTuple):
    """The exit status (128+N by signal) and all that was written."""

    status: int
    text: str


def stage_of(line: str) -> StageDecision:
    """An accepted line of one command, as it is decided."""
    decision = decided(line)
    assert decision.verdict == "allow", f"{line}: {decision.reason}"
    return decision.stages[0]


def bounds_of(line: str, io: Io = PIPES) -> Plan:
    """The plan of an accepted line."""
    stage = stage_of(line)
    assert stage.program is not None
    return plan_of(stage, stage.program, io, Limits())


def program_of(line: str) -> tuple[str, tuple[str, ...]]:
    """The file an accepted line runs and what stands in its argv for the name. Raises `NotFoundError`."""
    stage = stage_of(line)
    assert stage.program is not None
    return launch(resolve_program(stage.name, stage.program), (stage.name,))


class Cage:
    """Runs programs bound by plans; `secrets` are masked as the agent masks what it knows."""

    def __init__(self, scratch: Path, secrets: Sequence[str]) -> None:
        scratch.mkdir()
        self._spawner = Spawner.launch(scratch, secrets)
        self._loop = asyncio.new_event_loop()
        self._loop.run_until_complete(self._spawner.start())

    def close(self) -> None:
        """End the spawner."""

        async def end() -> None:
            self._spawner.close()

        self._loop.run_until_complete(end())
        self._loop.close()
        os.kill(self._spawner.pid, signal.SIGKILL)
        os.waitpid(self._spawner.pid, 0)

    def run(
        self,
        argv: Sequence[str],
        plan: Plan,
        *,
        path: str = "",
        stdin: bytes = b"",
        cwd: str = "/",
        env: Mapping[str, str] = BARE,
        meanwhile: Callable[[], None] | None = None,
    ) -> Ended:
        """Run a program with pipes. `meanwhile` is called once it has written its first line."""
        return self._loop.run_until_complete(self._run(_stage(argv, plan, path, cwd, env, (0, 1, 1)), stdin, meanwhile))

    async def _run(self, stage: StageSpec, stdin: bytes, meanwhile: Callable[[], None] | None) -> Ended:
        given, feed = os.pipe()
        read, write = os.pipe()
        try:
            running = await self._spawner.spawn(Job(stages=(stage,), fds=(given, write)))
            os.write(feed, stdin)
        finally:
            for fd in (given, feed, write):
                os.close(fd)
        with os.fdopen(read, "rb") as output:
            first = b""
            if meanwhile is not None:
                first = await asyncio.to_thread(output.readline)
                await asyncio.to_thread(meanwhile)
            reading = asyncio.create_task(asyncio.to_thread(output.read))
            status = await _end(running)
            text = first + await reading
        return Ended(status, text.decode(errors="replace"))

    def leave(self, argv: Sequence[str], plan: Plan, kept: int) -> int:
        """Start a program that writes the pid of a child, kill the spawner, and return that pid. `kept` is stderr."""

        async def go() -> int:
            read, write = os.pipe()
            stage = _stage(argv, plan, "", "/", BARE, (-2, 0, 1))
            await self._spawner.spawn(Job(stages=(stage,), fds=(write, kept)))
            os.close(write)
            with os.fdopen(read, "rb") as output:
                return int(await asyncio.to_thread(output.readline))

        pid = self._loop.run_until_complete(go())
        os.kill(self._spawner.pid, signal.SIGKILL)  # before it sees its link close, and ends what it has started
        self.close()
        return pid

    def typed(
        self,
        argv: Sequence[str],
        plan: Plan,
        keys: Keys,
        *,
        path: str = "",
        cwd: str = "/",
        env: Mapping[str, str] = BARE,
        stdin: str = "",
    ) -> Ended:
        """Run a program on a terminal of its own and type `keys`; `stdin` comes down a pipe instead."""
        master, slave = os.openpty()
        given, feed = os.pipe()
        os.write(feed, stdin.encode())
        os.close(feed)
        stage = _stage(argv, plan, path, cwd, env, (1 if stdin else 0, 0, 0))
        running = self._loop.run_until_complete(self._spawner.spawn(Job(stages=(stage,), fds=(slave, given), tty=0)))
        os.close(slave)
        os.close(given)
        child: pexpect.fdpexpect.fdspawn[bytes] = pexpect.fdpexpect.fdspawn(master, timeout=5)
        try:
            text = drive(child, keys, 2)
            return Ended(self._loop.run_until_complete(_end(running, 1)), text)
        finally:
            child.close()


def _stage(
    argv: Sequence[str], plan: Plan, path: str, cwd: str, env: Mapping[str, str], stdio: tuple[int, int, int]
) -> StageSpec:
    return StageSpec(path=path or argv[0], argv=tuple(argv), env=dict(env), cwd=cwd, plan=plan, stdio=stdio)


async def _end(running: Running, timeout_s: float = TIMEOUT_S) -> int:
    """The status of a job's last stage; one that does not end by itself is killed."""
    try:
        async with asyncio.timeout(timeout_s):
            ended = await running.wait()
    except TimeoutError:
        running.kill("KILL")
        ended = await running.wait()
    assert not ended.errors, ended.errors
    return ended.statuses[-1]


def free(
    argv: Sequence[str],
    *,
    path: str = "",
    stdin: bytes = b"",
    cwd: str = "/",
    env: Mapping[str, str] = BARE,
    within: Sequence[str] = (),
) -> Ended:
    """The same outside the sandbox. `within` starts it (`unshare --net`), where its effect is the machine's."""
    done = subprocess.run(
        [*within, *argv],
        executable=None if within else path or argv[0],
        input=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=cwd,
        env=dict(env),
        timeout=TIMEOUT_S,
        check=False,
    )
    status = 128 - done.returncode if done.returncode < 0 else done.returncode
    return Ended(status, done.stdout.decode(errors="replace"))


def free_typed(
    argv: Sequence[str],
    keys: Keys,
    *,
    cwd: str = "/",
    env: Mapping[str, str] = BARE,
    patience_s: float = 8,
    stdin: str = "",
) -> Ended:
    """The same on a terminal, outside the sandbox."""
    if stdin:
        argv = ("/bin/sh", "-c", 'text=$1; shift; printf "%s" "$text" | "$@"', "sh", stdin, *argv)
    child: pexpect.spawn[bytes] = pexpect.spawn(
        argv[0], list(argv[1:]), cwd=cwd, env=dict(env), timeout=5, dimensions=(24, 80)
    )
    try:
        text = drive(child, keys, patience_s)
    finally:
        child.close(force=True)
    return Ended(child.exitstatus or 0, text)


def drive(child: pexpect.spawn[bytes] | pexpect.fdpexpect.fdspawn[bytes], keys: Keys, patience_s: float) -> str:
    """Type the keys, each when its prompt is there; all that was shown. A prompt that never comes ends it."""
    seen = b""
    for prompt, typed in (*keys, ("", "")):
        patterns: list[Any] = [prompt.encode() if prompt else pexpect.EOF, pexpect.EOF, pexpect.TIMEOUT]
        found = child.expect(patterns, patience_s if prompt else 1)
        seen += child.before or b""
        if found != 0 or not prompt:
            break
        seen += child.after if isinstance(child.after, bytes) else b""
        with contextlib.suppress(OSError):
            child.send(typed.encode())
    return seen.decode(errors="replace")


def compiled(directory: Path) -> str:
    """`misbehave.c` as a program; skips the test without a compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("needs a C compiler: apt-get install gcc libc6-dev")
    program = str(directory / "misbehave")
    subprocess.run([compiler, "-O1", "-Wall", "-o", program, str(_SOURCE)], check=True, timeout=60)
    return program


def caged(directory: Path, secrets: Sequence[str]) -> Iterator[Cage]:
    """A cage for a fixture."""
    cage = Cage(directory / "masks", secrets)
    try:
        yield cage
    finally:
        cage.close()
