"""Contents that are kept: across a restart, a crash in the middle of writing, and damage."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pact_agent.contents import Contents


def test_what_was_put_is_there_again_each_content_once(tmp_path: Path) -> None:
    kept = Contents(tmp_path / "c")
    digests = [kept.put(data) for data in (b"one", b"", b"one", b"two" * 1000)]
    kept.sync()
    size = os.path.getsize(tmp_path / "c")
    assert digests[0] == digests[2]
    kept.close()
    again = Contents(tmp_path / "c")
    assert [again.get(digest) for digest in digests] == [b"one", b"", b"one", b"two" * 1000]
    again.put(b"one")
    assert os.path.getsize(tmp_path / "c") == size
    assert again.get("0" * 64) is None
    again.close()


def test_what_a_crash_cut_short_is_dropped_and_written_over(tmp_path: Path) -> None:
    kept = Contents(tmp_path / "c")
    first, second = kept.put(b"one"), kept.put(b"x" * 1000)
    kept.close()
    for cut in (1, 500, 1020):
        os.truncate(tmp_path / "c", os.path.getsize(tmp_path / "c") - cut)
        again = Contents(tmp_path / "c")
        assert (again.get(first), again.get(second)) == (b"one", None)
        assert again.get(again.put(b"x" * 1000)) == b"x" * 1000
        again.close()


def test_what_reads_differently_is_not_there(tmp_path: Path) -> None:
    kept = Contents(tmp_path / "c")
    digest = kept.put(b"one")
    fd = os.open(tmp_path / "c", os.O_WRONLY)
    os.pwrite(fd, b"X", os.path.getsize(tmp_path / "c") - 1)
    os.close(fd)
    assert kept.get(digest) is None
    kept.close()


def test_a_keyed_digest_is_this_nodes_own_and_finds_its_content(tmp_path: Path) -> None:
    here, there = Contents(tmp_path / "a" / "c"), Contents(tmp_path / "b" / "c")
    digest = here.put(b"secret")
    there.put(b"secret")
    keyed = here.keyed(digest)
    assert keyed not in {digest, there.keyed(digest)}
    assert (here.digest_of(keyed), there.digest_of(keyed)) == (digest, None)
    here.close()
    there.close()
    again = Contents(tmp_path / "a" / "c")
    assert again.keyed(digest) == keyed
    again.close()


def test_nobody_else_reads_it(tmp_path: Path) -> None:
    Contents(tmp_path / "a" / "c").close()
    assert [p.stat().st_mode & 0o777 for p in sorted((tmp_path / "a").iterdir())] == [0o600, 0o600]
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o700


def test_written_anew_it_holds_what_is_named(tmp_path: Path) -> None:
    kept = Contents(tmp_path / "c")
    digests = [kept.put(data) for data in (b"one" * 100, b"two" * 100, b"", b"three" * 100)]
    before = kept.grown
    kept.shrink({digests[0], kept.keyed(digests[3]), digests[2], "0" * 64})
    assert [kept.get(digest) for digest in digests] == [b"one" * 100, None, b"", b"three" * 100]
    assert (kept.grown, before > os.path.getsize(tmp_path / "c")) == (0, True)
    assert kept.get(kept.put(b"two" * 100)) == b"two" * 100, "what comes back is kept again"
    kept.close()
    again = Contents(tmp_path / "c")
    assert [again.get(digest) for digest in digests] == [b"one" * 100, b"two" * 100, b"", b"three" * 100]
    again.close()


def test_a_disk_that_takes_no_copy_leaves_it_as_it_was(tmp_path: Path) -> None:
    kept = Contents(tmp_path / "c")
    digest = kept.put(b"one")
    (tmp_path / "c.new").mkdir()
    with pytest.raises(OSError, match=r"c\.new"):
        kept.shrink({digest})
    assert (kept.get(digest), kept.get(kept.put(b"two"))) == (b"one", b"two")
    kept.close()
