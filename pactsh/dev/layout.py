"""Where a dev system keeps its things, and who may: one private directory, and a state file in it.

The directory holds the keys of the certificate authority and of the development issuer:
whoever can read it is administrator of the simulated nodes. So it belongs to the caller,
has mode 0700 and is not used otherwise. `lock` is held (flock) by the running supervisor.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pactsh.dev.processes import Process
from pactsh.errors import NotFoundError, UsageError

NODE_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
DEFAULT_NODE = "node042"
DEFAULT_VCLUSTER = "ml-training"
ADMINISTRATOR = "admin@dev"
ADMINISTRATOR_ROLE = "pact-platform-admin"
SOCKET_PATH_LIMIT = 107  # bytes, sun_path of unix(7) without its final NUL


def default_directory(environ: Mapping[str, str]) -> Path:
    """`$XDG_RUNTIME_DIR/pact/dev`, else `$XDG_STATE_HOME/pact/dev` (by default below `~/.local/state`)."""
    for name in ("XDG_RUNTIME_DIR", "XDG_STATE_HOME"):
        base = environ.get(name, "")
        if os.path.isabs(base) and os.access(base, os.W_OK):
            return Path(base) / "pact" / "dev"
    home = environ.get("HOME", "")
    if not os.path.isabs(home):
        raise UsageError("dev: no directory to work in: HOME is not set", hint="give one with --dir")
    return Path(home) / ".local" / "state" / "pact" / "dev"


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths below one dev system's directory."""

    directory: Path

    @property
    def state(self) -> Path:
        """The state file: `State` as JSON."""
        return self.directory / "state.json"

    @property
    def lock(self) -> Path:
        """Held by the supervisor while it runs."""
        return self.directory / "lock"

    @property
    def log(self) -> Path:
        """What the supervisor itself had to say."""
        return self.directory / "supervisor.log"

    @property
    def journal(self) -> Path:
        """The journal's own directory: database, keys, configuration, log."""
        return self.directory / "journal"

    @property
    def shared(self) -> Path:
        """What every node may see: the journal's socket and the CA certificate."""
        return self.directory / "shared"

    @property
    def journal_socket(self) -> Path:
        """The journal's gRPC listener for nodes, which have no network in common with it."""
        return self.shared / "journal.sock"

    @property
    def ca(self) -> Path:
        """The journal's CA certificate, for clients."""
        return self.shared / "ca.pem"

    @property
    def issuer(self) -> Path:
        """The development issuer: whoever has its key can be anybody."""
        return self.directory / "issuer"

    @property
    def token(self) -> Path:
        """The development administrator's token."""
        return self.directory / "token"

    @property
    def client(self) -> Path:
        """Stands for XDG_STATE_HOME in sessions that `pact dev shell` opens: their certificates are of this system."""
        return self.directory / "client"

    def node(self, name: str) -> Path:
        """A node's own part, shown to it read-write."""
        return self.directory / "nodes" / name

    def notify_socket(self, name: str) -> Path:
        """Where a node's agent says that it is ready; sd_notify(3)."""
        return self.node(name) / "notify.sock"

    def agent_socket(self, name: str) -> Path:
        """A node's local socket (docs/internals.md, section 3)."""
        return self.node(name) / "run" / "agent.sock"


def check_names(nodes: tuple[str, ...], layout: Layout) -> None:
    """Raise `UsageError` for a node name that is none, is given twice, or makes a path too long."""
    for name in nodes:
        if not NODE_NAME.fullmatch(name):
            raise UsageError(f"dev: {name!r} is not a node name", hint="lower-case letters, digits, hyphens")
    if len(set(nodes)) != len(nodes):
        raise UsageError("dev: a node is named twice")
    for path in (layout.journal_socket, *(layout.agent_socket(n) for n in nodes)):
        if len(os.fsencode(path)) > SOCKET_PATH_LIMIT:
            raise UsageError(
                f"dev: {path}: too long for a socket (over {SOCKET_PATH_LIMIT} bytes)",
                hint="give a shorter directory with --dir",
            )


def make_directory(directory: Path) -> Layout:
    """Create the directory, or check that it is a dev system's and private; raises `UsageError`."""
    directory = Path(os.path.realpath(directory))
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.mkdir(directory, 0o700)
        except FileExistsError:
            _check_private(directory)
        layout = Layout(directory)
        if not layout.lock.exists() and any(directory.iterdir()):
            raise UsageError(f"dev: {directory}: not empty, and not a dev system's", hint="give another --dir")
        for path in (layout.journal, layout.shared, layout.client, directory / "nodes"):
            path.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise UsageError(f"dev: {error.filename or directory}: {error.strerror}") from error
    return layout


def _check_private(directory: Path) -> None:
    found = os.lstat(directory)
    if not stat.S_ISDIR(found.st_mode):
        raise UsageError(f"dev: {directory}: not a directory")
    if found.st_uid != os.geteuid():
        raise UsageError(f"dev: {directory}: belongs to another user", hint="give another --dir")
    if found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise UsageError(f"dev: {directory}: open to others", hint=f"chmod 700 {directory}")


def take_lock(layout: Layout) -> int | None:
    """Take the supervisor's lock; its descriptor keeps it. None when a supervisor runs."""
    fd = os.open(layout.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    return fd


def sign_lock(lock: int) -> None:
    """Write the holder's pid into the lock, for `pact dev down`."""
    os.ftruncate(lock, 0)
    os.pwrite(lock, str(os.getpid()).encode(), 0)


@dataclass(slots=True)
class State:
    """What runs: written by the supervisor, read by the other commands.

    `processes` has every process that was started, by what it is (`supervisor`, `journal`,
    `node NAME`, `agent NAME`); `ssh` the port of each node's SSH server on loopback.
    """

    vcluster: str
    nodes: tuple[str, ...]
    processes: dict[str, Process] = field(default_factory=dict)
    ssh: dict[str, int] = field(default_factory=dict)
    endpoint: str = ""
    ready: bool = False

    def save(self, layout: Layout) -> None:
        """Write it in one step, readable by the owner alone."""
        new = layout.state.with_suffix(".new")
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(fd, "w", encoding="utf-8") as file:
            json.dump(asdict(self), file, indent=1)
        os.replace(new, layout.state)


def load_state(layout: Layout) -> State | None:
    """What runs or ran in this directory; None when nothing ever did (or its file is torn)."""
    try:
        raw = json.loads(layout.state.read_text(encoding="utf-8"))
        processes = {name: Process(**p) for name, p in raw.pop("processes").items()}
        return State(**{**raw, "nodes": tuple(raw["nodes"]), "processes": processes})
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def running(directory: Path) -> tuple[Layout, State]:
    """The system that is up in `directory`; raises `NotFoundError` when none is."""
    layout = Layout(Path(os.path.realpath(directory)))
    hint = "start it with: pact dev up"
    if not layout.lock.exists():
        raise NotFoundError(f"dev: nothing runs in {directory}", hint=hint)
    _check_private(layout.directory)
    free = take_lock(layout)
    if free is not None:
        os.close(free)
        raise NotFoundError(f"dev: nothing runs in {directory}", hint=hint)
    state = load_state(layout)
    if state is None or not state.ready:
        raise NotFoundError(f"dev: the system in {directory} is still starting", hint="wait for: pact dev: ready")
    return layout, state
