"""What lattice is asked to do to a node, a job or a DAG: looked up first, then asked, then told as it is.

lattice answers INTERNAL to what it does not know and to what may not follow on a state alike; only looking says which.
What is so already is no error: whoever repeats a deed gets the same end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pactsh.delegates.answer import Answer
from pactsh.delegates.lattice.words import ENDED, MAY_BECOME
from pactsh.errors import ConflictError, NotFoundError, PactError

if TYPE_CHECKING:
    from pactsh.delegates.lattice.client import Lattice
    from pactsh.delegates.lattice.model import Node

VIA = "(via lattice API)"


def known(lattice: Lattice, name: str) -> Node:
    """The node; raises `NotFoundError` that says who does not know it."""
    try:
        return lattice.node(name)
    except NotFoundError as error:
        raise NotFoundError(
            f"{name}: lattice does not know this node", hint="pact nodes list shows those that it does"
        ) from error


def cordon(lattice: Lattice, name: str, reason: str) -> Answer:
    """Take a node out of scheduling: lattice calls it disabling, and the state is `down`."""
    node = known(lattice, name)
    if node.state == "down":
        why = f": {node.reason}" if node.reason else ""
        return Answer(f"Cordoned: {name} was out of lattice scheduling already{why} {VIA}", _state(node))
    _check(node, "down", "cordoned")
    lattice.disable(name, reason)
    return Answer(f"Cordoned: {name} removed from lattice scheduling {VIA}", {"before": node.state})


def uncordon(lattice: Lattice, name: str) -> Answer:
    """Put it back. lattice would end a drain by this as well, or call a node ready that boots: nobody asked for it."""
    node = known(lattice, name)
    if node.state in {"ready", "degraded"}:
        return Answer(f"Uncordoned: {name} was in lattice scheduling already {VIA}", _state(node))
    if node.state in {"drained", "draining"}:
        raise PactError(f"{name} is {node.state}, not cordoned", hint=f"pact undrain {name} ends a drain")
    if node.state != "down":
        raise _impossible(node, "uncordoned")
    lattice.enable(name)
    return Answer(f"Uncordoned: {name} returned to lattice scheduling {VIA}", {"before": node.state})


def drain(lattice: Lattice, name: str, reason: str) -> Answer:
    """Let nothing new start on it."""
    node = known(lattice, name)
    if node.state == "drained":
        return Answer(f"Drained: {name} was drained already {VIA}", _state(node))
    if node.state == "draining":
        return Answer(f"Draining: {name} was draining already {VIA}", _state(node))
    _check(node, "draining", "drained")
    left = lattice.drain(name, reason)
    details = {"before": node.state, "jobs": left}
    if not left:
        return Answer(f"Drained: {name} takes no jobs, and has none {VIA}", details)
    jobs = "1 job" if left == 1 else f"{left} jobs"
    return Answer(f"Draining: {name} takes no new jobs, {jobs} still there {VIA}", details)


def undrain(lattice: Lattice, name: str) -> Answer:
    """Take a drained node back."""
    node = known(lattice, name)
    if node.state in {"ready", "degraded"}:
        return Answer(f"Undrained: {name} was in service already {VIA}", _state(node))
    if node.state == "draining":
        raise PactError(
            f"{name} is still draining, and lattice can't stop that",
            hint=f"pact nodes inspect {name} shows when it is drained; then undrain it",
        )
    if node.state == "down":
        raise PactError(f"{name} is down, not drained", hint=f"pact uncordon {name} puts it back into scheduling")
    if node.state != "drained":
        raise _impossible(node, "undrained")
    lattice.undrain(name)
    return Answer(f"Undrained: {name} returned to service {VIA}", {"before": node.state})


def cancel_job(lattice: Lattice, id_: str) -> Answer:
    """Cancel a job; raises `ConflictError` for one that has ended."""
    job = lattice.job(id_)
    if job.state in ENDED:
        raise ConflictError(f"job {id_} is {job.state} already")
    lattice.cancel_job(id_, owner=job.user)
    return Answer(f"Cancelled: job {id_} of {job.user or 'nobody'}, which was {job.state} {VIA}", {"before": job.state})


def cancel_dag(lattice: Lattice, id_: str) -> Answer:
    """Cancel what has not ended of a DAG."""
    dag = lattice.dag(id_)
    if all(job.state in ENDED for job in dag.jobs):
        raise ConflictError(f"DAG {id_} is {dag.state} already: all of its jobs have ended")
    count = lattice.cancel_dag(id_)
    return Answer(f"Cancelled: {count} of the {len(dag.jobs)} jobs of DAG {id_} {VIA}", {"cancelled": count})


def _state(node: Node) -> dict[str, object]:
    return {"before": node.state, "unchanged": True}


def _check(node: Node, wanted: str, how: str) -> None:
    if wanted not in MAY_BECOME.get(node.state, frozenset()):
        raise _impossible(node, how)


def _impossible(node: Node, how: str) -> PactError:
    return PactError(
        f"{node.id} is {node.state}: it can't be {how}", hint=f"pact nodes inspect {node.id} shows its state"
    )
