"""What pact has others do, one target at a time: the one place where an authorised deed becomes a call.

Whoever calls has had it decided and put on record (`Delegation/Begin`), and puts the answer there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from pactsh.delegates.answer import Answer
from pactsh.delegates.settings import LatticeSettings, OpenchamiSettings
from pactsh.errors import UsageError

if TYPE_CHECKING:
    from pactsh.delegates.lattice.client import Lattice
    from pactsh.model.entry import JsonObject

LATTICE_NODE = ("drain", "undrain", "cordon", "uncordon")
OPENCHAMI_NODE = ("reboot", "reimage")


class Systems(msgspec.Struct, frozen=True):
    """The systems that are configured."""

    lattice: LatticeSettings | None = None
    openchami: OpenchamiSettings | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Which those are."""
        return tuple(name for name in ("lattice", "openchami") if getattr(self, name) is not None)


def perform(
    systems: Systems,
    action: str,
    target: str,
    facts: JsonObject,
    *,
    user: str,
    timeout_s: float,
    tick: Callable[[str], None] = lambda _text: None,
) -> Answer:
    """Do it and return what came of it; raises `PactError`. `user` is the person it is for; `tick` hears of progress.

    `facts`: `reason` (drain, cordon), `force` (reboot).
    """
    if action in OPENCHAMI_NODE:
        if systems.openchami is None:
            raise UsageError(f"{action}: no OpenCHAMI is configured here", hint="set openchami_smd_url")
        from pactsh.delegates.openchami.power import power_of

        power = power_of(systems.openchami, timeout_s=timeout_s)
        return (
            power.reimage(target, tick) if action == "reimage" else power.reboot(target, bool(facts.get("force")), tick)
        )
    if systems.lattice is None:
        raise UsageError(f"{action}: no lattice is configured here", hint="set lattice_endpoint")
    from pactsh.delegates.lattice.client import Lattice

    with Lattice(systems.lattice, user=user, timeout_s=timeout_s) as lattice:
        return _by_lattice(lattice, action, target, str(facts.get("reason") or f"pact {action}"))


def _by_lattice(lattice: Lattice, action: str, target: str, reason: str) -> Answer:
    from pactsh.delegates.lattice import acting

    if action == "cordon":
        return acting.cordon(lattice, target, reason)
    if action == "drain":
        return acting.drain(lattice, target, reason)
    if action == "backup_create":
        made = lattice.create_backup(target)
        return Answer(f"Backup written: {target} {acting.VIA}", msgspec.to_builtins(made))
    if action == "backup_restore":
        said = lattice.restore_backup(target)
        return Answer(f"Backup in place: {target}; it counts when lattice is started anew {acting.VIA}", {"said": said})
    plain = {
        "uncordon": acting.uncordon, "undrain": acting.undrain, "job_cancel": acting.cancel_job,
        "dag_cancel": acting.cancel_dag,
    }  # fmt: skip
    if action not in plain:
        raise UsageError(f"{action}: nothing that can be delegated")
    return plain[action](lattice, target)
