"""What makes a part one that is not well."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from pactsh.cli.healthparts import agent_part, journal_part, nodes_part
from pactsh.cli.nodestatus import Failing, JournalLink, NodeStatus, OverlayStatus, Spool
from pactsh.rpc import pact_pb2 as pb

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
STARTED = "2026-01-30T12:00:00.000000Z"


def told(**fields: object) -> pb.JournalStatus:
    values = {
        "version": "1.0", "started": STARTED, "store": "sqlite", "last_seq": 10, "signed_seq": 10,
        "signed_time": "2026-01-31T11:59:56.000000Z", "size_bytes": 1 << 20, "free_bytes": 5 << 30,
    }  # fmt: skip
    return pb.JournalStatus(**{**values, **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fields", "state", "says"),
    [
        ({}, "ok", "1.0 at j:1, up for 1 day; seq:10, signed 4 s ago; 5.0 GiB free"),
        ({"signed_seq": 8}, "ok", "seq:10, signed to seq:8 4 s ago"),
        ({"signed_seq": 8, "signed_time": "2026-01-31T10:00:00.000000Z"}, "degraded", "signed to seq:8 2 h ago"),
        ({"signed_time": "2026-01-01T10:00:00.000000Z"}, "ok", "seq:10, signed 30 days ago"),
        ({"last_seq": 0, "signed_seq": 0, "signed_time": ""}, "ok", "seq:0, nothing to sign"),
        ({"signed_seq": 0, "signed_time": ""}, "ok", "seq:10, not signed yet"),
        ({"free_bytes": 100 << 20}, "degraded", "100.0 MiB free"),
        ({"started": "2027-01-01T00:00:00.000000Z"}, "ok", "up for 0 s"),
        ({"started": "garbage"}, "ok", "up for 0 s"),
    ],
)
def test_a_journal(fields: dict[str, object], state: str, says: str) -> None:
    part = journal_part(told(**fields), "j:1", NOW, 1.0)
    assert (part.state, bool(part.hint)) == (state, state != "ok")
    assert says in part.says


def at(node: str, *, present: bool = True, state: str = "COMMITTED", **fields: Any) -> NodeStatus:
    return NodeStatus(node, "ml", state, present=present, **fields)


def test_a_journal_that_has_just_started_has_not_heard_of_them_yet() -> None:
    nodes = [at("n1"), at("n2", present=False)]
    assert nodes_part(nodes, 3.0).hint == "the journal started 3 s ago: agents report every 15 s"
    assert nodes_part(nodes, 300.0).hint.startswith("is pact-agent running there")


def test_nodes_that_were_revoked_are_not_missed() -> None:
    part = nodes_part([at("n1"), at("n2", present=False, state="revoked")], 300.0)
    assert (part.state, part.says) == ("ok", "1 of 1 present")


def test_an_overlay_that_could_not_be_applied_is_a_nodes_trouble() -> None:
    failing = OverlayStatus(1, Failing(2, ("no",)))
    part = nodes_part([at("n1", overlay=failing), at("n2"), at("n3", unreadable=True)], 300.0)
    assert (part.state, part.says) == ("degraded", "3 of 3 present; degraded: n[1,3] (2)")


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"journal": JournalLink(True)}, ""),
        ({"journal": JournalLink(False, "then")}, ", without the journal since then"),
        ({"spool": Spool("read-only", 3)}, ", its spool is read-only"),
        ({"emergency": True}, ", in an emergency"),
        ({"degraded": True}, ", decides by a cached policy"),
        ({"overlay": OverlayStatus(1, Failing(2, ()))}, ", the overlay, version 2, could not be applied"),
    ],
)
def test_an_agent(fields: dict[str, Any], says: str) -> None:
    part = agent_part(at("n1", version="1.0", **fields), 1.0)
    state = "EMERGENCY" if "emergency" in fields else "COMMITTED"
    assert (part.state, part.says) == ("degraded" if says else "ok", f"1.0 on n1, {state}{says}")
