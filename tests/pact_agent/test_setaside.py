"""Entries that the journal refuses: sent again where that may help, else kept in a file and reported."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from pact_agent.setaside import FINAL_KINDS, MAX_TRIES, PASSING_KINDS, SetAside

from pactsh import errors
from pactsh.errors import AuthError, ConflictError, PactError, PolicyError, UnreachableError, UsageError
from pactsh.model.entry import Draft
from tests.pact_agent.localnode import body_of
from tests.pact_agent.recording import ALICE, Recording, recording


def entry(node: Recording, kind: str = "intent", **body: Any) -> Draft:
    """A recorded entry."""
    number = asyncio.run(node.recorder.write(kind, ALICE, body or {"line": "ls"}, session="s1"))
    return node.spool.read_from(number, 1)[0]


def settle(node: Recording, draft: Draft, *given: PactError) -> list[dict[str, Any]]:
    """Settle a draft that is refused again and again; returns what is then in the file."""
    path = node_file(node)
    aside = SetAside(path, node.spool, node.clock)
    for error in given:
        asyncio.run(aside.settle(draft, error))
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def node_file(node: Recording) -> Path:
    return Path(node.directory) / "refused.jsonl"


@pytest.mark.parametrize("error", [AuthError("renew"), UnreachableError("away")])
def test_passing_trouble_is_none_of_the_entrys(tmp_path: Path, error: PactError) -> None:
    with recording(tmp_path) as node:
        draft = entry(node)
        for _ in range(MAX_TRIES * 2):
            with pytest.raises(type(error)):
                settle(node, draft, error)
        assert not node_file(node).exists()
        assert len(node.entries()) == 1


@pytest.mark.parametrize("error", [UsageError("too odd"), PolicyError("not here")])
def test_what_is_refused_for_good_is_kept_and_reported(tmp_path: Path, error: PactError) -> None:
    with recording(tmp_path) as node:
        draft = entry(node, line="caf\udce9")
        (kept,) = settle(node, draft, error)
        assert (kept["kind"], kept["error"]) == (error.kind, error.message)
        assert (kept["draft"]["number"], kept["draft"]["body"]) == (1, {"line": "caf\udce9"})
        assert node_file(node).stat().st_mode & 0o777 == 0o600
        report = node.entries()[1]
        assert (report.type, report.scope, report.session) == ("audit.degraded", "node:node042", "s1")
        assert report.author.principal == "agent:node042"
        assert error.message in report.message
        assert body_of(report)["number"] == 1
        assert body_of(report)["kept_in"] == str(node_file(node))


def test_an_unknown_error_is_tried_a_few_times(tmp_path: Path) -> None:
    with recording(tmp_path) as node:
        draft, aside = entry(node), SetAside(node_file(node), node.spool, node.clock)
        for _ in range(MAX_TRIES - 1):
            with pytest.raises(PactError, match="odd"):
                asyncio.run(aside.settle(draft, PactError("odd")))
            assert not node_file(node).exists()
        asyncio.run(aside.settle(draft, PactError("odd")))
        assert node_file(node).read_text().count("\n") == 1


def test_the_report_of_a_refusal_is_not_reported_again(tmp_path: Path) -> None:
    with recording(tmp_path) as node:
        settle(node, entry(node), UsageError("no"))
        report = node.entries()[1]
        kept = settle(node, report, UsageError("no, never"))
        assert [k["draft"]["number"] for k in kept] == [1, 2]
        assert len(node.entries()) == 2


def test_a_taken_number_means_recording_again(tmp_path: Path) -> None:
    with recording(tmp_path) as node:
        settle(node, entry(node, line="uptime"), ConflictError("number 1 holds something else"))
        first, again = node.entries()
        assert (again.number, again.body, again.author, again.time) == (2, first.body, first.author, first.time)
        assert not node_file(node).exists()


def test_an_unreadable_entry_that_the_journal_has_is_settled(tmp_path: Path) -> None:
    with recording(tmp_path) as node:
        settle(node, entry(node, "audit.degraded", reason="unreadable"), ConflictError("it holds the real one"))
        assert len(node.entries()) == 1


def test_a_refusal_that_cannot_be_kept_is_sent_again(tmp_path: Path) -> None:
    with recording(tmp_path) as node:
        node_file(node).mkdir()
        with pytest.raises(OSError, match="directory"):
            settle(node, entry(node), UsageError("no"))
        assert len(node.entries()) == 1


def test_every_kind_of_error_is_known() -> None:
    kinds = {c.kind for c in vars(errors).values() if isinstance(c, type) and issubclass(c, PactError)}
    assert kinds >= FINAL_KINDS | PASSING_KINDS
    assert not FINAL_KINDS & PASSING_KINDS
