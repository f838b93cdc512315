"""What lattice is asked to do to nodes, jobs and DAGs, from every state, and what is said of it."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import grpc
import pytest

from pactsh.delegates.answer import Answer
from pactsh.delegates.lattice import acting
from pactsh.delegates.lattice.client import Lattice
from pactsh.delegates.lattice.words import NODE_STATES
from pactsh.errors import ConflictError, NotFoundError, PactError
from tests.lattice import LatticeServer

NAME = "nid001"
Act = Callable[[Lattice], Answer]
ACTS: dict[str, Act] = {
    "cordon": lambda lattice: acting.cordon(lattice, NAME, "new DIMMs"),
    "uncordon": lambda lattice: acting.uncordon(lattice, NAME),
    "drain": lambda lattice: acting.drain(lattice, NAME, "new DIMMs"),
    "undrain": lambda lattice: acting.undrain(lattice, NAME),
}
CALLS = {"cordon": "DisableNode", "uncordon": "EnableNode", "drain": "DrainNode", "undrain": "UndrainNode"}

# What comes of a deed on a node in a state: the state after it, "=" for nothing to do, or why not.
OUTCOMES: dict[str, dict[str, str]] = {
    "cordon": {
        "ready": "down",
        "degraded": "down",
        "down": "=",
        "draining": "nid001 is draining: it can't be cordoned",
        "drained": "nid001 is drained: it can't be cordoned",
        "booting": "nid001 is booting: it can't be cordoned",
        "failed": "nid001 is failed: it can't be cordoned",
        "unknown": "nid001 is unknown: it can't be cordoned",
    },
    "uncordon": {
        "ready": "=",
        "degraded": "=",
        "down": "ready",
        "draining": "nid001 is draining, not cordoned",
        "drained": "nid001 is drained, not cordoned",
        "booting": "nid001 is booting: it can't be uncordoned",
        "failed": "nid001 is failed: it can't be uncordoned",
        "unknown": "nid001 is unknown: it can't be uncordoned",
    },
    "drain": {
        "ready": "draining",
        "degraded": "draining",
        "down": "nid001 is down: it can't be drained",
        "draining": "=",
        "drained": "=",
        "booting": "nid001 is booting: it can't be drained",
        "failed": "nid001 is failed: it can't be drained",
        "unknown": "nid001 is unknown: it can't be drained",
    },
    "undrain": {
        "ready": "=",
        "degraded": "=",
        "down": "nid001 is down, not drained",
        "draining": "nid001 is still draining, and lattice can't stop that",
        "drained": "ready",
        "booting": "nid001 is booting: it can't be undrained",
        "failed": "nid001 is failed: it can't be undrained",
        "unknown": "nid001 is unknown: it can't be undrained",
    },
}


def test_every_state_is_tried() -> None:
    assert [set(states) for states in OUTCOMES.values()] == [set(NODE_STATES)] * len(ACTS)


@pytest.mark.parametrize(
    ("deed", "state", "outcome"), [(deed, *row) for deed, rows in OUTCOMES.items() for row in rows.items()]
)
def test_a_node_in_every_state(server: LatticeServer, lattice: Lattice, deed: str, state: str, outcome: str) -> None:
    server.add_node(NAME, state)
    server.add_job(nodes=[NAME])
    acts = server.called(*CALLS.values())
    assert acts == []
    if outcome == "=":
        answer = ACTS[deed](lattice)
        assert "already" in answer.text
        assert answer.details == {"before": state, "unchanged": True}
    elif outcome in NODE_STATES:
        answer = ACTS[deed](lattice)
        assert answer.text.endswith("(via lattice API)")
        assert answer.details["before"] == state
    else:
        with pytest.raises(PactError) as caught:
            ACTS[deed](lattice)
        assert caught.value.message == outcome
        assert caught.value.hint
    is_done = outcome in NODE_STATES
    assert server.node(NAME).state == (outcome if is_done else state)
    assert server.called(*CALLS.values()) == ([CALLS[deed]] if is_done else []), "looked up first, then asked once"


@pytest.mark.parametrize("deed", ACTS)
def test_a_node_that_lattice_does_not_know(server: LatticeServer, lattice: Lattice, deed: str) -> None:
    with pytest.raises(NotFoundError, match=r"^nid001: lattice does not know this node$"):
        ACTS[deed](lattice)
    assert server.called() == ["GetNode"]


@pytest.mark.parametrize("deed", ACTS)
def test_a_node_that_changes_between_looking_and_asking(server: LatticeServer, lattice: Lattice, deed: str) -> None:
    server.add_node(NAME, {"cordon": "ready", "uncordon": "down", "drain": "ready", "undrain": "drained"}[deed])
    text = "Invalid node transition: failed -> ready"
    code = grpc.StatusCode.FAILED_PRECONDITION if deed == "undrain" else grpc.StatusCode.INTERNAL
    server.fail[f"NodeService/{CALLS[deed]}"] = (code, text)
    with pytest.raises(ConflictError, match="Invalid node transition"):
        ACTS[deed](lattice)


def test_what_is_said_of_nodes(server: LatticeServer, lattice: Lattice) -> None:
    server.add_node(NAME)
    assert ACTS["cordon"](lattice).text == "Cordoned: nid001 removed from lattice scheduling (via lattice API)"
    assert ACTS["cordon"](lattice).text == (
        "Cordoned: nid001 was out of lattice scheduling already: new DIMMs (via lattice API)"
    )
    assert ACTS["uncordon"](lattice).text == "Uncordoned: nid001 returned to lattice scheduling (via lattice API)"
    assert ACTS["drain"](lattice).text == "Drained: nid001 takes no jobs, and has none (via lattice API)"
    assert ACTS["undrain"](lattice).text == "Undrained: nid001 returned to service (via lattice API)"
    server.add_job(nodes=[NAME])
    answer = ACTS["drain"](lattice)
    assert answer.text == "Draining: nid001 takes no new jobs, 1 job still there (via lattice API)"
    assert answer.details == {"before": "ready", "jobs": 1}


def test_what_runs_on_a_cordoned_node_goes_on(server: LatticeServer, lattice: Lattice) -> None:
    server.add_node(NAME)
    id_ = server.add_job(nodes=[NAME])
    ACTS["cordon"](lattice)
    assert server.job(id_).state == "running"


# -- waiting for a drain


def test_a_job_is_cancelled_whose_ever_it_is(server: LatticeServer, lattice: Lattice) -> None:
    for user in ("alice", "bob", ""):
        id_ = server.add_job(user=user)
        answer = acting.cancel_job(lattice, id_)
        whose = user or "nobody"
        assert answer.text == f"Cancelled: job {id_} of {whose}, which was running (via lattice API)"
        assert server.job(id_).state == "cancelled"


@pytest.mark.parametrize("state", ["completed", "failed", "cancelled"])
def test_a_job_that_has_ended(server: LatticeServer, lattice: Lattice, state: str) -> None:
    id_ = server.add_job(state=state)
    with pytest.raises(ConflictError, match=f"^job {id_} is {state} already$"):
        acting.cancel_job(lattice, id_)
    assert "Cancel" not in server.called()


def test_a_job_that_is_not_there(lattice: Lattice) -> None:
    with pytest.raises(NotFoundError):
        acting.cancel_job(lattice, str(uuid.uuid4()))


def test_a_dag_is_cancelled_as_far_as_it_has_not_ended(server: LatticeServer, lattice: Lattice) -> None:
    id_ = server.add_dag([server.add_job(state="completed"), server.add_job(), server.add_job(state="pending")])
    answer = acting.cancel_dag(lattice, id_)
    assert answer.text == f"Cancelled: 2 of the 3 jobs of DAG {id_} (via lattice API)"
    with pytest.raises(ConflictError, match="all of its jobs have ended"):
        acting.cancel_dag(lattice, id_)
    with pytest.raises(NotFoundError):
        acting.cancel_dag(lattice, str(uuid.uuid4()))
