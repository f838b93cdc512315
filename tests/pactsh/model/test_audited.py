"""The list of what an auditor asks for."""

from __future__ import annotations

from pathlib import Path

from pactsh.journal.drafts import KNOWN_TYPES
from pactsh.model.audited import AUDITED

MAN = Path(__file__).parents[3] / "man" / "pact-audit.1"


def test_all_of_them_are_types_of_entries_and_each_is_there_once() -> None:
    assert set(AUDITED) <= KNOWN_TYPES
    assert len(set(AUDITED)) == len(AUDITED)


def test_lines_that_ran_are_not_among_them() -> None:
    assert not {"intent", "amend", "outcome", "session.start", "drift.detected"} & set(AUDITED)


def test_the_manual_names_them_all() -> None:
    text = MAN.read_text(encoding="utf-8").replace("\\-", "-")
    assert [type_ for type_ in AUDITED if type_ not in text] == []
