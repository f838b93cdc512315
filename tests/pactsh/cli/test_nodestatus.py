"""How bad a node's state is, and what is said of many nodes at once."""

from __future__ import annotations

from pactsh.cli.nodestatus import (
    DeltaStatus,
    Failing,
    NodeStatus,
    OverlayStatus,
    Spool,
    badness,
    counts,
    fleet,
    folded,
    warnings,
)

NOW = 1_000_000.0
GOOD = NodeStatus("good", "v", "COMMITTED", drift=0, present=True)
WORST_FIRST = [
    NodeStatus("emergency", "v", "DRIFTED", emergency=True, present=True),
    NodeStatus("gone", "v", "COMMITTED", present=False),
    NodeStatus("drifted", "v", "DRIFTED", drift=2, present=True),
    NodeStatus("window", "v", "CONVERGING", drift=0, window_s=3.0, present=True),
    NodeStatus("failing", "v", "COMMITTED", overlay=OverlayStatus(1, Failing(2, ("a", "b", "c"))), present=True),
    NodeStatus("degraded", "v", "COMMITTED", degraded=True, present=True),
    NodeStatus("full", "v", "COMMITTED", spool=Spool("read-only", 9), present=True),
    NodeStatus("behind", "v", "COMMITTED", overlay=OverlayStatus(1, None, 2), present=True),
    GOOD,
]


def test_worst_first_then_by_name() -> None:
    backwards = WORST_FIRST[::-1]
    assert sorted(backwards, key=badness) == WORST_FIRST
    assert min([NodeStatus("b", "v", ""), NodeStatus("a", "v", "")], key=badness).node == "a"
    both = NodeStatus("z", "v", "DRIFTED", drift=1, present=False)
    assert sorted([*WORST_FIRST, both], key=badness)[1] == both


def test_states_are_counted_worst_first() -> None:
    states = ["COMMITTED", "stopped", "DRIFTED", "COMMITTED", "CONVERGING", "OBSERVE_ONLY"]
    nodes = [NodeStatus(str(i), "v", state, emergency=state == "stopped") for i, state in enumerate(states)]
    found = counts(nodes)
    assert list(found) == ["EMERGENCY", "CONVERGING", "DRIFTED", "OBSERVE_ONLY", "COMMITTED"]
    assert sum(found.values()) == len(nodes)
    told = fleet("v", WORST_FIRST, NOW)
    assert (told.absent, told.counts["EMERGENCY"]) == (1, 1)


def test_what_there_is_to_look_after() -> None:
    def of(status: NodeStatus) -> list[str]:
        return list(warnings(status, NOW))

    assert of(GOOD) == []
    assert of(WORST_FIRST[4]) == ["the overlay, version 2, could not be applied: a; b"]
    assert of(WORST_FIRST[7]) == ["has version 1 of the overlay, its vCluster version 2"]
    soon = NodeStatus("n", "v", "COMMITTED", deltas=DeltaStatus(2, NOW + 7200.0))
    assert of(soon)[1:] == ["a committed change ends in 2 h"]
    late = NodeStatus("n", "v", "COMMITTED", deltas=DeltaStatus(1, NOW - 1.0))
    assert of(late)[1:] == ["a committed change is over its time"]
    assert of(NodeStatus("n", "v", "COMMITTED", unreadable=True)) == [
        "its report can't be read: is its agent of another version?"
    ]


def test_equal_warnings_are_told_once() -> None:
    behind = [
        NodeStatus(f"node{number:03}", "v", "COMMITTED", overlay=OverlayStatus(1, None, 2)) for number in range(1, 641)
    ]
    own = NodeStatus("node700", "v", "COMMITTED", deltas=DeltaStatus(1))
    assert folded([*behind, own], NOW) == (
        "node[001-640]: has version 1 of the overlay, its vCluster version 2",
        "node700: 1 change committed on it alone (pact diff --committed node700)",
    )
    two = [NodeStatus(name, "v", "COMMITTED", deltas=DeltaStatus(1)) for name in ("a1", "login")]
    assert folded(two, NOW) == ("a1,login: 1 change committed on it alone (pact diff --committed NODE)",)


def test_nodes_that_there_are_none_of_come_first() -> None:
    assert fleet(None, [WORST_FIRST[7]], NOW, ["x1", "x2"]).warnings[0] == "x[1-2]: no such node"
