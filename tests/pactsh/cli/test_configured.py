"""Whether a system is configured, told from the environment and the files alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from pactsh.cli.config import load_settings
from pactsh.cli.configured import NEEDS, configured, files, user_file


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"XDG_CONFIG_HOME": "/x", "HOME": "/h"}, Path("/x/pact/cli.toml")),
        ({"XDG_CONFIG_HOME": "relative", "HOME": "/h"}, Path("/h/.config/pact/cli.toml")),
        ({"HOME": "/h"}, Path("/h/.config/pact/cli.toml")),
        ({"HOME": "relative"}, None),
        ({}, None),
    ],
)
def test_user_file(environ: dict[str, str], expected: Path | None) -> None:
    assert user_file(environ) == expected


@pytest.mark.parametrize("name", list(NEEDS))
def test_the_environment_says_so(tmp_path: Path, name: str) -> None:
    variable, _key = NEEDS[name]
    assert configured({variable: "https://x.example:1"}, tmp_path / "none") == {name}
    assert configured({variable: ""}, tmp_path / "none") == frozenset()


@pytest.mark.parametrize("is_site", [True, False])
def test_a_file_says_so(tmp_path: Path, is_site: bool) -> None:
    site, environ = tmp_path / "site.toml", {"HOME": str(tmp_path)}
    path = site if is_site else tmp_path / ".config" / "pact" / "cli.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('lattice_endpoint = "https://l.example:50051"\n')
    assert configured(environ, site) == {"lattice"}
    assert load_settings({}, environ, site).lattice_endpoint == "https://l.example:50051"
    assert configured({**environ, "PACT_SESSION_FD": "7"}, site) == frozenset()
    assert files({**environ, "PACT_SESSION_FD": "7"}, site) == ()


@pytest.mark.parametrize("data", [b"lattice_endpoint = ", b"\xff\xfe", b"a = " + b"[" * 100_000, b""])
def test_a_file_that_is_broken_says_nothing(tmp_path: Path, data: bytes) -> None:
    site = tmp_path / "site.toml"
    site.write_bytes(data)
    assert configured({}, site) == frozenset()
    assert configured({"PACT_LATTICE_ENDPOINT": "x:1"}, site) == {"lattice"}
