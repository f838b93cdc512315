"""Logs of services that no journal of systemd's keeps: whoever runs them says in which files they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class ServiceLogs(Protocol):
    """The logs of the services that the agent itself runs."""

    def names(self) -> Sequence[str]:
        """The services there are, in the order in which they are shown."""

    def log(self, name: str) -> str:
        """The absolute path of the file that the service's output goes to; rotated ones are beside it, as
        `logrotate` names them (`log.1`, `log.2.gz`)."""


class NoServiceLogs:
    """Of a node on which the agent runs none."""

    def names(self) -> Sequence[str]:
        """None at all."""
        return ()

    def log(self, name: str) -> str:
        """Never asked."""
        raise KeyError(name)
