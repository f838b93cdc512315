"""Where a node is in the machine: its xname (cabinet, chassis, slot, BMC, node), such as x1000c0s0b0n0."""

from __future__ import annotations

import re

from pactsh.errors import UsageError

_NODE = re.compile(r"x(\d{1,5})c(\d{1,3})s(\d{1,3})b(\d{1,3})n(\d{1,3})", re.ASCII)


def is_xname(text: str) -> bool:
    """Whether it is that of a node.

    >>> [is_xname(text) for text in ("x1000c0s0b0n0", "X1000C0S0B0N0", "x1000c0s0b0", "node042")]
    [True, True, False, False]
    """
    return _NODE.fullmatch(text.lower()) is not None


def parse_xname(text: str) -> str:
    """A node's xname as SMD writes it; raises `UsageError` for anything else.

    >>> parse_xname("X1000C0S01B0N00")
    'x1000c0s1b0n0'
    """
    match = _NODE.fullmatch(text.lower())
    if match is None:
        raise UsageError(f"{text[:80]!r} is no node's xname", hint="expected xXcCsSbBnN, such as x1000c0s0b0n0")
    return "".join(f"{letter}{int(number)}" for letter, number in zip("xcsbn", match.groups(), strict=True))


def bmc_of(xname: str) -> str:
    """The BMC that a node hangs on.

    >>> bmc_of("x1000c0s1b0n0")
    'x1000c0s1b0'
    """
    return parse_xname(xname).rpartition("n")[0]
