"""The program: readiness, signals, garbage on its port, a second one, and kill -9 at any moment."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pactsh.auth.ca import Authority, new_agent_request, utc_now
from pactsh.auth.issuer import DevIssuer
from pactsh.errors import UnreachableError
from pactsh.rpc.client import Journal
from tests.pactsh.journal.material import draft

PROGRAM = (sys.executable, "-c", "from pactsh.journal.server import main; main()")


def program(*options: object, **settings: object) -> subprocess.Popen[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GRPC_")}
    return subprocess.Popen(
        [*PROGRAM, *map(str, options)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def finished(*options: object) -> tuple[int, str, str]:
    """Run to the end: status, stdout, stderr."""
    process = program(*options)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


@contextmanager
def serving(directory: Path, *options: object) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """The program, started and ready; killed at the end if still there."""
    DevIssuer.open(directory / "issuer", clock=utc_now)
    ready_file = directory / "ready.json"
    ready_file.unlink(missing_ok=True)
    process = program(
        *("serve", "--data-dir", directory / "data", "--listen", "127.0.0.1:0", "--listen-unix", directory / "s"),
        *("--dev-issuer", directory / "issuer", "--ready-file", ready_file, *options),
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("pact-journal: ready on "), (line, process.stderr and process.stderr.read())
        yield process, json.loads(ready_file.read_text())
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=30)


def admin(directory: Path, facts: dict[str, str]) -> Journal:
    token = DevIssuer.open(directory / "issuer", clock=utc_now).issue("root@x", ["pact-platform-admin"])
    return Journal(facts["endpoint"], ca=Path(facts["ca"]).read_bytes(), token=token)


def agent(directory: Path) -> Journal:
    authority = Authority.load(directory / "data" / "ca")
    key, request = new_agent_request("node042")
    cert = authority.agent_certificate("node042", request)
    return Journal(f"unix:{directory}/s", ca=authority.ca_pem, cert=cert, key=key, timeout_s=10)


def test_it_starts_says_so_once_and_stops_in_order(tmp_path: Path) -> None:
    with serving(tmp_path) as (process, facts):
        assert facts["unix"] == f"unix:{tmp_path}/s"
        assert facts["agents"] == ""

        async def use() -> None:
            async with agent(tmp_path) as journal:
                await journal.append([draft(1)])
            async with admin(tmp_path, facts) as journal:
                assert [e.seq for e in await journal.list()] == [1]

        asyncio.run(use())
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert out == ""  # the readiness line was all
    assert not (tmp_path / "s").exists()
    with sqlite3.connect(tmp_path / "data" / "journal.db") as connection:
        assert connection.execute("SELECT seq FROM heads").fetchall() == [(1,)]
    connection.close()


def test_its_files_are_its_own(tmp_path: Path) -> None:
    with serving(tmp_path):
        wide = {path.name for path in (tmp_path / "data").rglob("*") if stat.S_IMODE(path.stat().st_mode) & 0o077}
    assert wide == {"ca.pem"}
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700


def test_a_restart_keeps_keys_and_entries(tmp_path: Path) -> None:
    async def append(number: int) -> None:
        async with agent(tmp_path) as journal:
            await journal.append([draft(number)])

    seen = []
    for number in (1, 2):
        with serving(tmp_path) as (process, facts):
            seen.append(Path(facts["ca"]).read_bytes())
            asyncio.run(append(number))
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=30)
    assert seen[0] == seen[1]
    status, out, _ = finished("verify", "--data-dir", tmp_path / "data")
    assert (status, out) == (0, "2 entries verified, signed up to seq:2\n")


def test_a_second_one_on_the_same_directory_or_port_is_refused(tmp_path: Path) -> None:
    with serving(tmp_path) as (_, facts):
        status, _, err = finished("serve", "--data-dir", tmp_path / "data", "--listen", "127.0.0.1:0")
        assert status == 1
        assert "another pact-journal uses this directory" in err
        status, _, err = finished("serve", "--data-dir", tmp_path / "other", "--listen", facts["endpoint"])
        assert status == 1
        assert f"can't listen on {facts['endpoint']}" in err


def test_lost_keys_are_not_replaced_under_an_old_database(tmp_path: Path) -> None:
    with serving(tmp_path):
        pass
    (tmp_path / "data" / "ca").rename(tmp_path / "gone")
    status, _, err = finished("serve", "--data-dir", tmp_path / "data", "--listen", "127.0.0.1:0")
    assert status == 1
    assert "keys of this journal are missing" in err


GARBAGE = [b"GET / HTTP/1.1\r\n\r\n", os.urandom(4096), b"\x16\x03\x01\xff\xff" + b"\0" * 100, b"SSH-2.0-x\r\n", b""]


def test_garbage_on_the_port_is_logged_and_harms_nobody(tmp_path: Path) -> None:
    with serving(tmp_path) as (process, facts):
        host, _, port = facts["endpoint"].rpartition(":")
        open_ends = []
        for garbage in GARBAGE:
            connection = socket.create_connection((host, int(port)))
            connection.sendall(garbage)
            open_ends.append(connection)  # left open: the server must not wait for us

        async def use() -> None:
            async with admin(tmp_path, facts) as journal:
                assert await journal.list() == []

        asyncio.run(use())
        for connection in open_ends:
            connection.close()
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "andshake" in err


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("listen = 5", "listen: Input should be a valid string"),
        ('listen = "nowhere"', "listen: expected HOST:PORT"),
        ('lisen = "x:1"', "lisen: Extra inputs are not permitted"),
        ("head_every = 0", "head_every: Input should be greater than or equal to 1"),
        ("= 1", "not valid TOML"),
        ('listen_unix = "relative"', "listen_unix: expected an absolute path"),
    ],
)
def test_a_wrong_configuration_names_file_and_key(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "journal.toml"
    path.write_text(f'data_dir = "{tmp_path}/data"\n{content}\n')
    status, _, err = finished("serve", "--config", path)
    assert status == 1
    assert f"{path}: " in err
    assert words in err
    assert "Traceback" not in err


def test_usage() -> None:
    assert finished("--version")[:2] == (0, "pact-journal 0.1.0\n")
    status, out, _ = finished("--help")
    assert status == 0
    assert "serve" in out
    for wrong in ((), ("frobnicate",), ("serve", "--no-such"), ("verify",), ("serve",)):
        status, _, err = finished(*wrong)
        assert status == 1, wrong
        assert err.startswith("pact-journal: ")
        assert "Traceback" not in err


class Appender:
    """Appends with retries, as an uplink does; remembers what was acknowledged."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.acknowledged: dict[int, str] = {}
        self.number = 0
        self.stop = False

    async def run(self) -> None:
        while not self.stop:
            try:
                async with agent(self.directory) as journal, journal.open_append() as stream:
                    while not self.stop:
                        batch = [draft(self.number + i, message="x" * 200) for i in range(1 + self.number % 7)]
                        await stream.send(batch)
                        acks, _ = await stream.receive()
                        for ack in acks:
                            assert ack.error is None
                            self.acknowledged[ack.number] = ack.hash
                        self.number += len(batch)
            except UnreachableError:
                await asyncio.sleep(0.02)


async def kill_at_random(directory: Path, kills: int, seed: int) -> dict[int, str]:
    """Kill the journal `kills` times while appends go on; the last run ends in order."""
    chance = random.Random(seed)
    appender = Appender(directory)
    appending: asyncio.Task[None] | None = None
    for turn in range(kills + 1):
        with serving(directory) as (process, _):
            if appending is None:
                appending = asyncio.create_task(appender.run())
            before = len(appender.acknowledged)
            deadline = time.monotonic() + 20
            while len(appender.acknowledged) == before and not appending.done():
                assert time.monotonic() < deadline, "nothing was acknowledged after a restart"
                await asyncio.sleep(0.005)
            await asyncio.sleep(chance.uniform(0, 0.15))
            if turn < kills:
                process.kill()
                process.wait()
            else:
                appender.stop = True
                await appending
                process.send_signal(signal.SIGTERM)
                process.wait()
    return appender.acknowledged


def assert_nothing_lost(directory: Path, acknowledged: dict[int, str]) -> None:
    with sqlite3.connect(directory / "data" / "journal.db") as connection:
        kept = connection.execute("SELECT number, hash FROM entries").fetchall()
    connection.close()
    assert len(kept) == len(dict(kept)), "an entry is there twice"
    assert {n: h for n, h in kept if n in acknowledged} == acknowledged
    status, _, err = finished("verify", "--data-dir", directory / "data")
    assert status == 0, err


def test_kill_9_loses_nothing_acknowledged_and_doubles_nothing(tmp_path: Path) -> None:
    acknowledged = asyncio.run(kill_at_random(tmp_path, kills=3, seed=1))
    assert len(acknowledged) > 20
    assert_nothing_lost(tmp_path, acknowledged)


@pytest.mark.e2e
@pytest.mark.timeout(900)
def test_kill_9_at_many_moments(tmp_path: Path) -> None:
    acknowledged = asyncio.run(kill_at_random(tmp_path, kills=200, seed=random.randrange(1 << 32)))
    assert_nothing_lost(tmp_path, acknowledged)
