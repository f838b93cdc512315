"""Logs of services that no journal of systemd's keeps: files that whoever runs them writes, a directory a service."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9:_.@\\-]{0,254}")


class ServiceLogs(Protocol):
    """The logs of the services that the agent itself runs. Both are asked in threads."""

    def names(self) -> Sequence[str]:
        """The services there are, in the order in which they are shown."""

    def log(self, name: str) -> str:
        """The absolute path of the file that the service's output goes to; what was put aside is beside it, as
        `logrotate` names that (`log.1`, `log.2.gz`)."""


class KeptLogs:
    """Those in `directory`: NAME/log. It need not be there."""

    def __init__(self, directory: Path) -> None:
        self._directory = os.path.abspath(directory)

    def names(self) -> Sequence[str]:
        """In order of their names."""
        try:
            with os.scandir(self._directory) as entries:
                return sorted(e.name for e in entries if _NAME.fullmatch(e.name) and e.is_dir(follow_symlinks=False))
        except OSError:
            return ()

    def log(self, name: str) -> str:
        """Where the output of `name` is."""
        return f"{self._directory}/{name}/log"
