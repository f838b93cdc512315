"""Deeds that are decided become calls: which of them, with what, and what is told of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pactsh.delegates.answer import Answer
from pactsh.delegates.deeds import LATTICE_NODE, OPENCHAMI_NODE, Systems, perform
from pactsh.delegates.settings import LatticeSettings
from pactsh.errors import NotFoundError, PactError, UnreachableError, UsageError
from pactsh.model.entry import JsonObject
from pactsh.policy.rbac import DELEGATED_NODE, DELEGATED_OTHER
from tests.lattice import LatticeServer


@pytest.fixture
def server() -> Iterator[LatticeServer]:
    with LatticeServer() as running:
        running.add_node("nid001")
        yield running


def done(server: LatticeServer, action: str, target: str, **facts: str) -> Answer:
    systems = Systems(lattice=LatticeSettings(server.endpoint))
    given: JsonObject = {**facts}
    return perform(systems, action, target, given, user="alice", timeout_s=10)


def test_nodes(server: LatticeServer) -> None:
    assert done(server, "cordon", "nid001", reason="new DIMMs").text.startswith("Cordoned: nid001 ")
    assert server.node("nid001").state_reason == "new DIMMs"
    assert done(server, "uncordon", "nid001").text.startswith("Uncordoned: nid001 ")
    assert done(server, "drain", "nid001").text.startswith("Drained: nid001 ")
    assert done(server, "undrain", "nid001").text.startswith("Undrained: nid001 ")
    assert {sent["x-lattice-user"] for _, sent in server.calls} == {"alice"}


def test_a_reason_that_nobody_gave(server: LatticeServer) -> None:
    done(server, "cordon", "nid001")
    assert server.node("nid001").state_reason == "pact cordon"


def test_jobs_dags_and_backups(server: LatticeServer) -> None:
    job = server.add_job(user="bob")
    dag = server.add_dag([server.add_job(), server.add_job()])
    assert done(server, "job_cancel", job).details == {"before": "running"}
    assert done(server, "dag_cancel", dag).details == {"cancelled": 2}
    made = done(server, "backup_create", "/backups/a")
    assert made.text == "Backup written: /backups/a (via lattice API)"
    assert (made.details["nodes"], made.details["jobs"]) == (1, 3)
    back = done(server, "backup_restore", "/backups/a")
    assert "counts when lattice is started anew" in back.text
    assert back.details == {"said": "snapshot restored; restart to load it"}


@pytest.mark.parametrize("action", sorted(DELEGATED_NODE | DELEGATED_OTHER - {"backup_verify"}))
def test_where_nothing_is_configured_it_is_said_what_to_set(action: str) -> None:
    with pytest.raises(UsageError, match=f"^{action}: no (lattice|OpenCHAMI) is configured here$") as caught:
        perform(Systems(), action, "nid001", {}, user="alice", timeout_s=1)
    assert caught.value.hint.startswith("set openchami_" if action in OPENCHAMI_NODE else "set lattice_")


def test_what_is_no_deed(server: LatticeServer) -> None:
    with pytest.raises(UsageError, match=r"^explode: nothing that can be delegated$"):
        done(server, "explode", "nid001")
    assert server.calls == []


@pytest.mark.parametrize("action", LATTICE_NODE)
def test_a_deed_that_fails_says_why(server: LatticeServer, action: str) -> None:
    with pytest.raises(NotFoundError, match="lattice does not know this node"):
        done(server, action, "nid999")
    server.stop()
    with pytest.raises(UnreachableError, match="can't be reached"):
        done(server, action, "nid001")


def test_a_deed_is_done_once(server: LatticeServer) -> None:
    done(server, "drain", "nid001")
    done(server, "drain", "nid001")
    assert server.called("DrainNode") == ["DrainNode"], "the second found it drained"
    with pytest.raises(PactError):
        done(server, "uncordon", "nid001")
    assert server.called("EnableNode") == []
