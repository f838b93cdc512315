"""`pact reboot`: a node is restarted by the hardware manager (OpenCHAMI), and waited for."""

from __future__ import annotations

import click

from pactsh.cli.nodedeeds import command_of, power_options

command = command_of(
    "reboot",
    """Reboot a node through OpenCHAMI.

    Jobs on it are shown first. Then it is waited for, until its agent has started again.""",
    click.Option(["--force"], is_flag=True, help="Switch it off and on, where it does not restart by itself."),
    *power_options(),
)
