"""What a policy in Rego says about an act: the value of its package `pact.authz`. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

import msgspec

from pactsh.errors import PolicyError

if TYPE_CHECKING:
    from pactsh.model.entry import JsonObject

PACKAGE = "pact.authz"
_MOST_REASONS, _LONGEST = 20, 500


class Verdict(msgspec.Struct, frozen=True):
    """`deny`: the reasons why it is refused, none when it is not; `approval`: a second person has to agree."""

    deny: tuple[str, ...] = ()
    approval: bool = False


class Engine(Protocol):
    """What evaluates the modules."""

    async def start(self) -> None:
        """Be ready to answer. Raises `UsageError` for modules that can't be used."""

    async def evaluate(self, given: JsonObject) -> Verdict:
        """The verdict on an input document. Raises `PolicyError` when there is none: then nothing is allowed."""

    async def close(self) -> None:
        """Answer no more."""


def read_verdict(value: object) -> Verdict:
    """The verdict in the package's value: `deny` (texts), `allow` and `approval_required` (true or false).

    What is not defined says nothing, and so does any other name. Raises `PolicyError` for what is of another kind: a
    rule that was meant to refuse must not be without effect for its form.

    >>> read_verdict({"deny": ["frozen until Monday"], "approval_required": True})
    Verdict(deny=('frozen until Monday',), approval=True)
    >>> read_verdict({"allow": False})
    Verdict(deny=('the policy does not allow it',), approval=False)
    """
    if not isinstance(value, Mapping):
        raise _unreadable(f"{PACKAGE} is not defined")
    deny, allow, approval = value.get("deny", []), value.get("allow", True), value.get("approval_required", False)
    if not isinstance(deny, list) or not all(isinstance(text, str) for text in deny):
        raise _unreadable("deny: expected a set of texts")
    if not isinstance(allow, bool) or not isinstance(approval, bool):
        raise _unreadable("allow and approval_required: expected true or false")
    reasons = [_shown(text) for text in sorted(deny)[:_MOST_REASONS]]
    if not allow and not reasons:
        reasons = ["the policy does not allow it"]
    return Verdict(tuple(reasons), approval)


def _shown(text: str) -> str:
    """A reason on one line, whatever is in it: it is shown on a terminal."""
    plain = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(plain.split())[:_LONGEST] or "the policy gives no reason"


def _unreadable(what: str) -> PolicyError:
    return PolicyError(f"the policy can't be evaluated: {what}", hint="the journal's log has more")
