"""Why a line does not run, as it is told and recorded: from errors and decisions to refusals."""

from __future__ import annotations

import logging

from pact_agent.io import Refusal
from pactsh import language
from pactsh.errors import (
    ConflictError,
    ForbiddenError,
    NotWhitelistedError,
    PactError,
    PolicyError,
    UnreachableError,
    error_of,
)
from pactsh.policy.decision import Decision

_log = logging.getLogger(__name__)


def unrecorded(error: PactError) -> Refusal:
    """A line, or the rest of one, that can't go on record."""
    return Refusal(error.code, "not-recorded", "audit", error.message, error.hint)


def refusal_of(error: language.LineError | PactError) -> Refusal:
    """A line that can't be read, or not expanded."""
    if isinstance(error, PactError):
        return Refusal(error.code, error.kind, "agent", error.message, error.hint)
    code = error.code if isinstance(error, language.Refused) else "malformed"
    return Refusal(error.status, code, "language", error.reason, error.hint, error.span)


def fault(error: Exception) -> Refusal:
    """A fault of our own: the log has it, the user hears of it."""
    _log.error("a line could not be judged", exc_info=error)
    reason = f"the line could not be judged: {type(error).__name__}"
    return Refusal(PactError.code, "internal", "agent", reason, "a fault of pact's: please report it")


def refusal_in(decision: Decision) -> Refusal | None:
    """What the decision refuses, or None."""
    if decision.verdict == "allow":
        return None
    return Refusal(decision.status, decision.code, decision.rule, decision.reason, decision.hint, decision.span)


_REFUSING = (ForbiddenError, PolicyError, ConflictError, UnreachableError, NotWhitelistedError)
_KINDS = {error.code: error.kind for error in _REFUSING}  # of a refusal only the status is told


def error_in(refusal: Refusal) -> PactError:
    """The error that a refusal was."""
    return error_of(_KINDS.get(refusal.status, PactError.kind), refusal.reason, refusal.hint)
