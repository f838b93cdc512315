"""The command line's settings, as lattice's and OpenCHAMI's clients take them."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from pactsh.cli.config import Settings
from pactsh.cli.systems import lattice_settings, openchami_settings, systems
from pactsh.errors import UsageError
from pactsh.model.secret import Secret


def test_what_is_not_configured() -> None:
    assert systems(Settings()).lattice is None
    assert systems(Settings()).openchami is None
    with pytest.raises(UsageError, match=r"^no lattice endpoint is configured$") as caught:
        lattice_settings(Settings())
    assert "PACT_LATTICE_ENDPOINT" in caught.value.hint
    with pytest.raises(UsageError, match=r"^no openchami endpoint is configured$") as caught:
        openchami_settings(Settings())
    assert "PACT_OPENCHAMI_SMD_URL" in caught.value.hint


def test_lattice() -> None:
    token = Secret("t")
    settings = Settings(
        lattice_endpoint="https://l:1", lattice_token=token, lattice_ca=Path("/ca"), lattice_cert=Path("/c"),
        lattice_key=Path("/k"),
    )  # fmt: skip
    found = lattice_settings(settings)
    assert (found.endpoint, found.token, found.ca, found.cert, found.key) == (
        "https://l:1", token, Path("/ca"), Path("/c"), Path("/k"),
    )  # fmt: skip
    assert systems(settings).lattice == found
    assert systems(settings).openchami is None


def test_every_setting_of_openchami_arrives() -> None:
    """Each has a value of its own kind here; what an OpenchamiSettings has is called as the settings are."""
    values: dict[str, object] = {
        "openchami_smd_url": "https://smd", "openchami_token": Secret("t"), "openchami_pcs_url": "https://pcs",
        "openchami_bss_url": "https://bss", "openchami_backend": "csm", "openchami_ca": Path("/ca"),
        "openchami_names": "nid", "openchami_xnames": {"n1": "x1"}, "bmc_user": "root", "bmc_password": Secret("p"),
        "bmc_ca": Path("/bmc"), "bmc_fingerprint": "ab" * 32, "bos_template": "compute",
    }  # fmt: skip
    keys = {key for key in Settings.__struct_fields__ if key.startswith(("openchami_", "bmc_", "bos_"))}
    assert keys == set(values)
    found = openchami_settings(msgspec.structs.replace(Settings(), **values))
    assert {key: getattr(found, key.removeprefix("openchami_")) for key in values} == values
