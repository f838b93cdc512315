"""`pact.v1.Certificates`: SSH and TLS certificates out of the journal's authority, each one an entry."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime

from pactsh.auth.ca import MAX_USER_LIFETIME_S, Authority
from pactsh.auth.join import JoinTokens
from pactsh.auth.names import check_host, check_node
from pactsh.errors import AuthError, ForbiddenError
from pactsh.journal.access import agent_node_of
from pactsh.journal.gate import Caller, Handler
from pactsh.journal.heads import key_id, public_bytes
from pactsh.journal.ledger import Ledger
from pactsh.journal.revocations import Proof, Revocations
from pactsh.model.entry import Author, JsonObject
from pactsh.model.revocation import PERSON
from pactsh.rpc import pact_pb2 as pb

MAX_HOST_NAMES = 8


class CertificatesService:
    """The handlers. A certificate leaves only after its entry is durable, unless its owner was revoked meanwhile."""

    def __init__(self, ledger: Ledger, authority: Authority, join_tokens: JoinTokens, revocations: Revocations) -> None:
        self._ledger = ledger
        self._authority = authority
        self._join_tokens = join_tokens
        self._revocations = revocations

    def handlers(self) -> dict[str, Handler]:
        """Method name to handler."""
        return {
            "Certificates/SignUser": self.sign_user,
            "Certificates/SignHost": self.sign_host,
            "Certificates/EnrollAgent": self.enroll_agent,
            "Certificates/RenewAgent": self.renew_agent,
            "Certificates/Trust": self.trust,
        }

    async def sign_user(self, caller: Caller, request: pb.SignUserRequest) -> pb.SshCertificate:
        """A user certificate for the caller, never longer than its token."""
        identity = caller.known
        if caller.expires_at is None:
            raise AuthError("a user certificate needs a token that ends")
        if not identity.roles:
            raise ForbiddenError(f"{identity.principal} has no role that pact knows")
        now = datetime.now(UTC)
        # Nodes go by its own date, which must not be before that of a revocation (where an issuer's clock is ahead).
        self._revocations.check(Proof(PERSON, identity.principal, now.timestamp()))
        left_s = int((caller.expires_at - now).total_seconds())
        lifetime_s = min(left_s, MAX_USER_LIFETIME_S, request.lifetime_s or MAX_USER_LIFETIME_S)
        serial = secrets.randbits(63)
        certificate = self._authority.sign_ssh_user(
            request.public_key, identity, lifetime_s=lifetime_s, serial=serial, now=now
        )
        name = f"pact {identity.kind} {identity.principal} serial={serial}"
        await self._record(
            "cert.signed",
            "global",
            Author(identity.principal, identity.roles, identity.kind),
            f"SSH user certificate for {identity.principal}",
            {
                "kind": "ssh-user",
                "serial": str(serial),
                "key": _fingerprint(request.public_key),
                "principals": [identity.principal, *(f"role={role}" for role in identity.roles)],
                "lifetime_s": lifetime_s,
                "peer": caller.peer,
            },
        )
        self._check(caller)
        return pb.SshCertificate(certificate=certificate, key_id=name, lifetime_s=lifetime_s)

    async def sign_host(self, caller: Caller, request: pb.SignHostRequest) -> pb.SshCertificate:
        """A host certificate for the calling agent's own node."""
        node = agent_node_of(caller.known)
        names = _host_names(node, request.names)
        certificate = self._authority.sign_ssh_host(request.public_key, names)
        await self._record_host(node, names, request.public_key, caller)
        self._check(caller)
        return pb.SshCertificate(certificate=certificate, key_id=f"pact host {node}")

    async def enroll_agent(self, caller: Caller, request: pb.EnrollAgentRequest) -> pb.Enrollment:
        """Certificates for a new agent, for one join token, which says where the node belongs."""
        node = check_node(request.node)
        names = _host_names(node, request.ssh_host_names)
        await self._revocations.wait_to_issue(node)
        # Signed first, so that a bad request does not use the token up; handed out last.
        certificate = self._authority.agent_certificate(node, request.csr_pem)
        host = self._authority.sign_ssh_host(request.ssh_host_key, names) if request.ssh_host_key else ""
        joining = self._join_tokens.consume(request.join_token, node, request.vcluster)
        self._revocations.check_joining(node, joining.issued_at)
        author = Author(f"agent:{node}", (), "agent")
        await self._record(
            "node.enrolled",
            f"node:{node}",
            author,
            f"{node} enrolled in vCluster {joining.vcluster}",
            {"vcluster": joining.vcluster, "peer": caller.peer},
        )
        await self._record_agent(node, certificate, caller)
        if host:
            await self._record_host(node, names, request.ssh_host_key, caller)
        self._revocations.check_joining(node, joining.issued_at)
        return pb.Enrollment(
            certificate_pem=certificate, ssh_host_certificate=host, trust=self._trust(), vcluster=joining.vcluster
        )

    async def renew_agent(self, caller: Caller, request: pb.RenewAgentRequest) -> pb.Enrollment:
        """Another certificate for the calling agent's own node; its key may be another one."""
        node = agent_node_of(caller.known)
        certificate = self._authority.agent_certificate(node, request.csr_pem)
        await self._record_agent(node, certificate, caller)
        self._check(caller)
        return pb.Enrollment(certificate_pem=certificate, trust=self._trust())

    async def trust(self, _caller: Caller, _request: pb.TrustRequest) -> pb.TrustReply:
        """What anyone may know: the public halves."""
        return self._trust()

    def _check(self, caller: Caller) -> None:
        """The last thing before a certificate leaves: see `revocations`."""
        if caller.proof is None:
            raise AuthError("what proves who is asking is not known")
        self._revocations.check(caller.proof)

    def _trust(self) -> pb.TrustReply:
        head_key = public_bytes(self._authority.head_key)
        return pb.TrustReply(
            ca_pem=self._authority.ca_pem,
            ssh_user_ca=self._authority.ssh_user_ca,
            ssh_host_ca=self._authority.ssh_host_ca,
            head_key=head_key,
            head_key_id=key_id(head_key),
        )

    async def _record_agent(self, node: str, certificate: bytes, caller: Caller) -> None:
        await self._record(
            "cert.signed",
            f"node:{node}",
            Author(f"agent:{node}", (), "agent"),
            f"TLS client certificate for the agent of {node}",
            {"kind": "tls-agent", "certificate": hashlib.sha256(certificate).hexdigest(), "peer": caller.peer},
        )

    async def _record_host(self, node: str, names: Sequence[str], public_key: str, caller: Caller) -> None:
        await self._record(
            "cert.signed",
            f"node:{node}",
            Author(f"agent:{node}", (), "agent"),
            f"SSH host certificate for {node}",
            {
                "kind": "ssh-host",
                "key": _fingerprint(public_key),
                "principals": list(names),
                "peer": caller.peer,
            },
        )

    async def _record(self, entry_type: str, scope: str, author: Author, message: str, body: JsonObject) -> None:
        await self._ledger.record(entry_type, scope, author, message=message, body=body)


def _host_names(node: str, wanted: Sequence[str]) -> tuple[str, ...]:
    """The names a node's host certificate may carry: its id, and names below its id.

    Anything else would let one node pass for another.
    """
    if len(wanted) > MAX_HOST_NAMES:
        raise ForbiddenError(f"more than {MAX_HOST_NAMES} host names")
    for name in wanted:
        check_host(name)
        if name != node and not name.startswith(f"{node}."):
            raise ForbiddenError(f"{node} may not have a host certificate for {name}")
    return tuple(dict.fromkeys((node, *wanted)))


def _fingerprint(public_key: str) -> str:
    """SHA-256 of the key's middle field, in hex; enough to find the key again."""
    fields = public_key.split()
    return hashlib.sha256((fields[1] if len(fields) > 1 else public_key).encode()).hexdigest()
