"""What a node's report says of it, for `pact status` and `pact cap` elsewhere; the journal takes 64 KiB."""

from __future__ import annotations

import json
from collections.abc import Callable

import msgspec

from pact_agent.capabilities.prober import Prober
from pact_agent.facts import NodeFacts
from pactsh.model.capability import Capabilities

MOST_BYTES = 48 << 10  # of the capabilities: the rest is for the state
_REPORTED = (
    "supervisor", "capabilities", "drift", "window_s", "overlay", "deltas", "degraded", "emergency", "containment",
    "missing",
)  # fmt: skip


def reported(facts: NodeFacts, prober: Prober) -> bytes:
    """The report's details (JSON): the state of now, and what the last look at the hardware found."""
    known = facts.status()
    details = {name: known[name] for name in _REPORTED}
    if (found := prober.latest()) is not None:
        details["cap"] = msgspec.to_builtins(shortened(found))
    return json.dumps(details).encode()


def shortened(found: Capabilities, most_bytes: int = MOST_BYTES) -> Capabilities:
    """The same in that many bytes of JSON: what is long and seldom asked for is left out, and named in `left_out`."""
    for name, without in _STEPS:
        if _length(found) <= most_bytes:
            return found
        found = msgspec.structs.replace(without(found), left_out=(*found.left_out, name))
    return found


def _length(found: Capabilities) -> int:
    return len(json.dumps(msgspec.to_builtins(found)))  # as it is sent: what is not ASCII takes six bytes


def _without(part: str, field: str) -> tuple[str, Callable[[Capabilities], Capabilities]]:
    def change(found: Capabilities) -> Capabilities:
        known = getattr(found, part)
        return found if known is None else _replaced(found, part, msgspec.structs.replace(known, **{field: None}))

    return f"{part}.{field}", change


def _replaced(found: Capabilities, part: str, value: object) -> Capabilities:
    return msgspec.structs.replace(found, **{part: value})


def _without_instances(found: Capabilities) -> Capabilities:
    return _replaced(
        found, "gpus", tuple(msgspec.structs.replace(g, mig_instances=None) for g in found.gpus or ()) or found.gpus
    )


_STEPS: tuple[tuple[str, Callable[[Capabilities], Capabilities]], ...] = (
    _without("cpu", "flags"),
    _without("storage", "mounts"),
    _without("memory", "modules"),
    _without("network", "links"),
    _without("storage", "disks"),
    ("gpus.mig_instances", _without_instances),
    _without("system", "command_line"),
    *((part, lambda found, part=part: _replaced(found, part, None)) for part in ("network", "cpu", "gpus", "system")),
)
