"""What a service of the built-in supervisor is: one TOML file each, strictly read (docs/services.md has every key).

A file that can't be read as one is a problem of that service alone: the others run.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import signal
import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from pactsh.errors import UsageError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,62}")
_MOST_BYTES, _SUFFIX = 64 << 10, ".toml"
_ADDRESS = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+):([0-9]{1,5})")
_URL = re.compile(r"http://((?:\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+)(?::[0-9]{1,5})?)(/[!-~]*)?")
_LATEST_PORT = 65_535
_OTHERS = "others than its owner, root, may write it, so it is not followed"

Seconds = Annotated[float, msgspec.Meta(gt=0, le=86_400)]
Count = Annotated[int, msgspec.Meta(ge=1)]


class Health(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How it is found out whether the service does its work. `start_s`: how long it may take until it first does."""

    check: Literal["process", "tcp", "http"] = "process"
    address: str = ""
    url: str = ""
    interval_s: Seconds = 10.0
    timeout_s: Seconds = 3.0
    retries: Count = 3
    start_s: Seconds = 30.0


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What all processes of the service may use together; None: as much as there is."""

    memory_bytes: Annotated[int, msgspec.Meta(ge=1 << 20)] | None = None
    cpus: Annotated[float, msgspec.Meta(gt=0, le=4096)] | None = None
    processes: Count | None = None


class Output(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is kept of what it says: so many files of that size."""

    max_bytes: Annotated[int, msgspec.Meta(ge=4096, le=1 << 32)] = 10 << 20
    files: Annotated[int, msgspec.Meta(ge=1, le=100)] = 5


class Definition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A service. `after` it waits for, `requires` it can't be without."""

    command: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=1024)]
    description: str = ""
    user: str = "root"
    environment: dict[str, str] = {}
    directory: str = "/"
    after: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    enabled: bool = True
    restart: Literal["always", "on-failure", "never"] = "on-failure"
    restart_delay_s: Seconds = 1.0
    restart_most_s: Seconds = 60.0
    burst: Count = 5
    steady_s: Seconds = 10.0
    retry_s: Seconds = 300.0
    stop_signal: str = "TERM"
    stop_timeout_s: Seconds = 10.0
    health: Health | None = None
    limits: Limits = Limits()
    output: Output = Output()

    @property
    def digest(self) -> str:
        """What tells whether a running service was started with this definition."""
        return hashlib.sha256(msgspec.json.encode(self)).hexdigest()[:16]


class Definitions(msgspec.Struct, frozen=True):
    """Those that can be read, and why the others can't, by name."""

    known: dict[str, Definition] = {}
    problems: dict[str, str] = {}


def load_definitions(directory: Path) -> Definitions:
    """All definitions in a directory; none when it is not there."""
    known: dict[str, Definition] = {}
    problems: dict[str, str] = {}
    try:
        names = sorted(os.listdir(directory))
        if _is_others(os.stat(directory)):
            raise PermissionError(errno.EPERM, _OTHERS)
    except FileNotFoundError:
        return Definitions()
    except OSError as error:
        return Definitions({}, {directory.name: f"{directory}: {error.strerror}"})
    for file in names:
        name = file.removesuffix(_SUFFIX)
        if not file.endswith(_SUFFIX) or file.startswith("."):
            continue
        try:
            known[name] = _load(directory / file, name)
        except UsageError as error:
            problems[name] = error.message
    while lacking := {name: lack for name, one in known.items() if (lack := {*one.requires} - known.keys())}:
        for name, lack in lacking.items():
            there_is_no = f"requires: there is no service {', '.join(sorted(lack))} that can be started here"
            problems[name] = f"{directory / (name + _SUFFIX)}: {there_is_no}"
            del known[name]
    return Definitions(known, problems)


def _load(path: Path, name: str) -> Definition:
    if not NAME.fullmatch(name):
        raise UsageError(f"{path}: not the name of a service: letters, digits and any of _.@- after the first")
    return parse_definition(_text(path), path)


def _text(path: Path) -> str:
    """The file's text. What it says is run as root, so nobody else may have written it."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise UsageError(f"{path}: not a file")
        with open(path, "rb") as file:
            found = os.fstat(file.fileno())
            if _is_others(found):
                raise UsageError(f"{path}: {_OTHERS}")
            data = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    if len(data) > _MOST_BYTES:
        raise UsageError(f"{path}: over {_MOST_BYTES} bytes")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not UTF-8") from error


def _is_others(found: os.stat_result) -> bool:
    """Whether somebody else than root, or who this is, decides what is in there."""
    return found.st_uid not in {0, os.geteuid()} or bool(found.st_mode & 0o022)


def parse_definition(text: str, path: Path) -> Definition:
    """The definition in a file's text. Raises `UsageError` that names the file and the key."""
    try:
        made = msgspec.convert(tomllib.loads(text), Definition)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path}: not valid TOML: {error}") from error
    except msgspec.ValidationError as error:
        where = re.search(r"at `\$\.?(.*)`", str(error))
        said = str(error).split(" - at")[0]
        unknown = re.search(r"unknown field `(.*)`", said)
        key = ".".join(part for part in (where[1] if where else "", unknown[1] if unknown else "") if part)
        why = "unknown key" if unknown else said
        raise UsageError(f"{path}: {key or '(top level)'}: {why}") from error
    for key, problem in _problems(made).items():
        raise UsageError(f"{path}: {key}: {problem}")
    return made


def _problems(made: Definition) -> Mapping[str, str]:
    """What can't be so, by key."""
    found: dict[str, str] = {}
    words = (*made.command, made.directory, made.user, *made.environment, *made.environment.values())
    if any("\0" in word for word in words):
        found["command"] = "a NUL character"
    if not made.command[0].startswith("/"):
        found["command"] = f"{made.command[0]!r} is no absolute path"
    if not made.directory.startswith("/"):
        found["directory"] = "no absolute path"
    if bad := [key for key in made.environment if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", key)]:
        found["environment"] = f"{bad[0]!r} is no name of a variable"
    if signal_number(made.stop_signal) is None:
        found["stop_signal"] = f"{made.stop_signal!r} is no signal: TERM, INT, HUP, USR1 and alike"
    for key, names in (("after", made.after), ("requires", made.requires)):
        if odd := [name for name in names if not NAME.fullmatch(name)]:
            found[key] = f"{odd[0]!r} is not the name of a service"
    if made.health is not None and (problem := _health_problem(made.health)):
        found["health"] = problem
    return found


def _health_problem(health: Health) -> str:
    wanted = {"process": "", "tcp": "address", "http": "url"}[health.check]
    for key, value in (("address", health.address), ("url", health.url)):
        if bool(value) != (key == wanted):
            return f"check {health.check} {'needs' if key == wanted else 'takes no'} {key}"
    if wanted and target_of(health) is None:
        form = "HOST:PORT" if wanted == "address" else "http://HOST[:PORT][/PATH]"
        return f"{wanted}: expected {form}"
    return ""


def target_of(health: Health) -> tuple[str, int, str] | None:
    """Host, port and path that a check connects to; None for one that is none.

    >>> target_of(Health("http", url="http://127.0.0.1:8080/ready")), target_of(Health("tcp", address="[::1]:22"))
    (('127.0.0.1', 8080, '/ready'), ('::1', 22, ''))
    """
    path = ""
    address = health.address
    if health.check == "http":
        found = _URL.fullmatch(health.url)
        if found is None:
            return None
        address, path = found[1], found[2] or "/"
        address += "" if re.search(r":[0-9]+\Z", address.rpartition("]")[2]) else ":80"
    parts = _ADDRESS.fullmatch(address)
    if parts is None or not 0 < int(parts[2]) <= _LATEST_PORT:
        return None
    return parts[1].strip("[]"), int(parts[2]), path


def signal_number(name: str) -> int | None:
    """The number of a signal by its name without SIG.

    >>> signal_number("TERM"), signal_number("TREM")
    (15, None)
    """
    found = getattr(signal, f"SIG{name}", None)
    return int(found) if isinstance(found, signal.Signals) else None
