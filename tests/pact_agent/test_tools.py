"""Our own programs on a node are contained like any other: they can read what they need, and talk to the agent.

`timeit` of the standard library stands in for a program of ours that was taken over: its arguments are code.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pact_agent.io import Terminal
from pact_agent.spawnclient import Job, Spawner
from pact_agent.tools import Tools, interpreter_paths, unprivileged

from tests.pact_agent.localnode import IS_ROOT, WHO, LocalNode

ENV = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
PROBE = "import os, socket, sys, ctypes\ntry:\n {}\n print('done')\nexcept OSError as e:\n print(e.strerror)"


def taken_over(tmp_path: Path, code: str, user: str = "nobody") -> str:
    """What a program of ours says that runs `code`."""

    async def go() -> str:
        ours, theirs = socket.socketpair()
        read, write = os.pipe()
        with ours, theirs, open(os.devnull, "rb") as null:
            spec = Tools(user).stage(
                "timeit", ("-n1", "-r1", *code.splitlines()), stdio=(0, 1, 1), session_index=2, env=ENV, terminal=None
            )
            await spawner.start()
            running = await spawner.spawn(Job((spec,), (null.fileno(), write, theirs.fileno())))
            os.close(write)
            ended = await running.wait()
            assert not ended.errors
        with os.fdopen(read, "rb") as output:
            text = output.read().decode()
        spawner.close()
        return text

    scratch = tmp_path / "masks"
    scratch.mkdir(exist_ok=True)
    spawner = Spawner.launch(scratch, (str(scratch),))
    try:
        return asyncio.run(go())
    finally:
        os.waitpid(spawner.pid, 0)


ATTEMPTS = {
    "write": "open('{place}/new', 'w')",
    "append": "open('{place}/file', 'a')",
    "remove": "os.unlink('{place}/file')",
    "make a directory": "os.mkdir('{place}/new')",
    "read elsewhere": "open('{place}/file')",
    "change a mode": "os.chmod('{place}/file', 0o777)",
    "exec": "os.execv('/bin/true', ['true'])",
    "a program": "os.waitpid(os.posix_spawn('/bin/true', ['true'], {{}}), 0)",
    "a unix socket": "socket.socket(socket.AF_UNIX)",
    "an inet socket": "socket.socket()",
    "a datagram socket": "socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
    "signal the agent": "os.kill({pid}, 0)",
}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A directory that everybody may use, as far as its mode goes."""
    made = tmp_path / "open"
    made.mkdir()
    (made / "file").write_text("x")
    (made / "file").chmod(0o666)
    made.chmod(0o777)
    modes = []
    for above in made.parents:
        mode = stat.S_IMODE(above.stat().st_mode)
        if not mode & 0o001 and above.stat().st_uid == os.geteuid():
            modes.append((above, mode))
            above.chmod(mode | 0o011)
    yield made
    for above, mode in modes:
        above.chmod(mode)


@pytest.mark.skipif(not IS_ROOT, reason="the sandbox of a root agent is tested: run the tests as root")
@pytest.mark.parametrize("attempt", ATTEMPTS.values(), ids=ATTEMPTS)
def test_taken_over_it_can_do_nothing(tmp_path: Path, place: Path, attempt: str) -> None:
    code = attempt.format(place=place, pid=os.getpid())
    if "exec" not in code:
        freely = subprocess.run(
            [sys.executable, "-c", PROBE.format(code)], capture_output=True, text=True, timeout=30, check=True
        )
        assert freely.stdout == "done\n", "outside the sandbox it must work"
        (place / "file").write_text("x")
        for new in place.glob("new"):
            new.rmdir() if new.is_dir() else new.unlink()
    said = taken_over(tmp_path, PROBE.format(code)).splitlines()[0]
    unsupported = "Address family not supported by protocol"  # what the filter says of unix sockets
    assert said in {"Permission denied", "Operation not permitted", "No such process", unsupported}
    assert [p.name for p in place.iterdir()] == ["file"]


@pytest.mark.skipif(not IS_ROOT, reason="the sandbox of a root agent is tested: run the tests as root")
def test_it_has_no_capability_and_is_nobody_where_nobody_can_read_the_interpreter(tmp_path: Path) -> None:
    code = PROBE.format("print(*(l.split()[1] for l in open('/proc/self/status') if l.startswith(('CapEff', 'Uid'))))")
    uid, capabilities = taken_over(tmp_path, code).splitlines()[0].split()
    assert int(capabilities, 16) == 0
    expected, _ = unprivileged("nobody", interpreter_paths())
    assert int(uid) == (0 if expected is None else expected)


@pytest.mark.skipif(not IS_ROOT, reason="the sandbox of a root agent is tested: run the tests as root")
def test_it_can_list_directories_for_completion(tmp_path: Path) -> None:
    assert taken_over(tmp_path, PROBE.format("assert 'passwd' in os.listdir('/etc')")).startswith("done")


def test_it_gets_the_session_and_nothing_of_the_environment() -> None:
    spec = Tools("nobody").stage(
        "pactsh.cli.main", ("status", "; id"), stdio=(0, 1, 2), session_index=3, env=ENV, terminal=Terminal()
    )
    assert spec.env == ENV | {"PACT_SESSION_FD": "3"}
    assert spec.keep == {"3": 3}
    assert spec.argv[:2] == (sys.executable, "-ISXutf8")
    assert spec.argv[-2:] == ("status", "; id")
    plan = spec.plan
    assert (plan.caps, plan.write, plan.devices, plan.execute) == ((), (), (), ())
    assert (plan.network, plan.lookup, plan.changing, plan.signals, plan.confined) == (False, False, False, False, True)
    assert (plan.terminal, plan.listing) == (True, True)
    assert "*" not in plan.read
    assert "/" not in plan.read


def test_a_user_that_cannot_reach_the_interpreter_is_not_taken(tmp_path: Path) -> None:
    assert unprivileged("no-such-user", ("/usr",)) == (None, None)
    hidden = tmp_path / "hidden"
    (hidden / "python").mkdir(parents=True)
    hidden.chmod(0o700)
    with contextlib.suppress(KeyError):
        assert unprivileged("nobody", (str(hidden / "python"),)) == (None, None)
        assert unprivileged("nobody", ("/usr", "/etc/passwd"))[0] is not None


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("pact whoami", WHO),
        ("pact status | cat", "node042"),
        ("pact cap --output json | head -c 1", "{"),
        ("pact --help | head -1", "pact"),
    ],
)
def test_pact_inside_a_session(node: LocalNode, line: str, says: str) -> None:
    done = node.line(line)
    assert (done.returncode, done.stderr) == (0, "")
    assert says in done.stdout


def test_pact_inside_a_session_is_that_session(node: LocalNode) -> None:
    done = node.line("pact whoami --output json")
    told = json.loads(done.stdout)
    assert told["principal"] == WHO
    assert node.line("pact nonsense").returncode == 6  # the whitelist knows our own program too
