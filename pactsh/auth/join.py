"""Join tokens: what lets a new agent enrol, once.

A token is 256 random bits, kept only as its SHA-256 (the name of a small file), for one node in one
vCluster and a limited time. Removing that file is the act of using it: of any number of processes that
try, exactly one succeeds.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import msgspec

from pactsh.auth import private
from pactsh.auth.names import NODE, check_node
from pactsh.errors import AuthError, UsageError

PREFIX = "pact-join-"
DEFAULT_TTL_S = 3600
MAX_TTL_S = 30 * 86400
_REFUSED = "the join token is unknown, used, expired, or for another node or vCluster"


class Joining(msgspec.Struct, frozen=True):
    """What a token is for, and when it was made and ends (seconds since the epoch)."""

    node: str
    vcluster: str
    issued_at: float
    expires_at: float


class JoinTokens:
    """The outstanding join tokens of a journal, in a private directory."""

    def __init__(self, directory: Path, *, clock: Callable[[], datetime]) -> None:
        private.make_private_directory(directory)
        self._directory = directory
        self._clock = clock

    def create(self, node: str, vcluster: str, ttl_s: int = DEFAULT_TTL_S) -> str:
        """A new token for `node` in `vcluster`, good for `ttl_s` seconds (at most 30 days). It is shown this once."""
        check_node(node)
        if not NODE.fullmatch(vcluster):
            raise UsageError(
                f"not a vCluster's name: {vcluster[:80]!r}", hint="lower-case letters, digits and hyphens, at most 63"
            )
        if not 0 < ttl_s <= MAX_TTL_S:
            raise UsageError(f"a join token lives 1 to {MAX_TTL_S} s, not {ttl_s}")
        self._drop_expired()
        token = PREFIX + secrets.token_urlsafe(32)
        now = self._clock().timestamp()
        record = Joining(node, vcluster, now, int(now) + ttl_s)
        private.write_private(self._path(token), msgspec.json.encode(record))
        return token

    def consume(self, token: str, node: str, vcluster: str = "") -> Joining:
        """Use `token` up for `node`; raises `AuthError` unless it is good, and this is its first use.

        `vcluster` is the one the asker takes itself to be in, "" for whichever the token says. The refusal does not
        say which of the reasons it was: the asker is unknown.
        """
        path = self._path(token)
        record = _read_record(path)
        if record is None:
            raise AuthError(_REFUSED, detail="unknown or used")
        if record.node != node:
            raise AuthError(_REFUSED, detail=f"for {record.node}, asked by {node[:80]!r}")
        if vcluster not in ("", record.vcluster):
            raise AuthError(_REFUSED, detail=f"{node}: for vCluster {record.vcluster}, asked for {vcluster[:80]!r}")
        if record.expires_at <= self._clock().timestamp():
            raise AuthError(_REFUSED, detail=f"expired, node {node}")
        try:
            os.unlink(path)  # only one of several racing processes gets past this
        except FileNotFoundError as error:
            raise AuthError(_REFUSED, detail="used at this moment by another") from error
        # A crash after the answer must not bring the token back.
        private.sync_directory(self._directory)
        return record

    def _path(self, token: str) -> Path:
        return self._directory / hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()

    def _drop_expired(self) -> None:
        now = self._clock().timestamp()
        for path in self._directory.iterdir():
            try:
                record = _read_record(path)
                over = record is not None and record.expires_at <= now
            except AuthError:
                over = True  # damaged, or of a version whose tokens named no vCluster: good for nothing
            if over:
                path.unlink(missing_ok=True)


def _read_record(path: Path) -> Joining | None:
    """None when there is no such token; raises `AuthError` for one that does not say all that it must."""
    content = private.read_private(path)
    if content is None:
        return None
    try:
        return msgspec.json.decode(content, type=Joining)
    except msgspec.MsgspecError as error:
        raise AuthError(_REFUSED, detail=f"{path}: damaged, or without a vCluster") from error
