"""`pact uncordon`: a node is put back into scheduling (lattice)."""

from __future__ import annotations

from pactsh.cli.nodedeeds import command_of

command = command_of("uncordon", "Put a node back into scheduling.")
