"""`pact undrain`: a drained node is returned to service (lattice)."""

from __future__ import annotations

from pactsh.cli.nodedeeds import command_of

command = command_of("undrain", "Return a drained node to service.")
