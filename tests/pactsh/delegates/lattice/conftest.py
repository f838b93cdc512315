"""lattices to try the client with: the tests' own, and the real one where there is its program."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pactsh.delegates.lattice.client import Lattice
from pactsh.delegates.settings import LatticeSettings
from pactsh.errors import UnreachableError
from tests.lattice import LatticeServer
from tests.lattice.certificates import Certificates
from tests.lattice.wire import Wire

PROGRAM = os.environ.get("PACT_TEST_LATTICE")
START_S = 30


@pytest.fixture(params=["own", "real"] if PROGRAM else ["own"])
def wire(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Wire]:
    """An empty lattice: the tests' own and, where PACT_TEST_LATTICE names the program, the real one."""
    if request.param == "own":
        with LatticeServer() as server:
            yield Wire(server.endpoint)
        return
    endpoint, other = (f"127.0.0.1:{free_port()}" for _ in range(2))
    argv = [str(PROGRAM), "--config", str(tmp_path / "none"), "--grpc-addr", endpoint, "--rest-addr", other]
    with (tmp_path / "lattice.log").open("wb") as log, subprocess.Popen(argv, stdout=log, stderr=log) as process:
        try:
            await_health(Wire(endpoint), process, tmp_path / "lattice.log")
            yield Wire(endpoint)
        finally:
            process.terminate()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def await_health(wire: Wire, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with wire.client() as client:
                client.health()
                return
        except UnreachableError:
            time.sleep(0.1)
    raise AssertionError(f"lattice-server does not answer: {log.read_text(errors='replace')[-2000:]}")


@pytest.fixture
def server() -> Iterator[LatticeServer]:
    with LatticeServer() as running:
        yield running


@pytest.fixture
def lattice(server: LatticeServer) -> Iterator[Lattice]:
    """A client of `server`, alice's."""
    with Lattice(LatticeSettings(server.endpoint), user="alice", timeout_s=10) as client:
        yield client


@pytest.fixture
def ours(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path / "ours")


@pytest.fixture
def theirs(tmp_path: Path) -> Certificates:
    """Another authority's."""
    return Certificates(tmp_path / "theirs")


Listen = Callable[[Callable[[socket.socket], None]], str]


@pytest.fixture
def listening() -> Iterator[Listen]:
    """Listen with a function that gets each connection, in a thread; gives the address."""
    sockets: list[socket.socket] = []

    def listen(serve: Callable[[socket.socket], None]) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        sockets.append(listener)

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                sockets.append(connection)
                threading.Thread(target=attend, args=(connection,), daemon=True).start()

        def attend(connection: socket.socket) -> None:
            try:
                serve(connection)
            except OSError:  # the client has had enough
                connection.close()

        threading.Thread(target=accept, daemon=True).start()
        return f"127.0.0.1:{listener.getsockname()[1]}"

    yield listen
    for each in sockets:
        try:
            each.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        each.close()
