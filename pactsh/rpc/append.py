"""The stream of appends that an agent's uplink keeps open."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import grpc
from grpc import aio

from pactsh.errors import UnreachableError, UsageError, error_of
from pactsh.model.entry import Draft, Head
from pactsh.rpc import pact_pb2 as pb
from pactsh.rpc.connection import EOF, ended, failure
from pactsh.rpc.methods import MAX_MESSAGE_BYTES
from pactsh.rpc.wire import Ack, draft_bytes, head_of

MAX_BATCH_BYTES = 2 << 20
MAX_BATCH_DRAFTS = 512
_ACCEPT_S = 1.0  # a proxy may hold back what lets us in until the first answer


class AppendStream:
    """A stream of appends. Send batches, receive as many acknowledgement batches, in order."""

    def __init__(self, call: Any, endpoint: str) -> None:
        self._call = call
        self._endpoint = endpoint
        self._entry: asyncio.Future[Any] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._call.cancel()
        if self._entry is not None:
            self._entry.cancel()

    async def send(self, drafts: Sequence[Draft]) -> None:
        """Send one batch (at most 512 drafts and 2 MiB); waits while the journal is busy."""
        await self.send_raw([draft_bytes(draft) for draft in drafts])

    async def send_raw(self, drafts: Sequence[bytes]) -> None:
        """As `send`, drafts already in JSON."""
        size = sum(map(len, drafts))
        if size > MAX_MESSAGE_BYTES - (64 << 10):  # room for the frame around them
            raise UsageError(f"a batch of {size} bytes is too large", hint=f"at most {MAX_BATCH_BYTES}")
        await self._accepted()
        try:
            await self._call.write(pb.AppendRequest(drafts=drafts))
        except (aio.AioRpcError, asyncio.InvalidStateError):
            # The call has ended. Its status says why; a failed write only says that it failed.
            await self._raise_status()

    async def _accepted(self) -> None:
        """Wait until the journal has let us in, which it says at once. Writing before that may lose
        its refusal: grpc.aio puts the failed write in place of the status that is on its way."""
        if self._entry is None:
            self._entry = asyncio.ensure_future(self._call.initial_metadata())
            await asyncio.wait({self._entry}, timeout=_ACCEPT_S)
        if self._call.done():
            await self._raise_status()

    async def receive(self) -> tuple[list[Ack], Head | None]:
        """The acknowledgements of the next batch and the newest head; raises when the stream ended."""
        try:
            reply = await self._call.read()
            if reply is EOF:
                await self._raise_status()
        except aio.AioRpcError as error:
            raise failure(error, self._endpoint) from error
        head = head_of(reply.head) if reply.HasField("head") else None
        return [_ack(message) for message in reply.acks], head

    async def _raise_status(self) -> None:
        code = await self._call.code()
        if code is grpc.StatusCode.OK:
            raise UnreachableError(f"the journal at {self._endpoint} ended the stream")
        raise ended(code, await self._call.details(), await self._call.trailing_metadata(), self._endpoint)


def batches(drafts: Sequence[bytes]) -> list[list[bytes]]:
    """Drafts in batches that the stream takes, order kept."""
    batches: list[list[bytes]] = []
    size = 0
    for draft in drafts:
        if not batches or size + len(draft) > MAX_BATCH_BYTES or len(batches[-1]) >= MAX_BATCH_DRAFTS:
            batches.append([])
            size = 0
        batches[-1].append(draft)
        size += len(draft)
    return batches


def _ack(message: pb.Ack) -> Ack:
    error = error_of(message.error_kind, message.error, message.hint) if message.error_kind else None
    return Ack(message.number, message.seq, message.hash, error)
