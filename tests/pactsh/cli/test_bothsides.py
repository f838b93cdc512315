"""What lattice says of a node beside what pact says."""

from __future__ import annotations

import msgspec
import pytest

from pactsh.cli.bothsides import LatticeNode, Seen, contradictions, is_of, trouble_of
from pactsh.cli.nodestatus import NodeStatus
from pactsh.errors import UnreachableError

READY = LatticeNode("ready", "", 0)
DOWN = LatticeNode("down", "", 0)


def status(view: LatticeNode | None, *, present: bool | None = True, emergency: bool = False) -> NodeStatus:
    return NodeStatus("n1", "ml", "COMMITTED", present=present, emergency=emergency, lattice=view)


@pytest.mark.parametrize(
    ("node", "told"),
    [
        (status(None), ""),
        (status(READY), ""),
        (status(LatticeNode("draining", "", 1)), ""),
        (status(LatticeNode("down", "fan broken", 0)), ""),
        (status(LatticeNode(None, "", None), present=False), ""),
        (status(LatticeNode(error=trouble_of(UnreachableError("gone"))), present=False), ""),
        (status(DOWN, present=False), ""),
        (status(DOWN, present=None), ""),
        (status(DOWN, emergency=True), ""),
        (status(DOWN), "is up and COMMITTED here, but lattice has it down, without a reason"),
        (status(LatticeNode("unknown", "", 0)), "but lattice has it unknown, without a reason"),
        (status(READY, present=False), "does not report here, but lattice has it ready"),
        (status(LatticeNode("degraded", "", 0), emergency=True), "in an emergency, but lattice has it degraded"),
    ],
)
def test_what_does_not_go_together_is_told(node: NodeStatus, told: str) -> None:
    found = list(contradictions(node))
    assert len(found) == bool(told)
    assert told in "".join(found)


def test_a_node_is_a_state_a_reason_and_jobs_or_an_error() -> None:
    seen = Seen({"n1": ("down", "fan", "ml")}, {"n1": 2})
    assert msgspec.to_builtins(seen.node("n1")) == {"state": "down", "reason": "fan", "jobs": 2}
    assert msgspec.to_builtins(seen.node("n2")) == {"state": None, "reason": "", "jobs": None}
    assert Seen(seen.nodes, None).node("n1").told == "down (fan)"
    assert Seen(seen.nodes, {}).node("n1").told == "down (fan), no jobs"
    assert (seen.node("n2").shown, seen.node("n2").told) == ("-", "has no node of this name")
    failed = LatticeNode(error=trouble_of(UnreachableError("gone", hint="look")))
    error = {"code": 5, "kind": "timeout", "message": "gone", "hint": "look"}
    assert msgspec.to_builtins(failed) == {"error": error}
    assert (failed.shown, failed.told) == ("-", "not known")


def test_a_vcluster_of_lattice_may_have_its_tenant_before_it() -> None:
    assert is_of("physics/ml", "ml")
    assert not is_of("physics/ml", "physics")
