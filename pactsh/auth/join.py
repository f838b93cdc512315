"""Join tokens: what lets a new agent enrol, once.

A token is 256 random bits, kept only as its SHA-256 (the name of a small file), for one node
and a limited time. Removing that file is the act of using it: of any number of processes that
try, exactly one succeeds.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from pactsh.auth import private
from pactsh.auth.names import check_node
from pactsh.errors import AuthError, UsageError

PREFIX = "pact-join-"
DEFAULT_TTL_S = 3600
MAX_TTL_S = 30 * 86400
_REFUSED = "the join token is unknown, used, expired, or for another node"


class JoinTokens:
    """The outstanding join tokens of a journal, in a private directory."""

    def __init__(self, directory: Path, *, clock: Callable[[], datetime]) -> None:
        private.make_private_directory(directory)
        self._directory = directory
        self._clock = clock

    def create(self, node: str, ttl_s: int = DEFAULT_TTL_S) -> str:
        """A new token for `node`, good for `ttl_s` seconds (at most 30 days). It is shown this once."""
        check_node(node)
        if not 0 < ttl_s <= MAX_TTL_S:
            raise UsageError(f"a join token lives 1 to {MAX_TTL_S} s, not {ttl_s}")
        self._drop_expired()
        token = PREFIX + secrets.token_urlsafe(32)
        record = {"node": node, "expires_at": int(self._clock().timestamp()) + ttl_s}
        private.write_private(self._path(token), json.dumps(record).encode())
        return token

    def consume(self, token: str, node: str) -> None:
        """Use `token` up for `node`; raises `AuthError` unless it is good, and this is its first use.

        The refusal does not say which of the reasons it was: the asker is unknown.
        """
        path = self._path(token)
        record = _read_record(path)
        if record is None:
            raise AuthError(_REFUSED, detail="unknown or used")
        token_node, expires_at = record
        if token_node != node:
            raise AuthError(_REFUSED, detail=f"for {token_node}, asked by {node[:80]!r}")
        if expires_at <= self._clock().timestamp():
            raise AuthError(_REFUSED, detail=f"expired, node {node}")
        try:
            os.unlink(path)  # only one of several racing processes gets past this
        except FileNotFoundError as error:
            raise AuthError(_REFUSED, detail="used at this moment by another") from error
        # A crash after the answer must not bring the token back.
        private.sync_directory(self._directory)

    def _path(self, token: str) -> Path:
        return self._directory / hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()

    def _drop_expired(self) -> None:
        now = self._clock().timestamp()
        for path in self._directory.iterdir():
            record = _read_record(path)
            if record is not None and record[1] <= now:
                path.unlink(missing_ok=True)


def _read_record(path: Path) -> tuple[str, int] | None:
    """(node, expiry in seconds since the epoch), None when there is no such token."""
    content = private.read_private(path)
    if content is None:
        return None
    try:
        record = json.loads(content)
        node, expires_at = record["node"], record["expires_at"]
    except (ValueError, KeyError, TypeError) as error:
        raise AuthError(_REFUSED, detail=f"{path}: damaged") from error
    if not isinstance(node, str) or not isinstance(expires_at, int):
        raise AuthError(_REFUSED, detail=f"{path}: damaged")
    return node, expires_at
