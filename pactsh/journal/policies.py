"""What the journal demands of a `policy.updated` before it keeps one, whoever sends it. Pure.

A policy that can't be read would leave each agent with the one it has, silently; and of two changes made from the
same version the second would undo the first. Both are refused here.
"""

from __future__ import annotations

import json

import msgspec

from pactsh.catalog.loader import Catalog
from pactsh.errors import ConflictError, UsageError
from pactsh.journal.projections import PolicyView
from pactsh.model.entry import Draft
from pactsh.policy.files import MOST_BYTES, checked_policy

TYPE = "policy.updated"


def check_update(draft: Draft, current: PolicyView, catalog: Catalog) -> None:
    """Raise `UsageError` for what is no policy of the scope's vCluster, `ConflictError` for one that was not
    made from the `current` one: versions go up by one."""
    kind, _, vcluster = draft.scope.partition(":")
    if kind != "vcluster":
        raise UsageError(f"{TYPE}: scope {draft.scope!r}: a policy is a vCluster's")
    body = draft.body or {}
    if body.keys() != {"policy"}:
        raise UsageError(f"{TYPE}: the body must hold the policy and nothing else")
    document = body["policy"]
    if len(json.dumps(document)) > MOST_BYTES:
        raise UsageError(f"{TYPE}: a policy has at most {MOST_BYTES} bytes")
    policy = checked_policy(document, "policy", vcluster, catalog)
    version = version_of(current)
    if policy.version != version + 1:
        raise ConflictError(
            f"the policy of {vcluster} is at version {version}: version {policy.version} was not made from it",
            hint=f"pact group show {vcluster}, then make the change again",
        )


def version_of(view: PolicyView) -> int:
    """The version of the policy in force; 0 for the built-in one."""
    try:
        version = msgspec.json.decode(view.document).get("version", 0)
    except (msgspec.DecodeError, AttributeError):
        return 0
    return version if isinstance(version, int) else 0
