"""What a call of lattice that failed comes to: gRPC's statuses and texts as pact's errors.

gRPC says in text alone why a connection failed, and lattice in text alone what it means by INTERNAL; so text is looked
at, for whole phrases of theirs, and whatever is not known is told as it came.
"""

from __future__ import annotations

import msgspec

from pactsh.delegates.limited import LimitedError
from pactsh.delegates.settings import LatticeSettings
from pactsh.errors import (
    AuthError,
    ConflictError,
    ForbiddenError,
    NotFoundError,
    PactError,
    UnreachableError,
    UsageError,
)
from pactsh.rpc.status import last_cause, tls_cause

MOST_BYTES = 64 << 20
"""What is taken as one answer: lattice's lists come whole, of a cluster's jobs."""
_LONGEST = 500
_NEVER_SENT = ("failed to connect to all addresses", "errors resolving", "DNS resolution failed", "empty address list")
_LOST = ("Socket closed", "Connection reset", "recvmsg", "Cancelling all calls", "GOAWAY", "goaway", "keepalive",
         "Stream removed", "Broken pipe", "Connection timed out")  # fmt: skip
_HANDSHAKE = ("handshake", "TSI_", "SSL_ERROR", "Custom verification check")
_ENDED = ("Socket closed", "Connection reset", "Broken pipe", "recvmsg")
_UNSURE = "whether it was done is not known"
_LOOK = "look before you repeat it: pact nodes inspect, pact jobs inspect"


class Call(msgspec.Struct, frozen=True):
    """The call that failed. `again`: it was a read, which may be repeated."""

    method: str
    settings: LatticeSettings
    address: str
    is_tls: bool
    timeout_s: float
    again: bool

    @property
    def where(self) -> str:
        """Who was called."""
        return f"lattice at {self.address}"

    def unsure(self, message: str, hint: str) -> tuple[str, str]:
        """What to say where the answer is missing: of a deed that may have been done, that too."""
        return (message, hint) if self.again else (f"{message}; {_UNSURE}", _LOOK)


def fault(call: Call, code: str, details: str) -> PactError:
    """The error that stands for a status by name, and its text."""
    details = details[:_LONGEST]
    name = call.settings.name
    if code == "UNAVAILABLE":
        return _unavailable(call, details)
    if code == "DEADLINE_EXCEEDED":
        text, hint = call.unsure(
            f"{call.where} did not answer within {call.timeout_s:g} s", "give it more time: --timeout"
        )
        return UnreachableError(text, hint=hint)
    if code == "UNAUTHENTICATED":
        return _unauthenticated(call, details)
    if code == "PERMISSION_DENIED":
        return ForbiddenError(f"{call.where}: {details or 'not permitted'}")
    if code == "NOT_FOUND":
        return NotFoundError(f"lattice: {details or 'not found'}")
    if code == "INVALID_ARGUMENT":
        return UsageError(f"lattice: {details or 'the request is not valid'}")
    if code == "FAILED_PRECONDITION":
        return ConflictError(f"lattice: {details or 'not in this state'}")
    if code == "RESOURCE_EXHAUSTED":
        return _exhausted(call, details)
    if code == "UNIMPLEMENTED":
        hint = f"is {name('endpoint')} lattice's gRPC port (50051), and lattice of a version that has this call?"
        return PactError(f"{call.where} does not know {call.method}", hint=hint)
    if code == "INTERNAL":
        return _internal(call, details)
    return PactError(f"{call.where}: {details or code}")


def unreadable(call: Call) -> PactError:
    """The error for a reply that is no message of lattice's."""
    text, hint = call.unsure(
        f"{call.where} answers {call.method} with what is no message of lattice's",
        f"is {call.settings.name('endpoint')} a lattice?",
    )
    return PactError(text, hint=hint)


def _internal(call: Call, details: str) -> PactError:
    if "Node not found" in details:
        return NotFoundError(f"lattice: {details}")
    if "Invalid node transition" in details or "Invalid transition" in details:
        return ConflictError(f"lattice: {details}", hint="somebody else has just changed its state: look again")
    if "Quorum error" in details:
        hint = f"a member that does not lead passes nothing on: point {call.settings.name('endpoint')} at the leader"
        return PactError(f"{call.where} could not write: {details}", hint=f"{hint} (pact cluster)")
    return PactError(f"{call.where}: {details or 'internal error'}")


def _unauthenticated(call: Call, details: str) -> AuthError:
    if "JWKS" in details:
        hint = "lattice itself can check no token like this: its server needs LATTICE_OIDC_HMAC_SECRET"
        return AuthError(f"{call.where} refuses every token: {details}", hint=hint)
    if call.settings.token is None:
        hint = f"set {call.settings.name('token')}"
        return AuthError(f"{call.where} wants a token: {details or 'it does not say which'}", hint=hint)
    hint = f"check {call.settings.name('token')}: is it lattice's, and has it not expired?"
    return AuthError(f"{call.where} refuses the token: {details or 'it does not say why'}", hint=hint)


def _exhausted(call: Call, details: str) -> PactError:
    if "larger than max" in details:
        text, hint = call.unsure(
            f"{call.where} sends more for {call.method} than the {MOST_BYTES >> 20} MiB that are taken",
            "narrow it down: --vcluster, --tenant, --user",
        )
        return PactError(text, hint=hint)
    return LimitedError(
        f"{call.where}: {details or 'asked too often'}", hint="it limits calls a minute: try again in a minute"
    )


def _unavailable(call: Call, details: str) -> PactError:
    name = call.settings.name
    never_sent = details.startswith(_NEVER_SENT) or not details
    if not never_sent and not any(word in details for word in _LOST):
        return UnreachableError(f"{call.where} can't do that now: {details}")
    if "Failed to create security handshaker" in details:
        return AuthError(
            f"TLS with {call.where} can't begin: its files can't be used",
            hint=f"check {name('ca')}, {name('cert')} and {name('key')}",
        )
    if any(word in details for word in _HANDSHAKE):
        return _untrusted(call, details)
    if "HTTP/2" in details or "ALPN" in details:
        return UnreachableError(
            f"{call.where} does not speak gRPC", hint=f"is {name('endpoint')} lattice's gRPC port (50051)?"
        )
    if never_sent and any(word in details for word in _ENDED):
        return UnreachableError(f"{call.where} ends the connection at once", hint=_why_ended(call))
    if never_sent:
        return UnreachableError(
            f"{call.where} can't be reached: {last_cause(details).rstrip(']')}", hint=f"check {name('endpoint')}"
        )
    text, hint = call.unsure(f"the connection to {call.where} was lost: {last_cause(details)}", "try again")
    return UnreachableError(text, hint=hint)


def _why_ended(call: Call) -> str:
    name = call.settings.name
    if not call.is_tls:
        return f"it may speak TLS: set {name('endpoint')} to https://{call.address}, and {name('ca')}"
    if call.settings.cert is None:
        return f"it may want a certificate of ours: set {name('cert')} and {name('key')}"
    return f"it may not accept the certificate: check {name('cert')}, or what {name('endpoint')} is"


def _untrusted(call: Call, details: str) -> PactError:
    name = call.settings.name
    if "Hostname Verification" in details:
        hint = f"set {name('endpoint')} to a name that the certificate has"
        return AuthError(f"{call.where} can't be trusted: its certificate is another host's", hint=hint)
    if "WRONG_VERSION_NUMBER" in details:
        hint = f"set {name('endpoint')} to http://{call.address} if it is to go without TLS, or check the port (50051)"
        return AuthError(f"{call.where} does not speak TLS", hint=hint)
    if "_ALERT_" in details or "TSI_DATA_CORRUPTED" in details:
        return AuthError(f"{call.where} breaks off TLS", hint=_why_ended(call))
    if any(word in details for word in _ENDED):
        return UnreachableError(f"{call.where} ends the connection at once", hint=_why_ended(call))
    cause = tls_cause(details)
    if call.settings.ca is None:
        cause = cause.replace("by the given CA", "by any CA that this system trusts")
    hint = f"check {name('endpoint')}, and that {name('ca')} is the CA of lattice's certificate"
    return AuthError(f"{call.where} can't be trusted: {cause}", hint=hint)
