from __future__ import annotations

import pytest

from pactsh.delegates.openchami.xname import bmc_of, is_xname, parse_xname
from pactsh.errors import UsageError


@pytest.mark.parametrize(
    ("text", "xname"),
    [
        ("x1000c0s0b0n0", "x1000c0s0b0n0"),
        ("X1000C7S12B1N3", "x1000c7s12b1n3"),
        ("x0001c00s007b00n00", "x1c0s7b0n0"),
        ("x9999c7s64b1n0", "x9999c7s64b1n0"),
    ],
)
def test_xnames_are_compared_as_smd_writes_them(text: str, xname: str) -> None:
    assert is_xname(text)
    assert parse_xname(text) == xname


@pytest.mark.parametrize(
    "text",
    [
        "",
        "node042",
        "x1000c0s0b0",
        "x1000c0s0b0n0v1",
        "x1000c0s0b0n",
        " x1000c0s0b0n0",
        "x1000c0s0b0n0\n",
        "x\u0661c0s0b0n0",
    ],
)
def test_what_is_no_nodes_xname_is_none(text: str) -> None:
    assert not is_xname(text)
    with pytest.raises(UsageError, match="no node's xname"):
        parse_xname(text)


def test_a_nodes_bmc_is_what_it_hangs_on() -> None:
    assert bmc_of("x1000c0s12b1n3") == "x1000c0s12b1"
