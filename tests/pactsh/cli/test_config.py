"""Where settings come from, which wins, and what a wrong one says."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from pactsh.cli.config import ENVIRONMENT, EXPECTED, Settings, load_settings, read_token
from pactsh.errors import UsageError
from pactsh.model.secret import Secret

# A value for each key that is not its default, one a source.
VALUES: Mapping[str, tuple[object, str, str, str]] = {
    # key: option, environment, user's file (TOML), site's file (TOML)
    "endpoint": ("a:1", "b:2", '"c:3"', '"d:4"'),
    "token": ("a", "b", '"c"', '"d"'),
    "ca": ("/a", "/b", '"/c"', '"/d"'),
    "vcluster": ("a", "b", '"c"', '"d"'),
    "output": ("json", "json", '"json"', '"json"'),
    "timeout": ("1", "2", "3", "4"),
    "lattice_endpoint": ("a:1", "http://b:2", '"https://c:3"', '"[::1]:4"'),
    "lattice_token": ("a", "b", '"c"', '"d"'),
    "lattice_ca": ("/a", "/b", '"/c"', '"/d"'),
    "lattice_cert": ("/a", "/b", '"/c"', '"/d"'),
    "lattice_key": ("/a", "/b", '"/c"', '"/d"'),
    "openchami_smd_url": ("http://a", "https://b:1", '"https://c/hsm/v2"', '"http://d:2/"'),
    "openchami_token": ("a", "b", '"c"', '"d"'),
    "openchami_pcs_url": ("http://a", "http://b", '"http://c"', '"http://d"'),
    "openchami_bss_url": ("http://a", "http://b", '"http://c"', '"http://d"'),
    "openchami_backend": ("csm", "redfish", '"csm"', '"redfish"'),
    "openchami_ca": ("/a", "/b", '"/c"', '"/d"'),
    "openchami_names": ("xname", "nid", '"xname"', '"nid"'),
    "bmc_user": ("a", "b", '"c"', '"d"'),
    "bmc_password": ("a", "b", '"c"', '"d"'),
    "bmc_ca": ("/a", "/b", '"/c"', '"/d"'),
    "bmc_fingerprint": ("a" * 64, "b" * 64, f'"{"c" * 64}"', f'"{"d" * 64}"'),
    "bos_template": ("a", "b", '"c"', '"d"'),
}


class Sources:
    """A user's and a site's file in a temporary place."""

    def __init__(self, tmp_path: Path) -> None:
        self.user = tmp_path / "user" / "pact" / "cli.toml"
        self.site = tmp_path / "site.toml"
        self.user.parent.mkdir(parents=True)
        self.environ = {"XDG_CONFIG_HOME": str(tmp_path / "user"), "HOME": "/nonexistent"}

    def write(self, path: Path, text: str, mode: int = 0o600) -> None:
        path.write_text(text, encoding="utf-8")
        path.chmod(mode)

    def load(self, typed: Mapping[str, object] | None = None, **environ: str) -> Settings:
        return load_settings(typed or {}, self.environ | environ, self.site)


@pytest.fixture
def sources(tmp_path: Path) -> Sources:
    return Sources(tmp_path)


def shown(settings: Settings, key: str) -> str:
    value = getattr(settings, key)
    return str(value.reveal() if isinstance(value, Secret) else value)


def plain(toml: str) -> str:
    return toml.strip('"')


def test_every_environment_variable_has_a_row() -> None:
    assert set(VALUES) == set(ENVIRONMENT.values())


@pytest.mark.parametrize("key", VALUES)
def test_precedence(sources: Sources, key: str) -> None:
    option, environment, user, site = VALUES[key]
    variable = next(name for name, k in ENVIRONMENT.items() if k == key)
    default = shown(Settings(), key)
    assert shown(sources.load(), key) == default
    sources.write(sources.site, f"{key} = {site}\n")
    assert shown(sources.load(), key) in {plain(site), f"{plain(site)}.0"}
    sources.write(sources.user, f"{key} = {user}\n")
    assert shown(sources.load(), key) in {plain(user), f"{plain(user)}.0"}
    assert shown(sources.load(None, **{variable: environment}), key) in {environment, f"{environment}.0"}
    both = sources.load({key: option}, **{variable: environment})
    assert shown(both, key) in {option, f"{option}.0"}


def test_an_empty_environment_variable_is_not_set(sources: Sources) -> None:
    sources.write(sources.user, 'vcluster = "io"\n')
    assert sources.load(PACT_VCLUSTER="").vcluster == "io"


WRONG = {
    "unknown key": ("endpont = 'a:1'\n", "endpont: unknown key"),
    "wrong type": ("endpoint = 3\n", "endpoint: expected host:port or unix:/path, got 3"),
    "not an endpoint": ("endpoint = 'journal'\n", "endpoint: expected host:port or unix:/path, got 'journal'"),
    "out of range": ("timeout = 0\n", "timeout: expected a number of seconds above 0, at most 86400, got 0"),
    "no such output": ("output = 'xml'\n", "output: expected text or json, got 'xml'"),
    "not a lattice": (
        "lattice_endpoint = 'ftp://h:1'\n",
        "lattice_endpoint: expected host:port, http://host:port or https://host:port, got 'ftp://h:1'",
    ),
    "no such backend": (
        "openchami_backend = 'ipmi'\n",
        "openchami_backend: expected pcs, redfish or csm, got 'ipmi'",
    ),
    "no table of xnames": (
        "openchami_xnames = ['x1']\n",
        "openchami_xnames: expected a table of node names and their xnames, got ['x1']",
    ),
    "an xname that is no text": (
        "openchami_xnames = {n1 = 3}\n",
        "openchami_xnames: expected a table of node names and their xnames, got {'n1': 3}",
    ),
    "not TOML": ("endpoint =\n", "not valid TOML: "),
    "not UTF-8": ("# \udcff\n", "not valid TOML: "),
    "verbose is no setting": ("verbose = true\n", "verbose: unknown key"),
}


@pytest.mark.parametrize("case", WRONG)
@pytest.mark.parametrize("which", ["user", "site"])
def test_a_wrong_file_is_named_with_its_key(sources: Sources, case: str, which: str) -> None:
    text, expected = WRONG[case]
    path = sources.user if which == "user" else sources.site
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(UsageError) as caught:
        sources.load({"endpoint": "good:1", "output": "json", "timeout": "1"})
    assert caught.value.message.startswith(f"{path}: {expected}")


def test_a_wrong_variable_is_named(sources: Sources) -> None:
    with pytest.raises(UsageError, match=r"^PACT_TIMEOUT: expected a number of seconds above 0"):
        sources.load(PACT_TIMEOUT="soon")


@pytest.mark.parametrize("endpoint", ["h:1", "unix:/run/x", "[::1]:9443", "a.b-c_d:65535"])
def test_endpoints(sources: Sources, endpoint: str) -> None:
    assert sources.load({"endpoint": endpoint}).endpoint == endpoint


@pytest.mark.parametrize("endpoint", ["h", "h:", ":1", "http://h:1", "unix:run/x", "h:1\n", "h:123456", "h h:1"])
def test_no_endpoints(sources: Sources, endpoint: str) -> None:
    with pytest.raises(UsageError):
        sources.load({"endpoint": endpoint})


@pytest.mark.parametrize("endpoint", ["h:1", "http://h:1", "https://h:1/", "https://[::1]:50051", "127.0.0.1:50051"])
def test_endpoints_of_lattice(sources: Sources, endpoint: str) -> None:
    assert sources.load({"lattice_endpoint": endpoint}).lattice_endpoint == endpoint


@pytest.mark.parametrize("endpoint", ["h", "http://h", "http://h:1/path", "http://u:p@h:1", "unix:/run/x", "h:1\n"])
def test_no_endpoints_of_lattice(sources: Sources, endpoint: str) -> None:
    with pytest.raises(UsageError, match=r"^--lattice_endpoint: expected host:port"):
        sources.load({"lattice_endpoint": endpoint})


@pytest.mark.parametrize(
    "url", ["h", "h:1", "ftp://h", "http://", "http://u:p@h", "http://h/?x", "http://h/#x", "http://h\n"]
)
@pytest.mark.parametrize("key", ["openchami_smd_url", "openchami_pcs_url", "openchami_bss_url"])
def test_no_addresses_of_openchami(sources: Sources, key: str, url: str) -> None:
    with pytest.raises(UsageError, match=rf"^--{key}: expected http://host"):
        sources.load({key: url})


def test_fingerprints_may_have_colons(sources: Sources) -> None:
    shown = ":".join(["AB"] * 32)
    for several in (shown, f"{shown}, {'cd' * 32}"):
        assert sources.load({"bmc_fingerprint": several}).bmc_fingerprint == several
    for wrong in ("AB" * 20, f"{shown},", f"{shown} {shown}", f"{shown},AB"):  # SHA-1 is one of them
        with pytest.raises(UsageError, match="expected SHA-256 fingerprints"):
            sources.load({"bmc_fingerprint": wrong})


def test_xnames_are_a_table_in_a_file(sources: Sources) -> None:
    sources.write(sources.site, '[openchami_xnames]\nnode001 = "x1000c0s0b0n0"\n')
    assert sources.load().openchami_xnames == {"node001": "x1000c0s0b0n0"}


@pytest.mark.parametrize("key", ["lattice_token", "openchami_token", "bmc_password"])
def test_other_secrets_are_kept_like_the_token(sources: Sources, key: str) -> None:
    sources.write(sources.user, f'{key} = "s3cret"\n', 0o640)
    with pytest.raises(UsageError, match="holds a token or a password, but others may read it") as caught:
        sources.load()
    assert "s3cret" not in str(caught.value)
    sources.write(sources.user, f'{key} = "s3cret"\n')
    assert "s3cret" not in repr(sources.load())
    with pytest.raises(UsageError, match=rf"^--{key}: expected a (token|password)$"):
        sources.load({key: 3})


def test_a_token_others_may_read_is_refused(sources: Sources) -> None:
    sources.write(sources.user, 'token = "secret"\n', 0o640)
    with pytest.raises(UsageError, match="others may read it") as caught:
        sources.load()
    assert "secret" not in str(caught.value)
    sources.write(sources.user, 'endpoint = "h:1"\n', 0o644)
    assert sources.load().endpoint == "h:1"


def test_secrets_show_nowhere(sources: Sources) -> None:
    settings = sources.load({"token": "s3cret"}, PACT_LATTICE_TOKEN="s3cret")
    assert "s3cret" not in repr(settings) + str(settings) + f"{settings!r}{settings.token}"


def test_inside_a_session_no_file_is_read(sources: Sources) -> None:
    """They may be there and unreadable: the sandbox answers EACCES."""
    sources.write(sources.user, 'output = "json"\n')
    sources.write(sources.site, "not TOML")
    assert sources.load(PACT_SESSION_FD="3").output == "text"
    assert sources.load(PACT_SESSION_FD="3", PACT_OUTPUT="json").output == "json"


def test_token_file(sources: Sources, tmp_path: Path) -> None:
    file = tmp_path / "token"
    sources.write(file, "abc\n")
    settings = msgspec.structs.replace(sources.load(None), token_file=file)
    assert read_token(settings) == "abc"
    file.chmod(0o644)
    with pytest.raises(UsageError, match="others may read it"):
        read_token(settings)
    file.unlink()
    with pytest.raises(UsageError, match=r"token_file: .*No such file"):
        read_token(settings)


def test_what_is_expected_is_said_for_every_restricted_key() -> None:
    assert set(EXPECTED) == set(Settings.__struct_fields__)


def test_every_setting_is_in_the_manual() -> None:
    root = Path(__file__).parents[3]
    manual = (root / "man" / "pact.1").read_text("utf-8")
    delegation = (root / "docs" / "delegation.md").read_text("utf-8")
    words = set(re.findall(r"[A-Za-z_]+", manual))
    assert (set(Settings.__struct_fields__) - {"verbose"}) | set(ENVIRONMENT) <= words
    systems = {key for key in Settings.__struct_fields__ if key.startswith(("lattice_", "openchami_", "bmc_", "bos_"))}
    names = systems | {name for name, key in ENVIRONMENT.items() if key in systems}
    assert names <= set(re.findall(r"[A-Za-z_]+", delegation))
