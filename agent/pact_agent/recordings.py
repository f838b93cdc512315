"""The recordings of this node: `recordings/SESSION.cast` in the state directory, which nobody but root may read.

Beside each that has ended lies `SESSION.sha256`, written once the hash is an entry: what lacks it was left behind by an
agent that was killed, and gets its entry at the next start. Old ones stay until somebody removes them.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import logging
import os
import re
import secrets
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from pact_agent import recording
from pact_agent.clock import Clock
from pact_agent.io import Terminal
from pact_agent.recorder import Recorder
from pact_agent.recording import Recording, Sealed
from pact_agent.spoolfiles import replace_file
from pactsh.errors import NotFoundError, PactError, PolicyError, UsageError
from pactsh.model.asciicast import Header, Origin, parse_header
from pactsh.model.identity import Identity
from pactsh.policy.model import Policy

if TYPE_CHECKING:
    from pactsh.model.entry import JsonObject

_log = logging.getLogger(__name__)

_ID = re.compile(r"[0-9a-f]{16}")
_HASH = re.compile(r"[0-9a-f]{64}")
_CHUNK_BYTES = 256 << 10
_HEADER_LIMIT_BYTES = 64 << 10
LIMIT_BYTES = 64 << 20
_ROOM_BYTES = 1 << 20
_PLENTY = 32  # so many recordings, as large as they may be, still fit


class Kept(msgspec.Struct, frozen=True):
    """A recording as it lies here. `sha256` is what the entry says, "" while there is none."""

    header: Header
    origin: Origin
    bytes: int
    changed_at: float
    sha256: str


class Recordings:
    """Begins them where the policy wants it, and finds them again."""

    def __init__(
        self,
        directory: Path,
        node: str,
        policy: Callable[[], Policy],
        recorder: Recorder,
        clock: Clock,
        *,
        limit_bytes: int = LIMIT_BYTES,
    ) -> None:
        self._directory, self._node, self._policy = directory, node, policy
        self._recorder, self._clock, self._limit_bytes = recorder, clock, limit_bytes

    def required(self) -> bool:
        """Whether what a session shows on a terminal has to be recorded."""
        return self._policy().record

    async def begin(
        self, identity: Identity, terminal: Terminal, *, kind: str, source: str, peer: str, session: str = ""
    ) -> Recording:
        """Begin one, of `session` ("": one that is about to be opened). Raises `PolicyError` where it can't be made."""
        session = session or secrets.token_hex(8)
        header = Header(
            2,
            terminal.cols,
            terminal.rows,
            int(self._clock.now().timestamp()),
            f"{identity.principal} on {self._node}",
            {"TERM": terminal.term},
            Origin(session, self._node, identity.principal, kind, source, peer),
        )
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            await asyncio.to_thread(self._check_room, identity.principal)
            path = self._directory / f"{session}.cast"
            return await recording.create(path, header, limit_bytes=self._limit_bytes, clock=self._clock)
        except OSError as error:
            why = error.strerror or str(error)
            _log.error("%s: a session can't be recorded: %s", self._directory, why)
            await self._recorder.write("recording.failed", identity, {"reason": why, "peer": peer, "kind": kind})
            raise PolicyError(
                f"sessions are recorded on this vCluster, and this one can't be: {why}",
                hint="somebody has to make room in the agent's state directory; `pact exec` works meanwhile",
            ) from error

    def _check_room(self, principal: str) -> None:
        """Raise OSError where there is no room: at all, or for this person, who would keep the others out.

        Nothing is removed to make some: whoever wants a recording gone would only have to fill the disk.
        """
        free = _free_bytes(self._directory)
        if free < _ROOM_BYTES:  # it would end after a line or two
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if free < _PLENTY * self._limit_bytes and self._bytes_of(principal) > free:
            raise OSError(errno.EDQUOT, f"those of {principal} take more room than is left for all")

    def _bytes_of(self, principal: str) -> int:
        """How much this person's recordings take, those that go on as well."""
        total = 0
        for path in self._paths():
            try:
                kept = self._look(path)
            except (OSError, PactError):
                continue
            total += kept.bytes if kept.origin.principal == principal else 0
        return total

    def journaled(self, session: str, sealed: Sealed) -> None:
        """Note that the hash of a recording is on record."""
        try:
            replace_file(self._directory / f"{session}.sha256", f"{sealed.sha256}  {session}.cast\n".encode())
        except OSError as error:  # it will be hashed again at the next start, which says the same
            _log.error("%s: %s", self._directory, error.strerror)

    # -- finding them

    def get(self, session: str) -> Kept:
        """The recording of a session. Raises `NotFoundError`."""
        if not _ID.fullmatch(session):
            raise UsageError(f"session: expected the id of a session, got {session[:40]!r}")
        try:
            return self._look(self._directory / f"{session}.cast")
        except FileNotFoundError:
            raise NotFoundError(
                f"session {session}: there is no recording of it on {self._node}", hint="pact session list shows them"
            ) from None
        except OSError as error:
            raise PactError(f"session {session}: its recording can't be read: {error.strerror}") from error

    def newest(self, most: int) -> list[Kept]:
        """Those that were last written to and can be read, at most so many, oldest first."""
        found = []
        for path in sorted(self._paths(), key=_changed_at)[-most:]:
            try:
                found.append(self._look(path))
            except (OSError, PactError) as error:
                _log.warning("%s: %s", path, error)
        return sorted(found, key=lambda kept: kept.header.timestamp)

    def _paths(self) -> list[Path]:
        return sorted(path for path in self._directory.glob("*.cast") if _ID.fullmatch(path.stem))

    def _look(self, path: Path) -> Kept:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            header = parse_header(file.readline(_HEADER_LIMIT_BYTES), path.name)
        if header.pact is None or header.pact.session != path.stem:
            raise PactError(f"session {path.stem}: its recording has been replaced")
        return Kept(header, header.pact, status.st_size, status.st_mtime, self._hash_of(path.stem))

    def _hash_of(self, session: str) -> str:
        try:
            text = (self._directory / f"{session}.sha256").read_text("ascii", "replace")[:64]
        except OSError:
            return ""
        return text if _HASH.fullmatch(text) else ""

    async def read(self, session: str) -> AsyncGenerator[bytes, None]:
        """The file in pieces; of a session that goes on, what is there now."""
        with (self._directory / f"{session}.cast").open("rb") as file:
            left = os.fstat(file.fileno()).st_size
            while left > 0 and (data := await asyncio.to_thread(file.read, min(left, _CHUNK_BYTES))):
                left -= len(data)
                yield data

    # -- after a crash

    def unfinished(self) -> list[Path]:
        """What an agent that was killed left behind: to be asked for before any session begins."""
        return [path for path in self._paths() if not self._hash_of(path.stem)]

    async def recover(self, paths: list[Path], agent: Identity) -> None:
        """Put their hashes on record, marked as what was found."""
        for path in paths:
            try:
                sealed = await asyncio.to_thread(_found, path)
                kept = self._look(path)
                facts: JsonObject = {"recording": described(path.stem, sealed), "principal": kept.origin.principal}
                body: JsonObject = {"status": None, "reason": "the agent ended before the session", "recovered": True}
                await self._recorder.write("session.end", agent, body | facts, session=path.stem)
                await asyncio.to_thread(self.journaled, path.stem, sealed)
            except (OSError, PactError) as error:
                _log.error("%s: what is left of a recording has no entry: %s", path, error)


def _free_bytes(directory: Path) -> int:
    found = os.statvfs(directory)
    return found.f_bavail * found.f_frsize


def _changed_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # removed meanwhile
        return 0.0


def described(session: str, sealed: Sealed) -> JsonObject:
    """A recording as an entry has it."""
    facts: JsonObject = msgspec.to_builtins(sealed)
    return facts | {"file": f"recordings/{session}.cast"}


def _found(path: Path) -> Sealed:
    """Hash what is there, without a last line that was cut. Raises OSError."""
    digest, size, seconds, last = hashlib.sha256(), 0, 0.0, b""
    with path.open("r+b") as file:
        for line in file:
            if not line.endswith(b"\n"):
                break
            digest.update(line)
            size += len(line)
            last = line
        file.truncate(size)
        os.fsync(file.fileno())
    if last.startswith(b"["):
        try:
            seconds = float(last[1:32].partition(b",")[0])
        except ValueError:
            seconds = 0.0
    return Sealed(digest.hexdigest(), size, round(seconds, 3))
