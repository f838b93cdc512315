"""What the whitelist says of starting and stopping a service: what it says of `systemctl`, whoever keeps it. Pure."""

from __future__ import annotations

from pactsh.catalog import Catalog
from pactsh.model.identity import Identity
from pactsh.policy.decision import Decision, Request, StageRequest, decide
from pactsh.policy.model import Policy


def decide_unit(verb: str, name: str, identity: Identity, policy: Policy, catalog: Catalog) -> Decision:
    """Whether `verb` (start, stop, restart) may be done to a service of that name."""
    argv = ("systemctl", verb, name)
    spans = tuple((sum(len(word) + 1 for word in argv[:i]), len(" ".join(argv[: i + 1]))) for i in range(len(argv)))
    return decide(Request(" ".join(argv), (StageRequest(argv, spans),), "exec"), identity, policy, catalog)
