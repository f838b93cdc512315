"""Which entries an auditor asks for: what was refused, what changed the rules or who counts, and who did it.

Not each line that ran (`intent`, `amend`, `outcome`), nor what nodes do by themselves (drift, windows, rollbacks): the
log has those. This is the one list; pact-audit(1) says it in words.
"""

from __future__ import annotations

from pactsh.model import approval, revocation

AUDITED = (
    # what was not let through
    "refusal", "connection.refused",
    # a second person's part
    *approval.TYPES,
    # the rules, and what counts as drift from them
    "policy.updated", "overlay.updated", "blacklist.added", "blacklist.removed",
    # when the rules were set aside
    "emergency.start", "emergency.end", "emergency.stale",
    # what other systems were told to do
    "delegation.begun", "delegation.done",
    # who counts, and who no longer does
    "cert.signed", "node.enrolled", revocation.TYPE,
    # the record itself: where it was at risk, and who has looked at a recording
    "audit.degraded", "audit.restored", "recording.failed", "recording.played",
)  # fmt: skip
