"""Folding approvals: what is open, and what has changed, is what going through all of them would find."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pactsh.model.approval import APPROVED, DENIED, DONE, EXPIRED, REQUESTED, ApprovalsView, fold
from pactsh.model.entry import Author, Draft, Entry

ALICE = Author("alice@org", ("pact-ops-ml",))
NOW = "2026-01-31T12:00:00.000000Z"


def entry(seq: int, kind: str, id_: str = "ap-7f3a", **body: object) -> Entry:
    operation = {"method": "commit"} if kind == REQUESTED else {}
    draft = Draft(
        f"journal:approval:{id_}", seq, NOW, kind, "node:node042", ALICE,
        body={"id": id_, "action": "commit", "vcluster": "ml", "operation": operation, "expires": NOW, **body},  # type: ignore[dict-item]
    )  # fmt: skip
    fields = {name: getattr(draft, name) for name in Draft.__struct_fields__}
    return Entry(**fields, seq=seq, recorded_at=NOW, prev_hash="", hash="")


def folded(*kinds: str) -> ApprovalsView:
    view = ApprovalsView()
    for seq, kind in enumerate(kinds, 1):
        fold(view, entry(seq, kind))
    return view


def test_the_first_decision_counts() -> None:
    assert folded(REQUESTED, APPROVED, DENIED, EXPIRED)["ap-7f3a"].state == "approved"
    assert folded(REQUESTED, DENIED, APPROVED, DONE)["ap-7f3a"].state == "denied"
    assert folded(REQUESTED, DONE)["ap-7f3a"].state == "pending"
    assert folded(APPROVED, DONE).all() == []


def test_what_it_would_have_done_is_kept_as_long_as_it_may_be_done() -> None:
    """A spec or a policy may have close to 1 MiB, and requests add up for years."""
    assert folded(REQUESTED, APPROVED)["ap-7f3a"].operation == {"method": "commit"}
    for end in ((DENIED,), (EXPIRED,), (APPROVED, DONE)):
        assert folded(REQUESTED, *end)["ap-7f3a"].operation == {}


def test_what_changes_last_is_told_last() -> None:
    view = ApprovalsView()
    for seq, (kind, id_) in enumerate(
        [(REQUESTED, "ap-1"), (REQUESTED, "ap-2"), (APPROVED, "ap-1"), (DENIED, "ap-2"), (DONE, "ap-1")], 1
    ):
        fold(view, entry(seq, kind, id_, status=0))
        if seq == 3:
            assert [a.id for a in view.open()] == ["ap-1", "ap-2"], "oldest first, whatever became of it"
    assert view.open() == []
    assert [a.id for a in view.all()] == ["ap-1", "ap-2"]
    assert [[a.id for a in view.changed_since(seq)] for seq in (0, 3, 4, 5)] == [
        ["ap-2", "ap-1"], ["ap-2", "ap-1"], ["ap-1"], [],
    ]  # fmt: skip


steps = st.lists(
    st.tuples(st.sampled_from([REQUESTED, APPROVED, DENIED, EXPIRED, DONE]), st.sampled_from(["a", "b", "c", "d"])),
    max_size=30,
)


@given(steps, st.integers(0, 30))
def test_it_is_what_going_through_all_of_them_finds(history: list[tuple[str, str]], since: int) -> None:
    view = ApprovalsView()
    for seq, (kind, id_) in enumerate(history, 1):
        fold(view, entry(seq, kind, id_))
    assert view.open() == [a for a in view.all() if a.is_open]
    assert view.changed_since(since) == sorted((a for a in view.all() if a.seq > since), key=lambda a: a.seq)
