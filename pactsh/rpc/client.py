"""The client of `pact-journal` for everybody: CLI, agent, tests. asyncio, TLS always.

Errors are those of `errors.py`: `UnreachableError` names endpoint and cause, a failed TLS
handshake or a refused identity is an `AuthError`. Imports neither pydantic nor rich.
"""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing

from pactsh.auth.oidc.provider import Provider
from pactsh.errors import AuthError, PactError, UnreachableError
from pactsh.model.approval import Approval
from pactsh.model.entry import Draft, Entry, Head
from pactsh.model.identity import Identity
from pactsh.model.revocation import Revocation
from pactsh.rpc import pact_pb2 as pb
from pactsh.rpc.append import AppendStream, batches
from pactsh.rpc.connection import Connection
from pactsh.rpc.wire import Ack, approval_of, draft_bytes, entry_of, head_of, revocation_of


class Journal(Connection):
    """The journal's methods, as one identity (see `Connection`): `async with Journal(…) as journal`."""

    # -- entries

    async def append(self, drafts: Sequence[Draft]) -> tuple[list[Ack], Head | None]:
        """Append in order; returns when all are durable. Raises the first draft's error, if any
        was refused; the others are kept all the same."""
        acks: list[Ack] = []
        head: Head | None = None

        async def run() -> None:
            nonlocal head
            async with self.open_append() as stream:
                for batch in batches([draft_bytes(draft) for draft in drafts]):
                    await stream.send_raw(batch)
                    got, head = await stream.receive()
                    acks.extend(got)

        await self.in_time(run())
        for ack in acks:
            if ack.error is not None:
                raise ack.error
        return acks, head

    def open_append(self) -> AppendStream:
        """The uplink's stream: `async with journal.open_append() as stream`."""
        return AppendStream(self.open("Journal/Append"), self.endpoint)

    async def list(
        self,
        n: int = 20,
        *,
        scope: str = "",
        since: str = "",
        type: str = "",  # noqa: A002  the word of the command line
        author: str = "",
        session: str = "",
        newest_first: bool = True,
        before_seq: int = 0,
    ) -> list[Entry]:
        """Up to `n` entries the caller may read. `since` is RFC 3339 UTC as entries have it."""
        request = pb.ListRequest(
            filter=pb.Filter(scope=scope, type=type, author=author, since=since, session=session),
            n=n,
            oldest_first=not newest_first,
            before_seq=before_seq,
        )
        return [entry_of(m) async for reply in self.stream("Journal/List", request) for m in reply.entries]

    async def get(self, seq: int) -> Entry:
        """One entry; raises `NotFoundError`."""
        return entry_of(await self.call("Journal/Get", pb.GetRequest(seq=seq)))

    async def watch(
        self,
        from_seq: int = 0,
        *,
        scope: str = "",
        type: str = "",  # noqa: A002  as in list
        author: str = "",
        on_lost: Callable[[PactError], None] | None = None,
    ) -> AsyncIterator[Entry]:
        """Entries from `from_seq` on (0: those after now), without end, none skipped or repeated.

        After a lost connection it goes on from where it was, as often as needed; `on_lost` is
        told each time. Raises when the very first connection fails, and for refusals.
        """
        wanted = pb.Filter(scope=scope, type=type, author=author)
        next_seq, connected, delay_s = from_seq, False, 0.1
        while True:
            request, shown = pb.WatchRequest(filter=wanted, from_seq=next_seq), self.metadata()
            lost: PactError = UnreachableError(f"the journal at {self.endpoint} ended the stream")
            try:
                async with aclosing(self.stream("Journal/Watch", request, endless=True)) as replies:
                    async for reply in replies:
                        connected, delay_s = True, 0.1
                        for message in reply.entries:
                            # Before the yield: whoever stops listening here has had this one.
                            next_seq = message.seq + 1
                            yield entry_of(message)
                        next_seq = max(next_seq, reply.through + 1)
            except UnreachableError as error:
                if not connected:
                    raise
                lost = error
            except AuthError:
                if not connected or self.metadata() == shown:
                    raise
                continue  # the token has ended, and there is another
            if on_lost is not None:
                on_lost(lost)
            await asyncio.sleep(delay_s)
            delay_s = min(delay_s * 2, 5.0)

    async def heads(self, from_seq: int = 0, *, last: bool = False) -> builtins.list[Head]:
        """Signed heads in order; with `last` only the newest."""
        request = pb.HeadsRequest(from_seq=from_seq, last=last)
        return [head_of(m) async for reply in self.stream("Journal/Heads", request) for m in reply.heads]

    async def export(self, from_seq: int = 1) -> AsyncIterator[pb.Entry]:
        """Every entry as it is kept, for verification; those the caller may not read without JSON."""
        async for reply in self.stream("Journal/Export", pb.ExportRequest(from_seq=from_seq), endless=True):
            for message in reply.entries:
                yield message

    # -- certificates

    async def sign_user(self, public_key: str, lifetime_s: int = 0) -> str:
        """An OpenSSH user certificate for `public_key`, for the caller and its roles."""
        request = pb.SignUserRequest(public_key=public_key, lifetime_s=lifetime_s)
        return str((await self.call("Certificates/SignUser", request)).certificate)

    async def sign_host(self, public_key: str, names: Sequence[str] = ()) -> str:
        """An OpenSSH host certificate for the calling agent's node."""
        request = pb.SignHostRequest(public_key=public_key, names=names)
        return str((await self.call("Certificates/SignHost", request)).certificate)

    async def enroll_agent(
        self,
        node: str,
        join_token: str,
        csr_pem: bytes,
        *,
        vcluster: str = "",
        ssh_host_key: str = "",
        ssh_host_names: Sequence[str] = (),
    ) -> pb.Enrollment:
        """Trade a join token for the node's TLS client certificate and SSH host certificate. The token says which
        vCluster the node is in; naming another one raises `AuthError`."""
        request = pb.EnrollAgentRequest(
            node=node,
            vcluster=vcluster,
            join_token=join_token,
            csr_pem=csr_pem,
            ssh_host_key=ssh_host_key,
            ssh_host_names=ssh_host_names,
        )
        reply: pb.Enrollment = await self.call("Certificates/EnrollAgent", request)
        return reply

    async def renew_agent(self, csr_pem: bytes) -> bytes:
        """Another TLS client certificate (PEM) for the calling agent."""
        reply = await self.call("Certificates/RenewAgent", pb.RenewAgentRequest(csr_pem=csr_pem))
        return bytes(reply.certificate_pem)

    async def trust(self) -> pb.TrustReply:
        """The CA certificates and the key that signs heads."""
        reply: pb.TrustReply = await self.call("Certificates/Trust", pb.TrustRequest())
        return reply

    async def revoke(self, kind: str, subject: str, message: str) -> pb.RevokeReply:
        """Take back all that was issued to a `person` or a `node` until now. Platform admins only."""
        request = pb.RevokeRequest(kind=kind, subject=subject, message=message)
        reply: pb.RevokeReply = await self.call("Certificates/Revoke", request)
        return reply

    async def watch_revocations(self) -> AsyncIterator[tuple[builtins.list[Revocation], bool]]:
        """Those there are, then each that comes, until the connection ends; true once all there were have been told."""
        async for reply in self.stream("Certificates/Revocations", pb.RevocationsRequest(), endless=True):
            yield [revocation_of(message) for message in reply.revocations], reply.whole

    # -- nodes and policy

    async def report_node(
        self, *, vcluster: str, ssh_address: str = "", state: str = "", version: str = "", details: bytes = b"{}"
    ) -> int:
        """Report the calling agent's node; returns the seconds within which to report again. Raises `ForbiddenError`
        when it was enrolled in another vCluster."""
        request = pb.NodeReport(
            vcluster=vcluster, ssh_address=ssh_address, state=state, version=version, details=details
        )
        return int((await self.call("Nodes/Report", request)).interval_s)

    async def nodes(self, vcluster: str = "", *, brief: bool = False) -> builtins.list[pb.Node]:
        """The nodes that the caller may see, by name; `brief`: without what they have (`cap`)."""
        request = pb.NodesRequest(vcluster=vcluster, brief=brief)
        return [node async for reply in self.stream("Nodes/List", request) for node in reply.nodes]

    async def node(self, node: str) -> pb.Node:
        """One node; raises `NotFoundError`."""
        reply: pb.Node = await self.call("Nodes/Get", pb.NodeRequest(node=node))
        return reply

    async def policy(self, vcluster: str) -> pb.PolicyDocument:
        """The vCluster's policy document (JSON)."""
        reply: pb.PolicyDocument = await self.call("Policy/Get", pb.PolicyRequest(vcluster=vcluster))
        return reply

    async def evaluate(self, given: bytes) -> pb.Judgement:
        """What the site's own policy says of an act on the calling agent's node (an input document, JSON)."""
        reply: pb.Judgement = await self.call("Policy/Evaluate", pb.EvaluateRequest(input=given))
        return reply

    async def status(self) -> pb.JournalStatus:
        """What the journal says of itself."""
        reply: pb.JournalStatus = await self.call("Status/Get", pb.StatusRequest())
        return reply

    # -- delegation

    async def begin_delegation(
        self, action: str, targets: Sequence[str], *, vcluster: str = "", facts: bytes = b"{}", approval: str = "",
        dry_run: bool = False,
    ) -> pb.DelegationBegun:  # fmt: skip
        """Have it decided whether lattice or OpenCHAMI may be asked to do this, and the intent put on record. Raises
        `ForbiddenError`, `PolicyError`."""
        request = pb.DelegationRequest(
            action=action, targets=targets, vcluster=vcluster, facts=facts, approval=approval, dry_run=dry_run
        )
        reply: pb.DelegationBegun = await self.call("Delegation/Begin", request)
        return reply

    async def end_delegation(self, id_: str, target: str, *, status: int, answer: str, details: bytes = b"{}") -> int:
        """Put on record what came of it; returns the entry's number."""
        request = pb.DelegationOutcome(id=id_, target=target, status=status, answer=answer, details=details)
        return int((await self.call("Delegation/End", request)).seq)

    # -- signing in

    async def providers(self) -> builtins.list[Provider]:
        """The issuers that people sign in with here; needs no identity."""
        reply = await self.call("Login/Providers", pb.ProvidersRequest())
        return [
            Provider(
                issuer=one.issuer,
                client_id=one.client_id,
                scopes=tuple(one.scopes),
                takes_id_token=one.takes_id_token,
                resource=one.resource,
                redirect_port=one.redirect_port,
                ca=one.ca,
            )
            for one in reply.providers
        ]

    async def verify_token(self, token: str) -> tuple[Identity, float]:
        """Who a token is that somebody has shown to the calling agent, and when it was issued (s since the epoch)."""
        found = await self.call("Login/Verify", pb.VerifyTokenRequest(token=token))
        return Identity(found.principal, tuple(found.roles), found.kind, "token"), found.issued_at

    # -- approvals

    async def request_approval(
        self, action: str, operation: bytes, summary: str, *, scope: str = "", requester: bytes = b""
    ) -> Approval:
        """Have an operation (JSON object) wait for a second person. `requester` (JSON) is for agents to give."""
        request = pb.ApprovalRequest(
            action=action, scope=scope, operation=operation, summary=summary, requester=requester
        )
        return approval_of(await self.call("Approvals/Request", request))

    async def decide_approval(self, id_: str, *, approve: bool, reason: str = "") -> Approval:
        """Approve or deny; raises `ConflictError` when it is decided or over, `ForbiddenError`, `NotFoundError`."""
        request = pb.ApprovalDecision(id=id_, approve=approve, reason=reason)
        return approval_of(await self.call("Approvals/Decide", request))

    async def approvals(self, *, vcluster: str = "", id_: str = "", closed: bool = False) -> builtins.list[Approval]:
        """Those that are open, oldest first; with `closed` all."""
        request = pb.ApprovalsRequest(vcluster=vcluster, id=id_, all=closed)
        return [approval_of(message) async for message in self.stream("Approvals/List", request)]

    async def watch_approvals(self, *, id_: str = "") -> AsyncIterator[Approval]:
        """Those that are open, then each that changes, until the connection ends."""
        request = pb.ApprovalsRequest(id=id_)
        async for message in self.stream("Approvals/Watch", request, endless=True):
            if message.json:
                yield approval_of(message)

    async def watch_policy(self, vcluster: str) -> AsyncIterator[pb.PolicyDocument]:
        """The document now and after each change, until the connection ends."""
        async for document in self.stream("Policy/Watch", pb.PolicyRequest(vcluster=vcluster), endless=True):
            yield document
