"""What is to be done about emergencies that are over their time, folded from entries in every order they may come."""

from __future__ import annotations

import msgspec

from pactsh.journal.drafts import BEGUN, DONE
from pactsh.journal.stale import END, JOURNAL, STALE, StaleView, Wanted
from pactsh.model.entry import Author, Entry

AGENT = Author("agent:node042", (), "agent")
CORDON, UNCORDON = (Wanted(action, "node042", 7, "alice@org") for action in ("cordon", "uncordon"))


def entry(seq: int, kind: str, *, author: Author = AGENT, scope: str = "node:node042", **body: object) -> Entry:
    from tests.pactsh.cli.test_entries import entry as some

    return msgspec.structs.replace(some("intent"), seq=seq, type=kind, scope=scope, author=author, body=body)


def after(*entries: Entry) -> list[tuple[str, str]]:
    view = StaleView()
    for one in entries:
        view.apply(one)
    return [(wanted.action, wanted.node) for wanted in view.wanted()]


stale = entry(7, STALE, began_by="alice@org")
ended = entry(20, END)
begun = entry(8, BEGUN, author=JOURNAL, id=CORDON.id)
done = entry(9, DONE, author=JOURNAL, id=CORDON.id, status=0, details={"before": "ready"})
was_so = entry(9, DONE, author=JOURNAL, id=CORDON.id, status=0, details={"unchanged": True})
failed = entry(9, DONE, author=JOURNAL, id=CORDON.id, status=1, details={})
undone = entry(21, DONE, author=JOURNAL, id=UNCORDON.id, status=0, details={})


def test_a_stale_one_is_cordoned_until_that_is_done() -> None:
    assert after(stale) == [("cordon", "node042")]
    assert after(stale, begun) == [("cordon", "node042")]
    assert after(stale, begun, done) == []


def test_what_we_cordoned_is_uncordoned_at_its_end_once() -> None:
    assert after(stale, begun, done, ended) == [("uncordon", "node042")]
    assert after(stale, begun, done, ended, undone) == []


def test_what_we_did_not_cordon_is_left() -> None:
    assert after(stale, begun, was_so, ended) == []
    assert after(stale, begun, failed, ended) == []


def test_one_that_ends_first_needs_nothing_or_a_word() -> None:
    assert after(stale, ended) == []
    assert after(stale, begun, ended) == [("forget", "node042")]
    assert after(stale, begun, ended, entry(21, DONE, author=JOURNAL, id=CORDON.id, status=5)) == []


def test_nobody_else_tells_what_the_journal_did() -> None:
    person = Author("mallory@org", (), "human")
    assert after(stale, entry(9, DONE, author=person, id=CORDON.id, status=0)) == [("cordon", "node042")]
    assert after(stale, entry(9, DONE, author=JOURNAL, id="dg-0", status=0)) == [("cordon", "node042")]
    other = entry(9, DONE, author=JOURNAL, id=CORDON.id, status=0, scope="node:node043")
    assert after(stale, other) == [("cordon", "node042")]


def test_a_second_one_before_the_first_is_put_back_keeps_the_cordon() -> None:
    again = entry(30, STALE, began_by="bob@org")
    assert after(stale, begun, done, ended, again) == []
    assert after(stale, begun, done, ended, again, entry(31, END)) == [("uncordon", "node042")]


def test_one_that_runs_out_while_the_one_before_is_put_back_has_a_cordon_of_its_own() -> None:
    undoing = entry(21, BEGUN, author=JOURNAL, id=UNCORDON.id)
    again, undone_then = entry(22, STALE, began_by="bob@org"), msgspec.structs.replace(undone, seq=23)
    before = (stale, begun, done, ended, undoing, again)
    assert after(*before) == [("uncordon", "node042")]
    assert after(*before, undone_then) == [("cordon", "node042")]
    assert after(*before, entry(23, END), undone_then) == []


def test_a_cordon_that_is_begun_while_its_emergency_ends_does_not_stay() -> None:
    late = entry(21, BEGUN, author=JOURNAL, id=CORDON.id, emergency=7, began_by="alice@org")
    made = msgspec.structs.replace(done, seq=22)
    assert after(stale, ended, late) == [("forget", "node042")]
    assert after(stale, ended, late, made) == [("uncordon", "node042")]
    assert after(stale, ended, late, msgspec.structs.replace(was_so, seq=22)) == []


def test_an_end_without_a_stale_one_is_nothing() -> None:
    assert after(ended) == []
    assert after(entry(7, STALE, scope="vcluster:ml")) == []


def test_ids_are_of_the_emergency_and_differ() -> None:
    assert CORDON.id == Wanted("forget", "node042", 7, "").id != UNCORDON.id
    assert CORDON.id != Wanted("cordon", "node042", 8, "").id
    assert "seq:7" in CORDON.reason
