"""systemd's journal, by its own program: an argv, no shell, newest entries first, and no more than is wanted."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import msgspec

from pact_agent.diag.found import Found, Search
from pact_agent.diag.shown import MOST_BYTES, shown

_ENV = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "SYSTEMD_COLORS": "0", "SYSTEMD_PAGER": ""}
# All but the kernel's, which is a source of its own.
_TRANSPORTS = tuple(f"_TRANSPORT={name}" for name in ("syslog", "journal", "stdout", "audit", "driver"))
_GROUP = 1000  # lines that an entry has at most
_SAID_BYTES = 2000
_END_S = 2.0
_LOOK_S = 0.5  # between two looks at whether somebody still waits


class Journal(msgspec.Struct, frozen=True):
    """Where systemd's programs are, and the socket that is there while its journal runs."""

    journalctl: str = "/usr/bin/journalctl"
    systemctl: str = "/usr/bin/systemctl"
    socket: str = "/run/systemd/journal/socket"

    def runs(self) -> bool:
        """Whether this node has it."""
        return os.path.exists(self.socket) and os.access(self.journalctl, os.X_OK)

    def knows(self, service: str) -> bool:
        """Whether systemd has a unit of this name, or can't say."""
        command = (self.systemctl, "show", "--property=LoadState", "--value", "--", unit_of(service))
        try:
            done = subprocess.run(
                command, capture_output=True, timeout=5, check=False, stdin=subprocess.DEVNULL, env=_ENV, cwd="/"
            )
        except (OSError, subprocess.TimeoutExpired):
            return True
        return done.stdout.strip() != b"not-found"


def unit_of(service: str) -> str:
    """The unit's whole name.

    >>> unit_of("sshd"), unit_of("dbus.socket")
    ('sshd.service', 'dbus.socket')
    """
    kinds = (".service", ".socket", ".timer", ".mount", ".target", ".path", ".scope", ".slice", ".swap", ".automount")
    return service if service.endswith(kinds) else f"{service}.service"


def journal_command(journalctl: str, since: float | None, *, units: str = "") -> tuple[str, ...]:
    """The command that prints the journal's entries, newest first; `units`: of one unit, or of a pattern's.

    >>> journal_command("journalctl", 100.5, units="sshd.service")[-2:]
    ('--since=1970-01-01 00:01:40 UTC', '--unit=sshd.service')
    """
    words: tuple[str, ...] = (journalctl, "--no-pager", "--quiet", "--all", "--reverse", "--utc", "--output=short-iso")
    if since is not None:
        words += (f"--since={datetime.fromtimestamp(since, UTC):%Y-%m-%d %H:%M:%S} UTC",)
    return (*words, f"--unit={units}") if units else (*words, *_TRANSPORTS)


def search_journal(command: Sequence[str], source: str, search: Search) -> Found:
    """What the command prints, as far as it is wanted; then it is ended."""
    said = os.memfd_create("journalctl-stderr", os.MFD_CLOEXEC)
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said, env=_ENV, cwd="/"
        )
        with process:
            assert process.stdout is not None
            try:
                _search_entries(_lines_of(process.stdout.fileno(), search), search)
                if not search.is_over:
                    process.wait(_END_S)
            except subprocess.TimeoutExpired:
                pass
            finally:
                process.kill()  # which does nothing to one that has ended
        status = 0 if search.is_over else process.returncode
        return search.found(source, "" if status == 0 else _told(said, status))
    except OSError as error:
        return search.found(source, f"journalctl: {error.strerror}")
    finally:
        os.close(said)


def _told(said: int, status: int) -> str:
    first = os.pread(said, _SAID_BYTES, 0).partition(b"\n")[0]
    return shown(first) if first else f"journalctl ended with {status}"


def _search_entries(lines: Iterator[tuple[bytes, int]], search: Search) -> None:
    """Entries come newest first, but the lines of each in their order: all but the first are indented."""
    entry: list[tuple[bytes, int]] = []
    for raw, more in lines:
        if raw[:1].isspace() and len(entry) < _GROUP:
            entry.append((raw, more))
            continue
        _hand_over(entry, search)
        if search.is_over:
            return
        entry.append((raw, more))
    _hand_over(entry, search)


def _hand_over(entry: list[tuple[bytes, int]], search: Search) -> None:
    for raw, more in reversed(entry):
        search.older(raw, more)
    entry.clear()


def _lines_of(fd: int, search: Search) -> Iterator[tuple[bytes, int]]:
    """The lines that come, until the end or until it is too late."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    kept, dropped = b"", 0
    while not search.is_late():
        if not poll.poll(min(_LOOK_S, max(0.0, search.ends - time.monotonic())) * 1000):
            continue
        data = b""
        with contextlib.suppress(InterruptedError):
            data = os.read(fd, 1 << 16)
            if not data:
                break
        first, *rest = data.split(b"\n")
        whole = kept + first
        dropped += max(0, len(whole) - MOST_BYTES)
        kept = whole[:MOST_BYTES]
        for line in rest:
            yield kept, dropped
            kept, dropped = line, 0
    if kept:
        yield kept, dropped
