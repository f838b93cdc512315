"""A person's own copy of what `pact shell` shows them. It proves nothing: the node's own recording is the agent's."""

from __future__ import annotations

import contextlib
import os
import time
from datetime import datetime
from pathlib import Path
from typing import Self

from pactsh.errors import UsageError
from pactsh.model.asciicast import Encoder, Header


class OwnRecording:
    """A new file, written as things are shown; a context manager. What can't be written ends it, not the session: then
    `problem` says why."""

    def __init__(self, path: Path, title: str, size: tuple[int, int], term: str, now: datetime) -> None:
        self._encoder = Encoder(
            Header(2, max(size[0], 1), max(size[1], 1), int(now.timestamp()), title, {"TERM": term})
        )
        self.problem, self._path, self._is_empty = "", path, True
        try:
            self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except OSError as error:
            hint = "a recording is written to a new file" if isinstance(error, FileExistsError) else ""
            raise UsageError(f"shell: --record: {path}: {error.strerror}", hint=hint) from error
        self._began = time.monotonic()
        self._write(self._encoder.header())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._write(self._encoder.finish(self._now()))
        with contextlib.suppress(OSError):
            os.close(self._fd)
            if self._is_empty:  # there was no session
                self._path.unlink()

    def shown(self, data: bytes) -> None:
        """Keep what is shown now."""
        self._is_empty = False
        self._write(self._encoder.output(self._now(), data))

    def resized(self, columns: int, rows: int) -> None:
        """The terminal has another size."""
        self._write(self._encoder.resize(self._now(), columns, rows))

    def _now(self) -> float:
        return time.monotonic() - self._began

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        try:
            while rest and not self.problem:
                rest = rest[os.write(self._fd, rest) :]
        except OSError as error:
            self.problem = error.strerror or str(error)
