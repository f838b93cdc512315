"""Nodes of the last run, by how it went."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from pactsh.cli.lastrun import LastRun, load, save
from pactsh.cli.nodes import Groups, resolve
from pactsh.errors import UsageError


async def nobody(_groups: Groups) -> Mapping[str, Iterable[str]]:
    raise AssertionError("the journal need not be asked")


def resolved(directory: Path, text: str, exclude: str = "") -> tuple[str, ...]:
    return asyncio.run(resolve(text, exclude, nobody, lambda: load(directory)))


def test_the_last_run_can_be_named(tmp_path: Path) -> None:
    directory = tmp_path / "ssh"
    save(directory, LastRun(("n1", "n2"), ("n3",)))
    save(directory, LastRun(("n1", "n3"), ("n2", "n4")))
    assert resolved(directory, "@last.failed") == ("n2", "n4")
    assert resolved(directory, "@last.ok,n9") == ("n1", "n3", "n9")
    assert resolved(directory, "n[1-9]", "@last.failed") == ("n1", "n3", "n5", "n6", "n7", "n8", "n9")
    assert resolved(directory, "n[1-9]&@last.ok") == ("n1", "n3")


@pytest.mark.parametrize("content", [None, b"", b"garbage", b'{"ok": 3}', b"x" * (2 << 20)])
def test_without_one_there_are_no_such_nodes(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "last.json").write_bytes(content)
        (tmp_path / "last.json").chmod(0o600)
    with pytest.raises(UsageError, match=r"@last\.failed: there are no such nodes"):
        resolved(tmp_path, "@last.failed")


def test_too_many_are_not_kept(tmp_path: Path) -> None:
    save(tmp_path, LastRun(("n1",)))
    save(tmp_path, LastRun(tuple(f"a-node-with-a-long-name-{n:05}" for n in range(50_000))))
    assert resolved(tmp_path, "@last.ok") == ("n1",)
