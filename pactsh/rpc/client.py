"""The client of `pact-journal` for everybody: CLI, agent, tests. asyncio, TLS always.

Errors are those of `errors.py`: `UnreachableError` names endpoint and cause, a failed TLS
handshake or a refused identity is an `AuthError`. Imports neither pydantic nor rich.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from types import TracebackType
from typing import Any, TypeVar

# Before grpc is imported: it must not write on a user's terminal, and its fork handlers have
# no place in programs that fork on their own terms.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

import grpc
from grpc import aio

from pactsh.errors import AuthError, PactError, UnreachableError, UsageError
from pactsh.model.entry import Draft, Entry, Head
from pactsh.rpc import pact_pb2 as pb
from pactsh.rpc.methods import MAX_MESSAGE_BYTES, METHODS
from pactsh.rpc.status import error_from
from pactsh.rpc.wire import Ack, draft_bytes, entry_of, head_of

SERVER_NAME = "pact-journal"
_MAX_BATCH_BYTES = 2 << 20
_MAX_BATCH_DRAFTS = 512
_T = TypeVar("_T")

_OPTIONS: tuple[tuple[str, Any], ...] = (
    ("grpc.ssl_target_name_override", SERVER_NAME),
    ("grpc.default_authority", SERVER_NAME),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 5_000),
    ("grpc.enable_http_proxy", 0),
    # One connection for each Journal: two with different identities must never share one.
    ("grpc.use_local_subchannel_pool", 1),
)


class Journal:
    """A connection to the journal as one identity: a bearer token, a client certificate, or none.

    `endpoint` is `host:port` or `unix:/path`, `ca` the PEM of the journal's CA. `timeout_s`
    bounds every call that is not a stream without end.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        ca: bytes,
        token: str | None = None,
        cert: bytes | None = None,
        key: bytes | None = None,
        timeout_s: float = 30,
    ) -> None:
        if not (endpoint.startswith("unix:/") or _is_host_port(endpoint)):
            raise UsageError(f"endpoint {endpoint!r}: expected HOST:PORT or unix:/PATH")
        if (cert is None) != (key is None):
            raise UsageError("a client certificate needs its key, and a key its certificate")
        if token is not None and cert is not None:
            raise UsageError("give a token or a client certificate, not both")
        if token is not None and not (token.isascii() and token.isprintable()):
            raise AuthError("the token holds characters that no token has", hint="is it the right file?")
        self.endpoint = endpoint
        self.timeout_s = timeout_s
        self._credentials = grpc.ssl_channel_credentials(ca, key, cert)
        self._metadata = () if token is None else (("authorization", f"Bearer {token}"),)
        self._channel: aio.Channel | None = None

    async def __aenter__(self) -> Journal:
        self._channel = aio.secure_channel(self.endpoint, self._credentials, options=_OPTIONS)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._channel is not None:
            channel, self._channel = self._channel, None
            await channel.close()

    # -- entries

    async def append(self, drafts: Sequence[Draft]) -> tuple[list[Ack], Head | None]:
        """Append in order; returns when all are durable. Raises the first draft's error, if any
        was refused; the others are kept all the same."""
        acks: list[Ack] = []
        head: Head | None = None

        async def run() -> None:
            nonlocal head
            async with self.open_append() as stream:
                for batch in _batches([draft_bytes(draft) for draft in drafts]):
                    await stream.send_raw(batch)
                    got, head = await stream.receive()
                    acks.extend(got)

        await self._in_time(run())
        for ack in acks:
            if ack.error is not None:
                raise ack.error
        return acks, head

    def open_append(self) -> AppendStream:
        """The uplink's stream: `async with journal.open_append() as stream`."""
        return AppendStream(self._open("Journal/Append"), self.endpoint)

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
        return [entry_of(m) async for reply in self._stream("Journal/List", request) for m in reply.entries]

    async def get(self, seq: int) -> Entry:
        """One entry; raises `NotFoundError`."""
        return entry_of(await self._call("Journal/Get", pb.GetRequest(seq=seq)))

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
            try:
                call = self._open("Journal/Watch")
                try:
                    await call.write(pb.WatchRequest(filter=wanted, from_seq=next_seq))
                    await call.done_writing()
                    async for reply in _replies(call):
                        connected, delay_s = True, 0.1
                        for message in reply.entries:
                            yield entry_of(message)
                            next_seq = message.seq + 1
                        next_seq = max(next_seq, reply.through + 1)
                finally:
                    call.cancel()
                lost: PactError = UnreachableError(f"the journal at {self.endpoint} ended the stream")
            except aio.AioRpcError as error:
                lost = _error(error, self.endpoint)
                if not (connected and isinstance(lost, UnreachableError)):
                    raise lost from error
            if on_lost is not None:
                on_lost(lost)
            await asyncio.sleep(delay_s)
            delay_s = min(delay_s * 2, 5.0)

    async def heads(self, from_seq: int = 0, *, last: bool = False) -> list[Head]:
        """Signed heads in order; with `last` only the newest."""
        request = pb.HeadsRequest(from_seq=from_seq, last=last)
        return [head_of(m) async for reply in self._stream("Journal/Heads", request) for m in reply.heads]

    async def export(self, from_seq: int = 1) -> AsyncIterator[pb.Entry]:
        """Every entry as it is kept, for verification; those the caller may not read without JSON."""
        async for reply in self._stream("Journal/Export", pb.ExportRequest(from_seq=from_seq), endless=True):
            for message in reply.entries:
                yield message

    # -- certificates

    async def sign_user(self, public_key: str, lifetime_s: int = 0) -> str:
        """An OpenSSH user certificate for `public_key`, for the caller and its roles."""
        request = pb.SignUserRequest(public_key=public_key, lifetime_s=lifetime_s)
        return str((await self._call("Certificates/SignUser", request)).certificate)

    async def sign_host(self, public_key: str, names: Sequence[str] = ()) -> str:
        """An OpenSSH host certificate for the calling agent's node."""
        request = pb.SignHostRequest(public_key=public_key, names=names)
        return str((await self._call("Certificates/SignHost", request)).certificate)

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
        """Trade a join token for the node's TLS client certificate and SSH host certificate."""
        request = pb.EnrollAgentRequest(
            node=node,
            vcluster=vcluster,
            join_token=join_token,
            csr_pem=csr_pem,
            ssh_host_key=ssh_host_key,
            ssh_host_names=ssh_host_names,
        )
        reply: pb.Enrollment = await self._call("Certificates/EnrollAgent", request)
        return reply

    async def trust(self) -> pb.TrustReply:
        """The CA certificates and the key that signs heads."""
        reply: pb.TrustReply = await self._call("Certificates/Trust", pb.TrustRequest())
        return reply

    # -- nodes and policy

    async def report_node(
        self, *, vcluster: str, ssh_address: str = "", state: str = "", version: str = "", details: bytes = b"{}"
    ) -> int:
        """Report the calling agent's node; returns the seconds within which to report again."""
        request = pb.NodeReport(
            vcluster=vcluster, ssh_address=ssh_address, state=state, version=version, details=details
        )
        return int((await self._call("Nodes/Report", request)).interval_s)

    async def nodes(self, vcluster: str = "") -> list[pb.Node]:
        """The nodes that the caller may see."""
        request = pb.NodesRequest(vcluster=vcluster)
        return [node async for reply in self._stream("Nodes/List", request) for node in reply.nodes]

    async def node(self, node: str) -> pb.Node:
        """One node; raises `NotFoundError`."""
        reply: pb.Node = await self._call("Nodes/Get", pb.NodeRequest(node=node))
        return reply

    async def policy(self, vcluster: str) -> pb.PolicyDocument:
        """The vCluster's policy document (JSON)."""
        reply: pb.PolicyDocument = await self._call("Policy/Get", pb.PolicyRequest(vcluster=vcluster))
        return reply

    async def watch_policy(self, vcluster: str) -> AsyncIterator[pb.PolicyDocument]:
        """The document now and after each change, until the connection ends."""
        async for document in self._stream("Policy/Watch", pb.PolicyRequest(vcluster=vcluster), endless=True):
            yield document

    # -- calls

    def _open(self, method: str) -> Any:
        """Start a call of any shape as a bidirectional one: the wire is the same."""
        if self._channel is None:
            raise PactError("this Journal is not open: use `async with`")
        known = METHODS[method]
        call = self._channel.stream_stream(
            known.path,
            request_serializer=known.request.SerializeToString,
            response_deserializer=known.reply.FromString,
        )
        return call(metadata=self._metadata)

    async def _call(self, method: str, request: Any) -> Any:
        replies = [reply async for reply in self._stream(method, request)]
        if len(replies) != 1:
            raise PactError(f"journal at {self.endpoint}: {len(replies)} answers to {method}")
        return replies[0]

    async def _stream(self, method: str, request: Any, *, endless: bool = False) -> AsyncIterator[Any]:
        """Send one request, yield the replies; without `endless` all within the timeout."""
        deadline = None if endless else time.monotonic() + self.timeout_s
        call = self._open(method)
        try:
            await self._in_time(_send_one(call, request), deadline)
            while True:
                reply = await self._in_time(call.read(), deadline)
                if reply is aio.EOF:
                    break
                yield reply
            code = await call.code()
            if code is not grpc.StatusCode.OK:
                raise _call_error(code, await call.details(), await call.trailing_metadata(), self.endpoint)
        except aio.AioRpcError as error:
            raise _error(error, self.endpoint) from error
        finally:
            call.cancel()

    async def _in_time(self, awaitable: Any, deadline: float | None = 0.0) -> Any:
        if deadline is None:
            return await awaitable
        limit_s = self.timeout_s if deadline == 0.0 else max(0.0, deadline - time.monotonic())
        try:
            return await asyncio.wait_for(awaitable, limit_s)
        except TimeoutError as error:
            raise UnreachableError(
                f"the journal at {self.endpoint} did not answer within {self.timeout_s:g} s",
                hint="is pact-journal running there? check --endpoint, or give more --timeout",
            ) from error


class AppendStream:
    """A stream of appends. Send batches, receive as many acknowledgement batches, in order."""

    def __init__(self, call: Any, endpoint: str) -> None:
        self._call = call
        self._endpoint = endpoint

    async def __aenter__(self) -> AppendStream:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._call.cancel()

    async def send(self, drafts: Sequence[Draft]) -> None:
        """Send one batch (at most 512 drafts and 2 MiB); waits while the journal is busy."""
        await self.send_raw([draft_bytes(draft) for draft in drafts])

    async def send_raw(self, drafts: Sequence[bytes]) -> None:
        """As `send`, drafts already in JSON."""
        try:
            await self._call.write(pb.AppendRequest(drafts=drafts))
        except aio.AioRpcError as error:
            raise _error(error, self._endpoint) from error
        except asyncio.InvalidStateError:
            await self._raise_status()

    async def receive(self) -> tuple[list[Ack], Head | None]:
        """The acknowledgements of the next batch and the newest head; raises when the stream ended."""
        try:
            reply = await self._call.read()
            if reply is aio.EOF:
                await self._raise_status()
        except aio.AioRpcError as error:
            raise _error(error, self._endpoint) from error
        head = head_of(reply.head) if reply.HasField("head") else None
        return [_ack(message) for message in reply.acks], head

    async def _raise_status(self) -> None:
        code = await self._call.code()
        if code is grpc.StatusCode.OK:
            raise UnreachableError(f"the journal at {self._endpoint} ended the stream")
        raise _call_error(code, await self._call.details(), await self._call.trailing_metadata(), self._endpoint)


def _is_host_port(endpoint: str) -> bool:
    host, colon, port = endpoint.rpartition(":")
    return bool(colon and host and port.isdecimal() and 0 < int(port) < 65536)


def _batches(drafts: Sequence[bytes]) -> list[list[bytes]]:
    batches: list[list[bytes]] = []
    size = 0
    for draft in drafts:
        if not batches or size + len(draft) > _MAX_BATCH_BYTES or len(batches[-1]) >= _MAX_BATCH_DRAFTS:
            batches.append([])
            size = 0
        batches[-1].append(draft)
        size += len(draft)
    return batches


def _ack(message: pb.Ack) -> Ack:
    from pactsh.errors import error_of

    error = error_of(message.error_kind, message.error, message.hint) if message.error_kind else None
    return Ack(message.number, message.seq, message.hash, error)


async def _send_one(call: Any, request: Any) -> None:
    try:
        await call.write(request)
        await call.done_writing()
    except asyncio.InvalidStateError:
        pass  # the call has ended already; reading says how


async def _replies(call: Any) -> AsyncIterator[Any]:
    while True:
        reply = await call.read()
        if reply is aio.EOF:
            code = await call.code()
            if code is not grpc.StatusCode.OK:
                raise aio.AioRpcError(
                    code, await call.initial_metadata(), await call.trailing_metadata(), await call.details()
                )
            return
        yield reply


def _error(error: aio.AioRpcError, endpoint: str) -> PactError:
    return _call_error(error.code(), error.details(), error.trailing_metadata(), endpoint)


def _call_error(code: grpc.StatusCode, details: str | None, metadata: Any, endpoint: str) -> PactError:
    pairs = [(str(key), value) for key, value in metadata or ()]
    return error_from(code, details or "", pairs, endpoint)
