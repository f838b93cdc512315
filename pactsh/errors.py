"""Errors that a user sees: one class for each row of the exit-code table.

Only a program's `main()` turns one into output and an exit status. `message` and
`hint` are for the user; `detail` goes to the log alone. This module imports nothing.
"""

from __future__ import annotations


class PactError(Exception):
    """General error: exit status 1.

    `code` is the exit status, `kind` the stable name in JSON output, `grpc_status` the
    name of the gRPC status that carries it over the wire.
    """

    code = 1
    kind = "error"
    grpc_status = "UNKNOWN"

    def __init__(self, message: str, *, hint: str = "", detail: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.detail = detail


class UsageError(PactError):
    """A wrong option, argument, configuration value or malformed line: exit status 1. `more` is what else is wrong."""

    kind = "usage"
    grpc_status = "INVALID_ARGUMENT"

    def __init__(self, message: str, *, hint: str = "", detail: str = "", more: tuple[str, ...] = ()) -> None:
        super().__init__(message, hint=hint, detail=detail)
        self.more = more


class NotFoundError(PactError):
    """The named thing does not exist: exit status 1."""

    kind = "not-found"
    grpc_status = "NOT_FOUND"


class AuthError(PactError):
    """Who is asking isn't known, or may not do this at all: exit status 2."""

    code = 2
    kind = "auth"
    grpc_status = "UNAUTHENTICATED"


class ForbiddenError(AuthError):
    """A known identity without the needed role: exit status 2."""

    kind = "forbidden"
    grpc_status = "PERMISSION_DENIED"


class PolicyError(PactError):
    """Policy rejects the operation: exit status 3."""

    code = 3
    kind = "policy"
    grpc_status = "FAILED_PRECONDITION"


class ApprovalError(PolicyError):
    """Policy asks for a second person's approval first: exit status 3."""

    kind = "approval"


class ConflictError(PactError):
    """Someone else changed the same thing first: exit status 4."""

    code = 4
    kind = "conflict"
    grpc_status = "ABORTED"


class UnreachableError(PactError):
    """The journal (or a node) can't be reached in time: exit status 5."""

    code = 5
    kind = "timeout"
    grpc_status = "UNAVAILABLE"


class NotWhitelistedError(PactError):
    """A command or construct that the whitelist does not name: exit status 6."""

    code = 6
    kind = "not-whitelisted"
    grpc_status = "OUT_OF_RANGE"


class RollbackError(PactError):
    """A rollback could not finish, something still holds the resource: exit status 10."""

    code = 10
    kind = "rollback-failed"
    grpc_status = "RESOURCE_EXHAUSTED"


CLASSES: tuple[type[PactError], ...] = (
    PactError,
    UsageError,
    NotFoundError,
    AuthError,
    ForbiddenError,
    ApprovalError,
    PolicyError,
    ConflictError,
    UnreachableError,
    NotWhitelistedError,
    RollbackError,
)

BY_KIND: dict[str, type[PactError]] = {c.kind: c for c in CLASSES}
BY_GRPC_STATUS: dict[str, type[PactError]] = {c.grpc_status: c for c in CLASSES} | {
    "DEADLINE_EXCEEDED": UnreachableError,
    "INTERNAL": PactError,
    "UNIMPLEMENTED": PactError,
    "CANCELLED": PactError,
}


def error_of(kind: str, message: str, hint: str = "") -> PactError:
    """Rebuild an error from its wire form; an unknown kind becomes a plain `PactError`."""
    return BY_KIND.get(kind, PactError)(message, hint=hint)
