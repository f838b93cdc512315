"""The file system as globs and `cd` see it: without the names in secret directories.

The agent expands globs with its own rights, so what a contained command could not list
must not show up here either: masked places, and others that are off limits by name, such as the
address spaces and descriptors of processes below /proc.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

from pactsh.catalog.secrets import is_hidden

_MOST_ENTRIES = 100_000
EXPANSION_LIMIT_S = 10.0


def expansion_ends() -> float:
    """When what begins now has taken too long, in monotonic seconds: one limit for all of a line."""
    return time.monotonic() + EXPANSION_LIMIT_S


class DirectoryListing:
    """Implements `pactsh.language`'s `Listing` for a session standing in `cwd`.

    From `until` on (monotonic, seconds) it finds nothing any more: whoever asked has been told by then that it took
    too long, and the thread is not to go on for nobody.
    """

    def __init__(self, cwd: str, secrets: Sequence[str], until: float) -> None:
        self._cwd, self._secrets, self._until = cwd, tuple(secrets), until

    @property
    def directory(self) -> str:
        """Where the session stands."""
        return self._cwd

    def entries(self, directory: str) -> Sequence[str]:
        """Names in `directory`, unsorted; empty if it can't or may not be read."""
        path = self.resolve(directory) if time.monotonic() < self._until else None
        if path is None:
            return []
        names: list[str] = []
        try:
            with os.scandir(path) as found:
                for entry in found:
                    names.append(entry.name)
                    if len(names) >= _MOST_ENTRIES:
                        break
        except OSError:
            return []
        return names

    def exists(self, path: str) -> bool:
        """Whether the name exists; a dangling link does (glob(7) as bash has it)."""
        plain = path.rstrip("/")
        parent = self.resolve(os.path.dirname(plain) or ("." if plain else "/"))
        if parent is None or not os.path.lexists(os.path.join(parent, os.path.basename(plain))):
            return False
        return plain == path or self.is_dir(path)

    def is_dir(self, path: str) -> bool:
        """Whether it is a directory, links followed."""
        resolved = self.resolve(path)
        return resolved is not None and os.path.isdir(resolved)

    def resolve(self, path: str) -> str | None:
        """The real path, or None when it lies in a secret place or isn't a path at all."""
        if "\0" in path:
            return None
        try:
            real = os.path.realpath(os.path.join(self._cwd, path))
        except OSError:  # a link that went away or may not be read, as below /proc
            return None
        if any(real == s or real.startswith(s + "/") for s in self._secrets):
            return None
        if is_hidden(path, self._cwd) or is_hidden(real, "/"):
            return None
        return real
