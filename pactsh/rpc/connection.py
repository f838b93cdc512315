"""One connection to the journal: channel, identity, and calls that end in replies or in `errors.py`.

Everything that depends on how grpc.aio behaves is here and in `status`.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from types import TracebackType
from typing import Any, Self

import grpc
from grpc import aio

from pactsh.errors import AuthError, PactError, UnreachableError, UsageError
from pactsh.rpc.methods import MAX_MESSAGE_BYTES, METHODS
from pactsh.rpc.status import error_from

SERVER_NAME = "pact-journal"
_HOST_PORT = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):(?P<port>[0-9]{1,5})")
EOF: Any = aio.EOF  # type: ignore[attr-defined]  # missing in grpc-stubs 1.53

_OPTIONS: tuple[tuple[str, Any], ...] = (
    ("grpc.ssl_target_name_override", SERVER_NAME),
    ("grpc.default_authority", SERVER_NAME),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.initial_reconnect_backoff_ms", 200),
    # How long one attempt may take, TCP and TLS together (not a pause): a distant or busy journal needs a while.
    ("grpc.min_reconnect_backoff_ms", 5_000),
    ("grpc.max_reconnect_backoff_ms", 5_000),
    ("grpc.enable_http_proxy", 0),
    # One connection for each Journal: two with different identities must never share one.
    ("grpc.use_local_subchannel_pool", 1),
)


class Connection:
    """A connection to the journal as one identity: a bearer token, a client certificate, or none. A token may be a
    function, which is asked before each call for the one that counts then.

    `endpoint` is `host:port` or `unix:/path`, `ca` the PEM of the journal's CA. `timeout_s`
    bounds every call that is not a stream without end.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        ca: bytes,
        token: str | Callable[[], str] | None = None,
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
        if isinstance(token, str):
            check_characters(token)
        self.endpoint = endpoint
        self.timeout_s = timeout_s
        self._credentials = grpc.ssl_channel_credentials(ca, key, cert)
        self._token = token
        self._channel: aio.Channel | None = None

    async def __aenter__(self) -> Self:
        self._channel = aio.secure_channel(self.endpoint, self._credentials, options=_OPTIONS)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._channel is not None:
            channel, self._channel = self._channel, None
            await channel.close(None)

    def open(self, method: str) -> Any:
        """Start a call with requests to be written; its replies are read in any case one by one."""
        return self._start(method, "stream_stream")(metadata=self.metadata())

    def ask(self, method: str, request: Any) -> Any:
        """Start a call with one request. On the wire one reply and a stream of them are the same."""
        return self._start(method, "unary_stream")(request, metadata=self.metadata())

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What says who is asking, now."""
        token = self._token() if callable(self._token) else self._token
        return () if token is None else (("authorization", f"Bearer {check_characters(token)}"),)

    def _start(self, method: str, shape: str) -> Any:
        if self._channel is None:
            raise PactError("this Journal is not open: use `async with`")
        known = METHODS[method]
        return getattr(self._channel, shape)(
            known.path,
            request_serializer=known.request.SerializeToString,
            response_deserializer=known.reply.FromString,
        )

    async def call(self, method: str, request: Any) -> Any:
        """One request, one reply."""
        replies = [reply async for reply in self.stream(method, request)]
        if len(replies) != 1:
            raise PactError(f"journal at {self.endpoint}: {len(replies)} answers to {method}")
        return replies[0]

    async def stream(self, method: str, request: Any, *, endless: bool = False) -> AsyncGenerator[Any, None]:
        """Send one request, yield the replies: all within the timeout, or, `endless`, the first."""
        deadline = time.monotonic() + self.timeout_s
        call = self.ask(method, request)
        try:
            reply = await self.in_time(call.read(), deadline)
            while reply is not EOF:
                yield reply
                reply = await (call.read() if endless else self.in_time(call.read(), deadline))
            code = await call.code()
            if code is not grpc.StatusCode.OK:
                raise ended(code, await call.details(), await call.trailing_metadata(), self.endpoint)
        except aio.AioRpcError as error:
            raise failure(error, self.endpoint) from error
        finally:
            call.cancel()

    async def in_time(self, awaitable: Awaitable[Any], deadline: float | None = None) -> Any:
        """Await within the timeout, or until `deadline` (monotonic); raises `UnreachableError`."""
        limit_s = self.timeout_s if deadline is None else max(0.0, deadline - time.monotonic())
        try:
            # Not wait_for: until Python 3.12 that swallows a cancellation which comes just as the answer does.
            async with asyncio.timeout(limit_s):
                return await awaitable
        except TimeoutError as error:
            raise UnreachableError(
                f"the journal at {self.endpoint} did not answer within {self.timeout_s:g} s",
                hint="is pact-journal running there? check --endpoint, or give more --timeout",
            ) from error


def check_characters(token: str) -> str:
    """Return a token that can go on the wire, else raise `AuthError`."""
    if not (token.isascii() and token.isprintable()):
        raise AuthError("the token holds characters that no token has", hint="is it the right file?")
    return token


def _is_host_port(endpoint: str) -> bool:
    match = _HOST_PORT.fullmatch(endpoint)
    return match is not None and 0 < int(match["port"]) < 65536


def failure(error: aio.AioRpcError, endpoint: str) -> PactError:
    """The error that a failed call stands for."""
    return ended(error.code(), error.details(), error.trailing_metadata(), endpoint)


def ended(code: grpc.StatusCode, details: str | None, metadata: Any, endpoint: str) -> PactError:
    """The error that a status stands for."""
    pairs = [(str(key), value) for key, value in metadata or ()]
    return error_from(code, details or "", pairs, endpoint)
