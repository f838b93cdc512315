"""`pact drain`: no job begins on a node any more, and when those there have ended it is drained (lattice)."""

from __future__ import annotations

import click

from pactsh.cli.careoptions import drain_timeout_option, yes_option
from pactsh.cli.nodedeeds import command_of

command = command_of(
    "drain",
    """Drain a node.

    No job begins there any more; when those that run there have ended, it is drained. lattice can't stop a drain
    that has begun: once drained, pact undrain puts the node back.""",
    yes_option(),
    click.Option(["--wait"], is_flag=True, help="Wait until it is drained."),
    drain_timeout_option(),
)
