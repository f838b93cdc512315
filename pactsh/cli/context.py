"""What a command is given: its settings, where it runs, and ways to reach agent and journal.

A `Context` is a value made once by `command.Command`; `run(ctx, args)` takes everything that isn't an
argument from it: no command reads the environment, the clock or a configuration file itself.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from pactsh.errors import UsageError

if TYPE_CHECKING:
    from pactsh.cli.config import Settings
    from pactsh.cli.local import LocalAgent
    from pactsh.rpc.client import Journal

AGENT_SOCKET = "/run/pact/agent.sock"


class Advance(Protocol):
    """Moves a progress display to `done` units; does nothing when there is none."""

    def __call__(self, done: int, /) -> None:
        """Show that `done` units are through."""


@dataclass(frozen=True, slots=True)
class NodeSocket:
    """The way to the agent of the node this process runs on.

    `fd` is an authenticated connection inherited from the session (PACT_SESSION_FD), or None;
    `path` is the socket to connect to otherwise.
    """

    fd: int | None
    path: str


def find_node(environ: Mapping[str, str], default_path: str = AGENT_SOCKET) -> NodeSocket | None:
    """Say whether we are on a node, and how its agent is reached; None from elsewhere.

    Raises `UsageError` when PACT_SESSION_FD is not an open socket: silently falling back to another
    connection could act under another identity.
    """
    path = environ.get("PACT_AGENT_SOCKET") or default_path
    inherited = environ.get("PACT_SESSION_FD")
    if inherited:
        try:
            fd = int(inherited)
            usable = fd >= 0 and stat.S_ISSOCK(os.fstat(fd).st_mode)
        except (ValueError, OSError):
            usable = False
        if not usable:
            raise UsageError(
                f"PACT_SESSION_FD: {inherited!r} is not an open socket",
                hint="run pact from the session's own prompt, or unset PACT_SESSION_FD",
            )
        return NodeSocket(fd, path)
    if environ.get("PACT_AGENT_SOCKET") or os.path.exists(path):
        return NodeSocket(None, path)
    return None


@dataclass(frozen=True, slots=True)
class Context:
    """Everything a command may use besides its arguments.

    `explicit` names the global options that were typed (`vcluster`, `endpoint`, …), for the few
    commands to which a configured default means less than a typed one. `stderr_line` is for notices that
    must not wait for the result ("Waiting for approval…"); results are rendered from the return value.
    """

    settings: Settings
    environ: Mapping[str, str]
    now: Callable[[], datetime]
    node: NodeSocket | None
    explicit: frozenset[str]
    colour: bool
    sleep: Callable[[float], None]
    notice: Callable[[str], None]
    progress: Callable[[str, int], AbstractContextManager[Advance]]

    @property
    def json(self) -> bool:
        """Whether the user asked for JSON."""
        return self.settings.output == "json"

    def agent(self) -> LocalAgent:
        """Connect to this node's agent; raises `UsageError` when not on a node."""
        from pactsh.cli.local import LocalAgent

        if self.node is None:
            raise UsageError(
                "not on a node: no agent here",
                hint=f"name a NODE, or set PACT_AGENT_SOCKET (default {AGENT_SOCKET})",
            )
        return LocalAgent(self.node, timeout_s=self.settings.timeout)

    def journal(self) -> Journal:
        """A client of the journal from the settings; connects on first use.

        Raises `AuthError` when there is no token: there is no default identity.
        """
        from pactsh.cli.remote import open_journal

        return open_journal(self.settings, self.environ)
