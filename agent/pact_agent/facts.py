"""What the agent knows of its node and itself, for `pact status` and the shell's toolbar.

Unknown is None: nothing is invented.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence, Sized
from typing import Protocol

from pact_agent import landlock
from pact_agent.clock import Clock, timestamp
from pact_agent.session import Session, Sessions
from pactsh import __version__
from pactsh.model.delta import Delta


class Link(Protocol):
    """The uplink, as far as the facts go."""

    @property
    def connected(self) -> bool:
        """Whether the journal is reached now."""


class Backlog(Protocol):
    """The spool, as far as the facts go."""

    def level(self) -> str:
        """`normal`, `read-only` or `unwritable`."""

    def pending(self) -> int:
        """Entries that the journal doesn't have yet."""


class Configuration(Protocol):
    """The node's configuration, as far as the facts go."""

    @property
    def drift(self) -> Sized:
        """What has drifted."""

    def state(self) -> str:
        """`OBSERVE_ONLY`, `COMMITTED`, `DRIFTED` or `CONVERGING`."""

    @property
    def deltas(self) -> Sequence[Delta]:
        """What is committed here."""

    def window_left_s(self) -> float | None:
        """Time left in the commit window."""

    def overlay(self) -> dict[str, object]:
        """The vCluster's overlay as this node has it."""


class NodeFacts:
    """The node's facts; `features` is what the spawner said the kernel can enforce."""

    def __init__(
        self,
        node: str,
        vcluster: str,
        *,
        clock: Clock,
        sessions: Sessions,
        backlog: Backlog,
        link: Callable[[], Link | None],
        features: dict[str, object],
        containment: Callable[[], str],
        missing: tuple[str, ...],
        emergency: Callable[[], object | None] = lambda: None,
        configuration: Callable[[], Configuration],
        supervisor: Callable[[], str | None] = lambda: None,
        capabilities: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._supervisor, self._capabilities = supervisor, capabilities
        self._configuration = configuration
        self.node, self.vcluster = node, vcluster
        self._clock, self._sessions, self._backlog, self._link = clock, sessions, backlog, link
        self._features, self._required, self._missing = features, containment, missing
        self._emergency = emergency
        self._started_at = timestamp(clock.now())
        self._link_state: tuple[bool, str] = (False, self._started_at)

    def connected(self) -> bool:
        """Whether the journal is reached; remembers since when."""
        link = self._link()
        now = link is not None and link.connected
        if now != self._link_state[0]:
            self._link_state = (now, timestamp(self._clock.now()))
        return now

    def containment(self) -> str:
        """What the kernel enforces on commands, in a few words, weakest spot included."""
        features = self._features
        parts = [f"landlock {features['landlock_abi']}" if features["landlock_abi"] else "no landlock"]
        parts.append("seccomp" if features["seccomp"] else "no seccomp")
        if features["masks"]:
            parts.append(f"{features['masks']} secrets masked")
        elif features["capabilities"]:
            parts.append(f"secrets not masked ({features['masks_error']})")
        else:
            parts.append("agent without root")
        groups = "control groups" if features["cgroups"] else "no control groups"
        parts.append(groups if features["bounded"] else f"{groups}, processes not bounded")
        return ", ".join([*parts, self._required()])

    def enforcement(self) -> dict[str, object]:
        """What the kernel enforces, as facts: the item `enforces` of `pact cap`."""
        features = self._features
        abi = features["landlock_abi"]
        version = abi if isinstance(abi, int) else 0
        return {
            "landlock_abi": version,
            "landlock": [what for since, what in landlock.ADDED.items() if since <= version],
            "landlock_missing": [what for since, what in landlock.ADDED.items() if since > version],
            "seccomp": features["seccomp"],
            "masks": features["masks"],
            "capabilities": features["capabilities"],
            "control_groups": features["cgroups"],
            "processes_bounded": features["bounded"],
            "required": self._required() == "required",
        }

    def enforced(self) -> bool:
        """Whether every containment mechanism works here (policy `containment = "required"`)."""
        features = self._features
        masked = bool(features["masks"]) or not features["capabilities"]
        return bool(features["landlock_abi"]) and bool(features["seccomp"]) and masked

    def status(self) -> dict[str, object]:
        """The item of `pact status`."""
        connected = self.connected()
        return {
            "node": self.node,
            "vcluster": self.vcluster,
            "state": self._configuration().state(),
            "supervisor": self._supervisor(),
            "capabilities": self._capabilities(),
            "drift": len(self._configuration().drift),
            "window_s": self._configuration().window_left_s(),
            "overlay": self._configuration().overlay(),
            "deltas": self._deltas(),
            "degraded": not connected,
            "emergency": self._emergency() is not None,
            "journal": {"connected": connected, "since": self._link_state[1]},
            "spool": {"level": self._backlog.level(), "pending": self._backlog.pending()},
            "sessions": len(self._sessions.all()),
            "containment": self.containment(),
            "missing": list(self._missing),
            "version": __version__,
            "started_at": self._started_at,
        }

    def _deltas(self) -> dict[str, object]:
        """How many changes are committed here, and when the first of them ends (seconds since the epoch)."""
        deltas = self._configuration().deltas
        ends = [delta.expires for delta in deltas if delta.expires]
        return {"changes": sum(len(delta.changes) for delta in deltas), "expires": min(ends, default=None)}

    def toolbar(self, session: Session | None) -> dict[str, object]:
        """The fields of a `state` frame."""
        connected = self.connected()
        return {
            "who": session.identity.principal if session else None,
            "role": session.identity.roles[0] if session and session.identity.roles else None,
            "state": self._configuration().state(),
            "drift": len(self._configuration().drift),
            "window_s": self._configuration().window_left_s(),
            "journal": connected,
            "emergency": self._emergency() is not None,
            "degraded": not connected,
            "node": self.node,
            "vcluster": self.vcluster,
        }
