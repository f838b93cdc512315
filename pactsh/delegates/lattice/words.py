"""The words lattice uses for states, which travel as text, and what may follow what."""

from __future__ import annotations

from collections.abc import Mapping

JOB_STATES = ("pending", "staging", "running", "checkpointing", "suspended", "completed", "failed", "cancelled")
ENDED = frozenset({"completed", "failed", "cancelled"})
"""Of a job: it can't be cancelled any more."""
HOLDING = frozenset({"staging", "running", "checkpointing", "suspended"})
"""Of a job: it has nodes, and whoever disturbs them disturbs it."""
DAG_STATES = ("pending", "running", "completed")
NODE_STATES = ("failed", "down", "unknown", "degraded", "draining", "drained", "booting", "ready")
"""The worst first."""
MAY_BECOME: Mapping[str, frozenset[str]] = {
    "unknown": frozenset({"booting", "failed"}),
    "booting": frozenset({"ready", "failed"}),
    "ready": frozenset({"degraded", "draining", "down"}),
    "degraded": frozenset({"ready", "down", "draining"}),
    "down": frozenset({"ready", "booting", "failed"}),
    "draining": frozenset({"drained"}),
    "drained": frozenset({"ready", "booting"}),
    "failed": frozenset({"booting"}),
}
"""A node's state, and what the scheduler lets it become."""
