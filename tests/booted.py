"""A Debian 12 system of its own, booted in a container: its systemd and its bus are real, and nobody else's.

The tree is made once by debootstrap and kept in a cache; each boot sees it below a layer of its own that ends with it.
What is started here is ended here, by its number.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

RELEASE = "bookworm"
PACKAGES = ("systemd", "systemd-sysv", "dbus", "iproute2", "kmod", "procps", "python3-minimal")
CACHE = "PACT_TEST_TREES"
_NEEDED = ("debootstrap", "systemd-nspawn", "nsenter", "setpriv")
_BUILD_S, _BOOT_S, _END_S = 900.0, 90.0, 30.0


class Booted:
    """A system that is up. `leader` is the number of its first process, `root` where its files are seen from here."""

    def __init__(self, leader: int) -> None:
        self.leader = leader
        self.root = Path(f"/proc/{leader}/root")

    def run(self, *argv: str, check: bool = True) -> str:
        """Run a program in there; gives what it says."""
        command = ("nsenter", "--target", str(self.leader), "--all", "--", *argv)
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
        assert not check or done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
        return done.stdout

    def write(self, path: str, text: str) -> None:
        """Make a file in there."""
        place = self.root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)


@contextmanager
def booted_system(binds: Sequence[str] = ()) -> Iterator[Booted]:
    """Boot one, with these places of this machine to be read in it, and end it. Skips the test where that takes
    another user or programs that are not here."""
    if os.geteuid() != 0:
        pytest.skip("booting a system is root's: run the tests as root")
    if missing := [program for program in _NEEDED if shutil.which(program) is None]:
        pytest.skip(f"booting a system takes {' and '.join(missing)}")
    cache = Path(os.environ.get(CACHE) or _own_cache())
    tree = tree_of(cache)
    with tempfile.TemporaryDirectory(prefix="pact-booted-") as directory, socket.socket(
        socket.AF_UNIX, socket.SOCK_DGRAM
    ) as ready, open(f"{directory}/console", "w+b") as console, open(cache / "booted.lock", "w") as one:  # fmt: skip
        fcntl.flock(one, fcntl.LOCK_EX)  # two would have the same control groups
        ready.bind(f"{directory}/ready")
        nspawn = _start(tree, f"{directory}/ready", console.fileno(), binds)
        leader = 0
        try:
            leader = _await_ready(ready, nspawn, Path(f"{directory}/console"))
            yield Booted(leader)
        finally:
            _end(nspawn, leader)


def _own_cache() -> str:
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return f"{home}/pact/trees"


def tree_of(cache: Path) -> Path:
    """The tree in the cache, made when it is not there yet; whoever else wants it meanwhile waits."""
    wanted = hashlib.sha256(" ".join((RELEASE, *PACKAGES)).encode()).hexdigest()[:12]
    tree = cache / f"{RELEASE}-{wanted}"
    cache.mkdir(parents=True, exist_ok=True)
    with open(cache / f"{tree.name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if tree.is_dir():
            return tree
        partial = cache / f"{tree.name}.partial"
        if partial.exists():  # an earlier one was cut short
            shutil.rmtree(partial)
        words = ("--variant=minbase", f"--include={','.join(PACKAGES)}", RELEASE, str(partial), *_mirror())
        done = subprocess.run(
            ("debootstrap", *words), capture_output=True, text=True, timeout=_BUILD_S, stdin=subprocess.DEVNULL
        )
        assert done.returncode == 0, f"debootstrap: {done.stdout[-2000:]}{done.stderr[-2000:]}"
        shutil.rmtree(partial / "var/cache/apt/archives", ignore_errors=True)
        (partial / "etc/machine-id").write_text("")  # made anew by each boot
        partial.rename(tree)
    return tree


def _mirror() -> tuple[str, ...]:
    """Where this machine's apt has the release from; debootstrap knows a place itself when that is unknown."""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(
            ("apt-get", "indextargets", "--format", "$(REPO_URI)", f"Codename: {RELEASE}", "Created-By: Packages"),
            capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
        return tuple(done.stdout.split()[:1])
    return ()


def _start(tree: Path, ready: str, console: int, binds: Sequence[str]) -> subprocess.Popen[bytes]:
    """The container's parent, which goes when we go, whatever ends us."""
    options = ("--quiet", "--boot", "--register=no", "--keep-unit", "--private-network", "--console=pipe")
    layer = ("--read-only", "--volatile=overlay", f"--directory={tree}", "--notify-ready=yes", "--link-journal=no")
    places = [f"--bind-ro={place}" for place in binds]
    # What nspawn of this release does not let pass: the agent contains its commands with it.
    calls = "--system-call-filter=landlock_create_ruleset landlock_add_rule landlock_restrict_self"
    name = f"--machine=pact-{os.getpid()}"
    return subprocess.Popen(
        ("setpriv", "--pdeathsig", "TERM", "systemd-nspawn", *options, *layer, *places, calls, name),
        stdin=subprocess.DEVNULL,
        stdout=console,
        stderr=console,
        env={"PATH": os.environ["PATH"], "NOTIFY_SOCKET": ready},
        start_new_session=True,
    )


def _await_ready(ready: socket.socket, nspawn: subprocess.Popen[bytes], console: Path) -> int:
    """Wait until systemd in there has started what it starts; gives the number of its process."""
    leader, ends = 0, time.monotonic() + _BOOT_S
    ready.settimeout(1.0)
    while time.monotonic() < ends and nspawn.poll() is None:
        with contextlib.suppress(TimeoutError):
            words = dict(line.split("=", 1) for line in ready.recv(4096).decode().splitlines() if "=" in line)
            leader = int(words.get("X_NSPAWN_LEADER_PID", leader))
            if words.get("READY") == "1" and leader:
                return leader
    raise AssertionError(f"it does not boot: {console.read_bytes()[-3000:].decode(errors='replace')}")


def _end(nspawn: subprocess.Popen[bytes], leader: int) -> None:
    """Have it shut down; kill it when it doesn't."""
    nspawn.terminate()
    try:
        nspawn.wait(_END_S)
    except subprocess.TimeoutExpired:
        if leader:
            with contextlib.suppress(ProcessLookupError):
                os.kill(leader, signal.SIGKILL)
        nspawn.kill()
        nspawn.wait()
