"""Names for Tab: from what is kept, and nothing at all where anything is wrong."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec
import pytest

from pactsh.auth import private
from pactsh.auth.state import binding_of
from pactsh.cli.nodenames import KEPT_S, Names, completions, known_names

NODES = {"node042": "ml", "node043": "ml", "login": ""}


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path), "PACT_ENDPOINT": "127.0.0.1:1", "PACT_TOKEN": "t"}


def keep(tmp_path: Path, *, at: float, token: str = "t") -> None:
    directory = tmp_path / ".local" / "state" / "pact"
    private.make_private_directory(directory)
    names = Names(binding_of("127.0.0.1:1", token), at, NODES)
    private.write_private(directory / "names.json", msgspec.json.encode(names))


@pytest.mark.parametrize(
    ("text", "offered"),
    [
        ("node", ["node042", "node043"]),
        ("", ["login", "node042", "node043", "@ml"]),
        ("@", ["@ml"]),
        ("node042,lo", ["node042,login"]),
        ("@ml!node04", ["@ml!node042", "@ml!node043"]),
        ("node[04", []),
        ("x", []),
    ],
)
def test_the_last_part_is_completed(tmp_path: Path, environ: dict[str, str], text: str, offered: list[str]) -> None:
    keep(tmp_path, at=time.time())
    assert list(completions(text, environ)) == offered


def test_what_is_old_or_somebody_elses_is_not_offered(tmp_path: Path, environ: dict[str, str]) -> None:
    """The journal can't be reached here, and that is no error."""
    keep(tmp_path, at=1000.0)
    assert known_names(environ, 1000.0 + KEPT_S - 1) == NODES
    assert known_names(environ, 1000.0 + KEPT_S) == {}
    keep(tmp_path, at=1000.0, token="another")
    assert known_names(environ, 1000.0) == {}


def test_nothing_is_offered_without_a_sign_in_or_in_a_session(tmp_path: Path, environ: dict[str, str]) -> None:
    keep(tmp_path, at=1000.0)
    assert known_names({**environ, "PACT_TOKEN": ""}, 1000.0) == {}
    assert known_names({**environ, "PACT_SESSION_FD": "3"}, 1000.0) == {}
    assert known_names({**environ, "PACT_OUTPUT": "nonsense"}, 1000.0) == {}
