"""The journal's data directory: keys, join tokens, database, and the lock that keeps it to one process."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from pathlib import Path

from pactsh.auth.ca import Authority, utc_now
from pactsh.auth.join import JoinTokens
from pactsh.auth.private import check_private_directory, make_private_directory, write_private
from pactsh.errors import UsageError


class DataDir:
    """`ca/`, `join/`, `journal.db`, and `ca.pem` for others to copy."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.database = path / "journal.db"
        self.ca_file = path / "ca.pem"
        self._lock: int | None = None

    def open(self) -> None:
        """Make or check the directory and lock it; raises `UsageError` when another journal runs there."""
        make_private_directory(self.path)
        descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            raise UsageError(
                f"{self.path}: another pact-journal uses this directory", hint="one process for each data directory"
            ) from error
        self._lock = descriptor

    def authority(self) -> Authority:
        """The keys, made at the first start. Never made beside a database: that would be a new
        journal claiming an old one's entries."""
        directory = self.path / "ca"
        if directory.exists() and any(directory.iterdir()):
            authority = Authority.load(directory)
        elif self.database.exists():
            raise UsageError(f"{directory}: the keys of this journal are missing", hint="restore them from a backup")
        else:
            authority = Authority.create(directory)
        write_private(self.ca_file, authority.ca_pem, mode=0o644)
        return authority

    def head_public_key(self) -> bytes:
        """The raw public key that signs heads, for offline checks."""
        check_private_directory(self.path)
        return Authority.load(self.path / "ca").head_key.public_key().public_bytes_raw()

    def join_tokens(self) -> JoinTokens:
        """The outstanding join tokens."""
        return JoinTokens(self.path / "join", clock=utc_now)

    def write_ready(self, path: Path, facts: Mapping[str, str]) -> None:
        """Write the ready file, whole or not at all."""
        write_private(path, json.dumps(dict(facts), sort_keys=True).encode() + b"\n", mode=0o644)

    def close(self) -> None:
        """Let go of the lock."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
