"""Every known way out of a catalogued program: refused by its form, and by the kernel where nobody looks at forms.

Each row of `primitives` is decided on; then run outside the sandbox, where it has to work, so that the row
proves something; then run with the plan of the plainest accepted line of that program, where it must not.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import struct
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest
from pact_agent.stages import environment

from pactsh.errors import NotFoundError
from tests.escapes.cage import (
    BARE,
    ON_TERMINAL,
    Cage,
    Ended,
    bounds_of,
    caged,
    free,
    free_typed,
    program_of,
    stage_of,
)  # fmt: skip
from tests.escapes.primitives import GTFOBINS, ROWS, TYPED, Row, Typed
from tests.pact_agent.localnode import IS_ROOT
from tests.pactsh.catalog.deciding import decided, shipped

SECRET = "pact-secret-7c2d"
MARK = "ESCAPED-7c2d"
needs_root = pytest.mark.skipif(not IS_ROOT, reason="the sandbox of a root agent is tested: run the tests as root")


def named(row: Row | Typed) -> str:
    return f"{row.program} {row.function} {row.words}"


class Scene(NamedTuple):
    """Files for the rows, and a process of somebody else's."""

    directory: Path
    cage: Cage

    def words(self, work: Path, pid: int = 0) -> dict[str, str]:
        """What the placeholders stand for, with fresh files in `work`."""
        shutil.rmtree(work, ignore_errors=True)
        (work / "home" / "var" / "lib" / "systemd").mkdir(parents=True)
        (work / "home" / "usr" / "lib" / "systemd" / "catalog").mkdir(parents=True)
        files = {
            "plain": "one\ntwo\n", "hex": "00000000: 6162 63\n", "name": "pact-escape\n", "magic": "0 string x y\n",
            "conf": f"install pact-escape {self.directory}/tool\n",
            "copy": (self.directory / "safe" / "secret").read_text(),
            "home/usr/lib/systemd/catalog/x.catalog": f"-- {7:032x}\nSubject: x\n\nx\n",
            "sysctl": f"vm.swappiness = {Path('/proc/sys/vm/swappiness').read_text().strip()}\n",
        }  # fmt: skip
        for name, text in files.items():
            (work / name).write_text(text)
        return {name: str(work / name) for name in (*files, "home", "target")} | {
            "dir": str(self.directory), "secret": str(self.directory / "safe" / "secret"),
            "vault": str(self.directory / "vault"), "wtmp": str(self.directory / "safe" / "wtmp"),
            "rc": str(self.directory / "rc"),
            "tool": str(self.directory / "tool"), "bin": str(self.directory / "bin"),
            "big": str(self.directory / "big"), "text": str(self.directory / "text"), "pid": str(pid), "fd": "3",
            "now": str(int(time.time())), "clock": time.strftime("%m%d%H%M%Y.%S"),
            "core": Path("/proc/sys/kernel/core_pattern").read_text().strip(),
        }  # fmt: skip

    def happened(self, row: Row | Typed, work: Path, ended: Ended, victim: subprocess.Popen[bytes]) -> bool:
        """Whether the escape had its effect."""
        flag = self.directory / "flag"
        ran = MARK in ended.text or flag.exists() or (row.program == "diff" and "Page 1" in ended.text)
        flag.unlink(missing_ok=True)
        made = sorted(str(p.relative_to(work)) for p in work.rglob("*") if p.is_file())
        usual = {"conf", "hex", "magic", "name", "plain", "sysctl", "copy", "home/usr/lib/systemd/catalog/x.catalog"}
        return {
            "ran": ran,
            "shown": SECRET in ended.text,
            "written": bool(set(made) - usual),
            "gone": "plain" not in made,
            "done": ended.status == 0,
            "killed": row.shows == "killed" and _is_dead(victim),
        }[row.shows]


def _is_dead(victim: subprocess.Popen[bytes]) -> bool:
    try:
        return victim.wait(1) != 0
    except subprocess.TimeoutExpired:
        return False


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    directory = tmp_path_factory.mktemp("p")
    for name in ("safe", "vault", "bin", "rc"):
        (directory / name).mkdir()
    (directory / "safe" / "secret").write_text(f"{SECRET} /pact ext4 defaults 0 0\n")
    (directory / "vault" / SECRET).write_text("")
    # utmp(5): a USER_PROCESS of a user with the secret's name
    record = struct.pack("<hxxi32s4s32s256s", 7, 1, b"pts/9", b"9", SECRET.encode(), b"").ljust(384, b"\0")
    (directory / "safe" / "wtmp").write_bytes(record)
    (directory / "text").write_text("first line\n" + "line\n" * 100)
    (directory / "big").write_text("".join(f"{n * 7919 % 100003}\n" for n in range(40000)))
    tool = directory / "tool"
    tool.write_text(f"#!/bin/sh\necho {MARK} >&2\necho > {directory}/flag\nexec cat\n")
    tool.chmod(0o755)
    for name in ("strace", "lsof", "ssh"):
        (directory / "bin" / name).symlink_to(tool)
    _inspecting(directory / "rc", tool)
    secrets = (*(str(directory / "safe" / name) for name in ("secret", "wtmp")), str(directory / "vault"))
    for cage in caged(directory, secrets):
        yield Scene(directory, cage)


def _inspecting(home: Path, tool: Path) -> None:
    """top's own configuration with a command of the attacker's in it."""
    free_typed(("/usr/bin/top",), (("PID", "W"), (".", "q")), env=dict(BARE) | {"HOME": str(home)})
    for file in home.rglob("*toprc"):
        with file.open("a") as rc:
            rc.write(f"pipe\tpact\t{tool}\n")


@pytest.fixture
def victim(scene: Scene) -> Iterator[subprocess.Popen[bytes]]:
    """A process that has a secret in its environment and another open."""
    secret = scene.directory / "safe" / "secret"
    process = subprocess.Popen(
        ["/usr/bin/tail", "-f", str(secret)], env={"MARK": SECRET}, stdout=subprocess.DEVNULL, start_new_session=True
    )
    ready_by = time.monotonic() + 10
    while SECRET.encode() not in Path(f"/proc/{process.pid}/environ").read_bytes() or not os.path.exists(
        f"/proc/{process.pid}/fd/3"
    ):
        assert time.monotonic() < ready_by, "tail has not opened its file"
    yield process
    process.kill()
    process.wait()


# -- the form


@pytest.mark.parametrize("row", ROWS, ids=named)
def test_its_form_is_refused(row: Row) -> None:
    places = {
        "secret": "/etc/shadow", "wtmp": "/etc/shadow", "vault": "/root", "dir": "/etc", "pid": "1234",
        "core": "|/tmp/x", "copy": "/etc/hosts", "fd": "3", "now": "0", "clock": "010100002026.00",
    }  # fmt: skip
    others = ("plain", "hex", "name", "magic", "conf", "sysctl", "home", "target", "tool", "bin", "big", "text")
    words = row.words.format_map(places | {name: f"/tmp/{name}" for name in others})
    decision = decided(f"{row.program} {words}")
    assert (decision.verdict, decision.status) == (("allow", 0) if row.accepted else ("refuse", 6))
    assert bool(decision.reason) != row.accepted


def test_every_program_of_the_public_list_has_rows() -> None:
    assert set(shipped()) >= GTFOBINS
    assert {row.program for row in ROWS} | {row.program for row in TYPED} >= GTFOBINS


# -- the kernel


def prepared(row: Row | Typed) -> tuple[str, tuple[str, ...]]:
    """The program's file and the words in front of its arguments; skips where it is missing."""
    if isinstance(row, Row) and row.untried:
        pytest.skip(f"the form alone is tried: {row.untried}")
    if isinstance(row, Row) and row.needs is not None and not os.path.exists(row.needs[0]):
        pytest.skip(f"no {row.needs[0]} here: needs {row.needs[1]}")
    try:
        if row.program == "umount":
            return "/usr/bin/umount", ("umount",)
        return program_of(row.line)
    except NotFoundError as error:
        pytest.skip(f"{error.message}: packaging/system-packages brings what Debian has")


@needs_root
@pytest.mark.parametrize("row", ROWS, ids=named)
def test_the_kernel_refuses_it_too(row: Row, scene: Scene, tmp_path: Path, victim: subprocess.Popen[bytes]) -> None:
    path, front = prepared(row)
    work = tmp_path / "work"

    def argv() -> list[str]:
        values = scene.words(work, victim.pid)
        return [*front, *(w.format_map(values) for w in shlex.split(row.words))]

    stdin = row.stdin.encode()
    if row.within is not None:
        words = argv()
        started = [path, *words[1:]] if row.within else words
        outside = free(started, path=path, stdin=stdin, cwd=str(work), within=row.within)
        assert scene.happened(row, work, outside, victim), f"without a sandbox it must work: {outside}"
    inside = scene.cage.run(argv(), bounds_of(row.line), path=path, stdin=stdin, cwd=str(work))
    assert not scene.happened(row, work, inside, victim), inside
    assert not inside.text.startswith("pact: "), "it was not started"


# -- programs that have the terminal


@needs_root
@pytest.mark.parametrize("row", TYPED, ids=named)
def test_keys_lead_nowhere(row: Typed, scene: Scene, tmp_path: Path, victim: subprocess.Popen[bytes]) -> None:
    path, front = prepared(row)
    work = tmp_path / "work"

    def filled(text: str, values: Mapping[str, str]) -> str:
        return text.format_map(values)

    def script() -> tuple[list[str], tuple[tuple[str, str], ...], dict[str, str]]:
        values = scene.words(work, victim.pid)
        argv = [*front, *(filled(w, values) for w in shlex.split(row.words))]
        keys = tuple((prompt, filled(text, values)) for prompt, text in row.keys)
        return argv, keys, dict(BARE) | {name: filled(value, values) for name, value in row.env}

    # With what the agent gives it: the program's own secure mode, before any kernel.
    argv, keys, _ = script()
    agents = stage_of(row.line).argv
    guarded = free_typed(
        (path, *agents[1:]), keys, cwd=str(work), env=environment(ON_TERMINAL), patience_s=2, stdin=row.stdin
    )
    assert not scene.happened(row, work, guarded, victim), guarded
    # Without it, and without the kernel.
    argv, keys, env = script()
    bait = subprocess.Popen(["/usr/bin/sleep", "300"], env={"MARK": SECRET}, start_new_session=True)
    try:
        swap = {str(victim.pid): str(bait.pid)}
        outside = free_typed(
            (path, *(swap.get(w, w) for w in argv[1:])),
            tuple((p, t.replace(str(victim.pid), str(bait.pid))) for p, t in keys),
            cwd=str(work), env=env, stdin=row.stdin,
        )  # fmt: skip
        assert scene.happened(row, work, outside, bait), f"without a sandbox it must work: {outside}"
    finally:
        bait.kill()
        bait.wait()
    # Without it, with the kernel.
    argv, keys, env = script()
    inside = scene.cage.typed(
        argv, bounds_of(row.line, ON_TERMINAL), keys, path=path, cwd=str(work), env=env, stdin=row.stdin
    )
    assert re.search(row.keys[0][0], inside.text), f"it does not come to its first prompt: {inside}"
    assert not scene.happened(row, work, inside, victim), inside
