"""Values and messages: nothing is lost on the wire, and a damaged entry is not believed."""

from __future__ import annotations

import pytest
from hypothesis import given

from pactsh.errors import PactError
from pactsh.journal.chain import draft_of, seal
from pactsh.journal.drafts import parse_draft
from pactsh.model.entry import GENESIS_HASH, Draft, Head
from pactsh.rpc import pact_pb2 as pb
from pactsh.rpc.wire import draft_bytes, entry_of, head_message, head_of
from tests.pactsh.journal.material import draft
from tests.pactsh.journal.test_chain import NOW, drafts, objects


@given(objects)
def test_drafts_travel(body: dict[str, object] | None) -> None:
    one = draft(1, body=body, message="\udcff \x00 é")
    assert parse_draft(draft_bytes(one)) == one


@given(drafts)
def test_entries_travel(one: Draft) -> None:
    record = seal(one, 1, GENESIS_HASH, NOW)
    message = pb.Entry.FromString(pb.Entry(seq=1, hash=record.hash, json=record.text.encode()).SerializeToString())
    assert draft_of(entry_of(message)) == one


def test_an_entry_that_does_not_match_its_hash_is_not_believed() -> None:
    record = seal(draft(1), 1, GENESIS_HASH, NOW)
    message = pb.Entry(seq=1, hash=record.hash, json=record.text.replace("line", "lime").encode())
    with pytest.raises(PactError, match="does not match its hash"):
        entry_of(message)


def test_heads_travel() -> None:
    head = Head(7, "ab" * 32, NOW, "k", "s")
    assert head_of(head_message(head)) == head
