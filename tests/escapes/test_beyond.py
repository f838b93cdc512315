"""The list of what the kernel alone can't stop is true, complete in the document, and no longer than it is true."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from pact_agent.sandbox import executables

from tests.escapes.beyond import BEYOND, FINDINGS, HEADING, Beyond
from tests.escapes.cage import Cage, bounds_of, caged, compiled, program_of
from tests.pact_agent.localnode import IS_ROOT

ROOT = Path(__file__).parents[2]
SECRET = "pact-secret-91ab"
READ = "cat /etc/hostname"


def test_the_document_has_the_same_table() -> None:
    text = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    section = text.partition(f"\n## {HEADING}\n")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("|")][2:]
    assert rows == [f"| {row.who} | {row.what} | {row.why} |" for row in BEYOND]


def test_a_finding_is_in_the_table() -> None:
    assert set(FINDINGS) <= {row.name for row in BEYOND}


class Place(NamedTuple):
    """The program that misbehaves, and what it is let loose on."""

    program: str
    directory: Path
    cage: Cage

    def does(self, line: str, *words: str, meanwhile: Callable[[], None] | None = None) -> bool:
        """Whether the attempt succeeds with the plan of `line`."""
        text = self.cage.run((self.program, *words), bounds_of(line), meanwhile=meanwhile).text
        return "\ndone" in text or "escaped" in text or SECRET in text


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    if not IS_ROOT:
        pytest.skip("the sandbox of a root agent is tested: run the tests as root")
    directory = tmp_path_factory.mktemp("b")
    program = compiled(directory)
    for name in ("safe", "mounted"):
        (directory / name).mkdir()
    secret = directory / "safe" / "secret"
    secret.write_text(SECRET)
    subprocess.run(["mount", "--bind", str(directory / "safe"), str(directory / "mounted")], check=True, timeout=20)
    try:
        for cage in caged(directory, (str(secret),)):
            yield Place(program, directory, cage)
    finally:
        subprocess.run(["umount", str(directory / "mounted")], check=True, timeout=20)


def _reads(place: Place) -> bool:
    private = place.directory / "private"
    private.write_text(SECRET)
    private.chmod(0o600)
    path, front = program_of("date")
    return SECRET in place.cage.run((*front, "-f", str(private)), bounds_of("date"), path=path).text


def _hard_link(place: Place) -> bool:
    os.link(place.directory / "safe" / "secret", place.directory / "link")
    return place.does(READ, "s_read", str(place.directory / "link"))


def _replaced(place: Place) -> bool:
    secret = place.directory / "safe" / "secret"
    fresh = secret.with_name("new")
    fresh.write_text(SECRET)
    return place.does(READ, "s_again_and_again", str(secret), "3000000", meanwhile=lambda: os.replace(fresh, secret))


def _outliving(place: Place) -> bool:
    """Two processes of a kind; the second is its own master. The pipe that it holds open tells of its end."""
    read, write = os.pipe()
    scratch = place.directory / "own"
    scratch.mkdir()
    cage = Cage(scratch / "masks", ())
    try:
        left = cage.leave((place.program, "x_linger"), bounds_of(READ), write)
    finally:
        os.close(write)
    try:
        return select.select([read], [], [], 2)[0] == []
    finally:
        os.close(read)
        with contextlib.suppress(ProcessLookupError):
            os.kill(left, signal.SIGKILL)


def _unconfined(place: Place) -> bool:
    line, file = "chronyc selectdata", place.directory / "file"
    file.write_text("")
    other = _other()
    try:
        assert not place.does(line, "f_write", str(file))
        assert not place.does(line, "p_owner", str(other.pid))
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()
    return place.does(line, "s_read", str(place.directory / "safe" / "secret")) and place.does(
        line, "f_chmod", str(file)
    )


def _mounting(place: Place) -> bool:
    target = place.directory / "target"
    target.mkdir()
    line = "umount /scratch"
    try:
        return place.does(line, "k_mount", str(target)) and os.path.ismount(target)
    finally:
        subprocess.run(["umount", str(target)], check=False, capture_output=True, timeout=20)


def _other() -> subprocess.Popen[bytes]:
    return subprocess.Popen(["/usr/bin/sleep", "300"], env={"MARK": SECRET}, start_new_session=True)


def _trace(place: Place) -> bool:
    other = _other()
    try:
        secret = f"/proc/{other.pid}/root{place.directory}/safe/secret"
        address = Path(f"/proc/{other.pid}/maps").read_text(encoding="ascii").partition("-")[0]
        return all(
            place.does(line, "p_proc", str(other.pid), "x", "environ")
            and place.does(line, "p_memory", str(other.pid), address)
            and place.does(line, "s_read", secret)
            for line in ("lsof -nP -i :22", "ss -tlnp")
        )
    finally:
        other.kill()
        other.wait()


def _kill(place: Place) -> bool:
    other = _other()
    try:
        return place.does("kill 1234", "p_kill", str(other.pid)) and other.wait(5) == -signal.SIGKILL
    finally:
        other.kill()
        other.wait()


def _sockets(place: Place) -> bool:
    with socket.socket(socket.AF_UNIX) as engine:
        engine.bind(str(place.directory / "engine"))
        engine.listen(16)
        lines = ("id", "ls", "stat /etc", "ps aux", "top", "w", "who", "getent passwd root", "find /etc -user root")
        return all(place.does(line, "n_unix", str(place.directory / "engine")) for line in lines)


def _network(place: Place) -> bool:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        lines = ("ip addr", "ss -tln", "dig node043", "ping -c 1 node043")
        return all(place.does(line, way, port) for line in lines for way in ("n_tcp", "n_udp_send"))


def _packets(place: Place) -> bool:
    return place.does("ping -c 1 node043", "n_packet") and place.does("traceroute node043", "n_packet")


def _network_admin(place: Place) -> bool:
    return place.does("ip link set eth0 up", "n_link_down") and place.does("ethtool -d eth0", "n_link_down")


def _sysctl(place: Place) -> bool:
    return place.does("sysctl -w vm.swappiness=10", "k_core")


def _helpers(place: Place) -> bool:
    return place.does("rocm-smi", "x_loader", executables("/bin/sh")[-1])


def _writes_device(place: Place, line: str, name: str) -> bool:
    """Whether it writes to a harmless device of this name."""
    path = f"/dev/{name}-pact-{os.getpid()}"
    os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 3))
    try:
        return place.does(line, "k_device", path, "2")
    finally:
        os.unlink(path)


def _devices(place: Place) -> bool:
    return _writes_device(place, "ipmitool mc info", "ipmi")


def _swapping(place: Place) -> bool:
    return _writes_device(place, "swapoff /dev/sdz9", "sdy")


TRIED: dict[str, Callable[[Place], bool]] = {
    "reads": _reads, "hard-link": _hard_link, "replaced": _replaced, "outliving": _outliving,
    "unconfined": _unconfined, "mounting": _mounting, "trace": _trace, "kill": _kill, "sockets": _sockets,
    "network": _network, "packets": _packets, "network-admin": _network_admin, "sysctl": _sysctl,
    "helpers": _helpers, "devices": _devices, "swapping": _swapping,
}  # fmt: skip


@pytest.mark.parametrize("row", BEYOND, ids=lambda row: row.name)
def test_it_is_as_the_document_says(place: Place, row: Beyond) -> None:
    """Where this fails, something was closed: take the row out, here and in the document."""
    assert TRIED[row.name](place)
