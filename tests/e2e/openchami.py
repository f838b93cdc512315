"""OpenCHAMI's own SMD and BSS, built from their modules, over a PostgreSQL of the test's own, all on loopback."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

MODULES = {"smd": "github.com/OpenCHAMI/smd/v2@v2.18.0", "bss": "github.com/OpenCHAMI/bss@v1.32.2"}
PROGRAMS = {"smd": ("smd", "smd-init"), "bss": ("boot-script-service", "bss-init")}
START_S = 60
_BUILD_S = 300
_NOT_FETCHED = re.compile(r"Forbidden|Not Found|dial tcp|no such host|i/o timeout|connection re")
_GO = {"GOFLAGS": "-mod=mod", "GONOSUMDB": "github.com/OpenCHAMI/*", "GOTOOLCHAIN": "local"}


@dataclass(frozen=True)
class Real:
    """Where both are, with the CA of SMD's certificate, and where their modules' trees are."""

    smd_url: str
    bss_url: str
    ca: Path

    def smd(self, method: str, path: str, body: object = None) -> httpx2.Response:
        """Ask SMD, as whoever fills it does."""
        context = ssl.create_default_context(cafile=str(self.ca))
        with httpx2.Client(verify=context, trust_env=False) as client:
            return client.request(method, f"{self.smd_url}/hsm/v2{path}", json=body)

    def bss(self, method: str, path: str, body: object = None) -> httpx2.Response:
        """Ask BSS the same way."""
        with httpx2.Client(trust_env=False) as client:
            return client.request(method, f"{self.bss_url}/boot/v1{path}", json=body)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def database_programs() -> Path | None:
    """Where PostgreSQL's server is; Debian keeps it off the PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1].parent if found else None


def built(directory: Path) -> dict[str, Path]:
    """The programs and `smd-tree` and `bss-tree`, their modules' trees; skips where they can't be had."""
    go = shutil.which("go")
    if go is None:
        pytest.skip("no go on the PATH: with it SMD and BSS are built and used here")
    environ = os.environ | _GO
    found: dict[str, Path] = {}
    for name, module in MODULES.items():
        fetched = _ran([go, "mod", "download", "-json", module], directory, environ)
        told = json.loads(fetched.stdout or "{}")
        if "Dir" not in told:
            pytest.skip(f"{module} can't be had: {told.get('Error', fetched.stderr)[:200]}")
        tree = found[f"{name}-tree"] = Path(told["Dir"])
        for program in PROGRAMS[name]:
            found[program] = directory / program
            command = [go, "build", "-o", str(found[program]), f"./cmd/{program}"]
            made = _ran(command, tree, environ)
            if made.returncode and _NOT_FETCHED.search(made.stderr):
                pytest.skip(f"what {program} needs can't be had: {made.stderr[-200:]}")
            assert made.returncode == 0, made.stderr[-2000:]
    return found


def _ran(command: Sequence[str], where: Path, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, cwd=where, env=environ, capture_output=True, text=True, timeout=_BUILD_S)
    except subprocess.TimeoutExpired:
        pytest.skip(f"{' '.join(command[:3])} took longer than {_BUILD_S} s")


@contextmanager
def started(command: Sequence[str], log: Path, *, user: str | None = None, **environ: str) -> Iterator[None]:
    """A program that runs meanwhile."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, cwd="/", env=os.environ | environ,
            user=user, group=user, extra_groups=[] if user else None,
        )  # fmt: skip
    try:
        yield
    finally:
        process.kill() if user is None else process.send_signal(2)  # a database ends its children itself
        process.wait(30)


def until_answered(what: str, log: Path, question: object) -> None:
    deadline = time.monotonic() + START_S
    assert callable(question)
    while time.monotonic() < deadline:
        try:
            if question():
                return
        except (httpx2.HTTPError, OSError):
            pass
        time.sleep(0.1)
    raise AssertionError(f"{what} did not answer: {log.read_text()[-2000:]}")


@contextmanager
def database(directory: Path) -> Iterator[int]:
    """An empty PostgreSQL on a port of loopback, whose administrator needs no password; skips where there is none."""
    programs = database_programs()
    if programs is None:
        pytest.skip("no PostgreSQL server: packaging/system-packages brings it")
    user = "postgres" if os.geteuid() == 0 else None  # it refuses to run as root
    data, log, port = directory / "database", directory / "database.log", free_port()
    data.mkdir()
    if user is not None:
        shutil.chown(data, user)
        for parent in data.parents:  # on the way there; below the test's own directory alone
            if parent.stat().st_uid == 0 and str(parent).startswith("/tmp/"):
                parent.chmod(parent.stat().st_mode | 0o011)
    made = subprocess.run(
        [str(programs / "initdb"), "-D", str(data), "-A", "trust", "-U", "postgres"], capture_output=True, text=True,
        user=user, group=user, extra_groups=[] if user else None, cwd="/",
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    options = ("listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off")
    command = [str(programs / "postgres"), "-D", str(data), "-p", str(port)]
    for option in options:
        command += ["-c", option]
    with started(command, log, user=user):
        sql = [str(programs / "psql"), "-h", "127.0.0.1", "-p", str(port), "-U", "postgres", "-q", "-c"]
        until_answered(
            "PostgreSQL", log, lambda: subprocess.run([*sql, "SELECT 1"], capture_output=True).returncode == 0
        )
        for name in ("hmsds", "bssdb"):
            subprocess.run([*sql, f"CREATE DATABASE {name}"], check=True, capture_output=True)
        yield port


@contextmanager
def openchami(directory: Path, certificate: tuple[Path, Path]) -> Iterator[Real]:
    """Both, empty. SMD speaks TLS with that certificate, BSS none: both are usual."""
    programs = built(directory)
    with ExitStack() as stack:
        port = stack.enter_context(database(directory))
        shared = ["-dbhost", "127.0.0.1", "-dbport", str(port), "-dbuser", "postgres", "-dbname", "hmsds"]
        shared += ["-dbopts", "sslmode=disable"]
        migrations = str(programs["smd-tree"] / "migrations" / "postgres")
        subprocess.run(
            [str(programs["smd-init"]), *shared, "-migrationsdir", migrations], check=True, capture_output=True,
            env=os.environ | {"SMD_DBPASS": "x"},
        )  # fmt: skip
        smd_port, bss_port = free_port(), free_port()
        tls = ["-tls-cert", str(certificate[0]), "-tls-key", str(certificate[1])]
        real = Real(f"https://127.0.0.1:{smd_port}", f"http://127.0.0.1:{bss_port}", certificate[0])
        listen = ["-http-listen", f"127.0.0.1:{smd_port}", "-disable-discovery"]
        log = directory / "smd.log"
        command = [str(programs["smd"]), *shared, "-dbtype", "postgres", *tls, *listen]
        stack.enter_context(started(command, log, SMD_DBPASS="x"))
        until_answered("SMD", log, lambda: real.smd("GET", "/service/ready").status_code == 200)
        bss = {
            "BSS_DBHOST": "127.0.0.1", "BSS_DBPORT": str(port), "BSS_DBNAME": "bssdb", "BSS_DBUSER": "postgres",
            "BSS_DBPASS": "x", "BSS_DBOPTS": "sslmode=disable", "BSS_USESQL": "true", "BSS_INSECURE": "true",
            "BSS_MIGRATIONDIR": str(programs["bss-tree"] / "migrations" / "postgres"), "HSM_URL": real.smd_url,
            "BSS_HTTP_LISTEN": f"127.0.0.1:{bss_port}", "BSS_ADVERTISE_ADDRESS": f"127.0.0.1:{bss_port}",
        }  # fmt: skip
        made = subprocess.run([str(programs["bss-init"])], capture_output=True, text=True, env=os.environ | bss)
        assert made.returncode == 0, made.stderr[-1000:] + made.stdout[-1000:]
        log = directory / "bss.log"
        stack.enter_context(started([str(programs["boot-script-service"])], log, **bss))
        until_answered("BSS", log, lambda: real.bss("GET", "/service/status").status_code == 200)
        yield real
