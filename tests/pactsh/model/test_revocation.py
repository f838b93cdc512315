"""A revocation takes back all that was issued before it, whatever a certificate's whole seconds hide."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pactsh.journal.chain import seal
from pactsh.model.entry import GENESIS_HASH, Author, Draft, JsonObject
from pactsh.model.revocation import Key, Revocation, before_of, fold, key_of, text_of

TIME = "2026-01-31T12:00:00.250000Z"
moments = st.floats(0, 4e9)


@given(moments, moments)
def test_what_was_issued_before_never_counts(one: float, other: float) -> None:
    issued, revoked = sorted((one, other))
    assert math.floor(issued) < before_of(revoked)
    assert math.floor(before_of(revoked)) >= before_of(revoked), "and in the next second all counts"


def folded(*bodies: JsonObject) -> dict[Key, Revocation]:
    known: dict[Key, Revocation] = {}
    for seq, body in enumerate(bodies, 1):
        draft = Draft("journal:revoke:1", seq, TIME, "revoke", "global", Author("root@org"), message="lost", body=body)
        fold(known, seal(draft, seq, GENESIS_HASH, TIME).entry())
    return known


def body(subject: str, before: int, kind: str = "person") -> JsonObject:
    return {"kind": kind, "subject": subject, "before": text_of(before)}


def test_the_fold() -> None:
    known = folded(body("alice@org", 1000), body("n1", 50, "node"), body("alice@org", 2000), body("bob@org", 7))
    assert known.keys() == {("person", "alice@org"), ("person", "bob@org"), ("node", "n1")}
    alice = known["person", "alice@org"]
    assert (alice.before, alice.by, alice.time, alice.message, alice.seq) == (2000, "root@org", TIME, "lost", 3)
    assert str(alice) == "alice@org was revoked by root@org at 2026-01-31T12:00:00Z"
    assert (alice.covers(1999.0), alice.covers(1999.9), alice.covers(2000.0)) == (True, True, False)


def test_a_clock_that_was_put_back_opens_nothing_again() -> None:
    known = folded(body("alice@org", 2000), body("alice@org", 1000))
    assert known["person", "alice@org"].before == 2000


def test_one_person_however_spelled() -> None:
    known = folded(body("Alice@Org", 1000), body("alice@org", 2000))
    assert list(known) == [key_of("person", "ALICE@ORG")]
    assert key_of("person", "n1") != key_of("node", "n1")


@pytest.mark.parametrize("broken", [{}, {"kind": "host"}, {"before": "yesterday"}, {"before": 5}, {"subject": 5}])
def test_what_can_not_be_read_is_left_out(broken: JsonObject) -> None:
    known = folded({**body("alice@org", 1000), **broken} if broken else {})
    assert known.keys() <= {("person", "5")}
