"""Signed heads are kept across restarts, in a bounded file."""

from __future__ import annotations

from pathlib import Path

from pact_agent.heads import HeadFile

from pactsh.model.entry import Head


def head(seq: int) -> Head:
    return Head(seq, "h" * 64, "2026-01-31T12:00:00.000000Z", "k", "s")


def test_heads_survive_and_repeat_nothing(tmp_path: Path) -> None:
    path = tmp_path / "heads.jsonl"
    kept = HeadFile(path)
    for seq in (1, 1, 5, 9):
        kept.add(head(seq))
    assert [h.seq for h in HeadFile(path).heads()] == [1, 5, 9]


def test_the_file_is_bounded_and_old_heads_are_thinned_not_lost(tmp_path: Path) -> None:
    path = tmp_path / "heads.jsonl"
    kept = HeadFile(path, limit=64)
    for seq in range(1, 5001):
        kept.add(head(seq))
    seqs = [h.seq for h in HeadFile(path, limit=64).heads()]
    assert len(seqs) <= 64
    assert seqs[0] == 1
    assert seqs[-1] == 5000
    assert any(500 < s < 2500 for s in seqs)
    assert any(2500 < s < 4500 for s in seqs)
    assert len([s for s in seqs if s > 4990]) >= 3


def test_a_torn_line_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "heads.jsonl"
    HeadFile(path).add(head(1))
    with path.open("ab") as file:
        file.write(b'{"seq":2,"ha')
    kept = HeadFile(path)
    assert [h.seq for h in kept.heads()] == [1]
    kept.add(head(3))
    assert [h.seq for h in HeadFile(path).heads()] == [1, 3]
