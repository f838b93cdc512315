"""`pact reimage`: a node boots anew from its image (OpenCHAMI), and is waited for."""

from __future__ import annotations

from pactsh.cli.nodedeeds import command_of, power_options

command = command_of(
    "reimage",
    """Reimage a node through OpenCHAMI.

    What is on it is lost: this is always asked about. Then it is waited for, until its agent has started again.""",
    *power_options(),
)
