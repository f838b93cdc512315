"""`pact cordon`: a node is taken out of scheduling (lattice); what runs there goes on."""

from __future__ import annotations

from pactsh.cli.careoptions import yes_option
from pactsh.cli.nodedeeds import command_of

command = command_of(
    "cordon",
    """Take a node out of scheduling.

    Jobs that run there go on; none begin.""",
    yes_option(),
)
