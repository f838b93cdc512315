"""What settings are called where they are set, and that secrets stay so."""

import pytest

from pactsh.delegates.settings import LatticeSettings, OpenchamiSettings
from pactsh.model.secret import Secret


@pytest.mark.parametrize(
    ("prefix", "field", "expected"),
    [
        ("lattice_", "endpoint", "lattice_endpoint"),
        ("lattice_", "token", "PACT_LATTICE_TOKEN, or lattice_token"),
        ("[lattice] ", "ca", "[lattice] ca"),
        ("[lattice] ", "token", "[lattice] token_file"),
    ],
)
def test_names(prefix: str, field: str, expected: str) -> None:
    assert LatticeSettings("l:50051", prefix=prefix).name(field) == expected


def test_secrets_don_t_show() -> None:
    settings = OpenchamiSettings("https://smd", Secret("t0k3n"), bmc_password=Secret("p4ss"))
    assert not {"t0k3n", "p4ss"} & set(repr(settings).replace('"', "'").split("'"))
    assert "t0k3n" not in repr(settings) + repr(LatticeSettings("l:50051", Secret("t0k3n")))
