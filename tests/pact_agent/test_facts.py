"""The node's facts: what is unknown is None, and containment is named by its weakest spot."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

import pytest

from pactsh import __version__
from tests.pact_agent.recording import ALICE, facts_of, recording


@dataclass
class Link:
    connected: bool = False


@pytest.mark.parametrize(
    ("features", "says", "enforced"),
    [
        ({}, "landlock 6, seccomp, 12 secrets masked, control groups, required", True),
        ({"landlock_abi": 0}, "no landlock, seccomp, 12 secrets masked, control groups, required", False),
        ({"seccomp": False}, "landlock 6, no seccomp, 12 secrets masked, control groups, required", False),
        (
            {"masks": 0, "masks_error": "not permitted"},
            "landlock 6, seccomp, secrets not masked (not permitted), control groups, required",
            False,
        ),
        (
            {"cgroups": False, "bounded": False},
            "landlock 6, seccomp, 12 secrets masked, no control groups, processes not bounded, required",
            True,
        ),
        # Without root the agent reads no secret that its user may not read anyway.
        (
            {"masks": 0, "capabilities": False},
            "landlock 6, seccomp, agent without root, control groups, required",
            True,
        ),
    ],
)
def test_containment(tmp_path: Path, features: dict[str, object], says: str, enforced: bool) -> None:
    with recording(tmp_path) as node:
        facts = facts_of(node, features=features)
        assert (facts.containment(), facts.enforced()) == (says, enforced)


@pytest.mark.parametrize(("abi", "covered"), [(0, 0), (1, 1), (4, 4), (6, 6), (9, 6)])
def test_every_part_of_landlock_is_covered_or_missing(tmp_path: Path, abi: int, covered: int) -> None:
    with recording(tmp_path) as node:
        told = facts_of(node, features={"landlock_abi": abi}).enforcement()
        assert isinstance(told["landlock"], list)
        assert isinstance(told["landlock_missing"], list)
        assert (told["landlock_abi"], len(told["landlock"]), len(told["landlock_missing"])) == (
            abi,
            covered,
            6 - covered,
        )
        assert told["required"] is True


def test_status_says_since_when_the_journal_is_reached(tmp_path: Path) -> None:
    with recording(tmp_path) as node:
        link = Link()
        facts = facts_of(node, link=link)
        asyncio.run(node.recorder.write("intent", ALICE, {}))
        node.clock.pass_s(60)
        assert facts.status() == {
            "node": "node042",
            "vcluster": "ml-training",
            "state": "COMMITTED",
            "supervisor": None,
            "capabilities": None,
            "drift": 0,
            "window_s": None,
            "overlay": {"version": 0, "failing": None},
            "deltas": {"changes": 0, "expires": None},
            "degraded": True,
            "emergency": False,
            "journal": {"connected": False, "since": "2026-01-31T12:00:00.000000Z"},
            "spool": {"level": "normal", "pending": 1},
            "sessions": 0,
            "containment": "landlock 6, seccomp, 12 secrets masked, control groups, required",
            "missing": ["no hardware"],
            "version": __version__,
            "started_at": "2026-01-31T12:00:00.000000Z",
        }
        link.connected = True
        assert facts.status()["journal"] == {"connected": True, "since": "2026-01-31T12:01:00.000000Z"}
        node.clock.pass_s(60)
        assert facts.status()["journal"] == {"connected": True, "since": "2026-01-31T12:01:00.000000Z"}
        link.connected = False
        assert facts.status()["journal"] == {"connected": False, "since": "2026-01-31T12:02:00.000000Z"}


def test_the_toolbar_names_the_person_of_the_session(tmp_path: Path) -> None:
    with recording(tmp_path) as node:
        facts = facts_of(node, link=Link(connected=True))
        session = asyncio.run(node.sessions.open(ALICE, kind="interactive", source="uid", peer="pts/0"))
        shown = facts.toolbar(session)
        assert (shown["who"], shown["role"]) == ("alice@org", "pact-ops-ml-training")
        assert (shown["journal"], shown["degraded"]) == (True, False)
        assert (shown["drift"], shown["window_s"]) == (0, None)
        nobody = facts.toolbar(None)
        assert (nobody["who"], nobody["role"]) == (None, None)
        assert nobody.keys() == shown.keys()
