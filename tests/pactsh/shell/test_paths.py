from __future__ import annotations

from pathlib import Path

import pytest

from pactsh.shell.paths import complete_path


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "plain").touch()
    (tmp_path / "with space").touch()
    (tmp_path / "it's").touch()
    (tmp_path / ".hidden").touch()
    (tmp_path / "bad\x1bname").touch()
    (tmp_path / "sub dir").mkdir()
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "inner").touch()
    return tmp_path


def texts(prefix: str, cwd: Path, quote: str = "") -> list[str]:
    return [place.text for place in complete_path(prefix, str(cwd), quote)]


def test_names_are_quoted_where_they_need_it(tree: Path) -> None:
    assert texts("", tree) == ["'it'\\''s'", "plain", "sub/", "'sub dir/", "'with space'"]


def test_directories_go_on(tree: Path) -> None:
    assert texts("su", tree) == ["sub/", "'sub dir/"]
    assert texts("sub/", tree) == ["sub/inner"]
    assert texts(f"{tree}/sub/i", Path("/")) == [f"{tree}/sub/inner"]


def test_hidden_names_are_asked_for(tree: Path) -> None:
    assert texts(".", tree) == [".hidden"]


def test_quotes_already_typed_are_kept(tree: Path) -> None:
    assert texts("with", tree, '"') == ['"with space"']
    assert texts("sub d", tree, "'") == ["'sub dir/"]
    assert texts("it", tree, "'") == []
    assert texts("it", tree, '"') == ['"it\'s"']


def test_what_cannot_be_read_completes_to_nothing(tree: Path) -> None:
    assert texts("nowhere/x", tree) == []
    assert texts("plain/x", tree) == []
