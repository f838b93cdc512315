"""Between the values of `pactsh.model` and the messages of `pact.proto`. Pure."""

from __future__ import annotations

import hashlib
import json

import msgspec

from pactsh.errors import PactError
from pactsh.model.approval import Approval
from pactsh.model.entry import Draft, Entry, Head
from pactsh.model.revocation import Revocation
from pactsh.rpc import pact_pb2 as pb

_encoder = json.JSONEncoder(separators=(",", ":"), ensure_ascii=True, allow_nan=False)


class Ack(msgspec.Struct, frozen=True):
    """What became of one draft: its number and, when it is durable, its entry's seq and hash.

    `error` is set instead when it was refused.
    """

    number: int
    seq: int
    hash: str
    error: PactError | None = None


def draft_bytes(draft: Draft) -> bytes:
    """A draft as it travels. The standard library's encoder: lone surrogates must get through."""
    return _encoder.encode(msgspec.to_builtins(draft)).encode("ascii")


def entry_of(message: pb.Entry) -> Entry:
    """An entry as it came; raises `PactError` when it does not match its own hash."""
    if hashlib.sha256(message.json).hexdigest() != message.hash:
        raise PactError(
            f"entry {message.seq} does not match its hash",
            hint="run pact log --verify: the journal or the connection to it is damaged",
        )
    raw = json.loads(message.json)
    raw["hash"] = message.hash
    return msgspec.convert(raw, Entry)


def head_message(head: Head) -> pb.Head:
    """A head as it travels."""
    return pb.Head(seq=head.seq, hash=head.hash, time=head.time, key_id=head.key_id, signature=head.signature)


def head_of(message: pb.Head) -> Head:
    """A head as it came; its signature is not checked here."""
    return Head(
        seq=message.seq,
        hash=message.hash,
        time=message.time,
        key_id=message.key_id,
        signature=message.signature,
    )


def approval_message(approval: Approval) -> pb.Approval:
    """An approval as it travels."""
    return pb.Approval(json=_encoder.encode(msgspec.to_builtins(approval)).encode("ascii"))


def approval_of(message: pb.Approval) -> Approval:
    """An approval as it came."""
    return msgspec.convert(json.loads(message.json), Approval)


def revocation_message(one: Revocation) -> pb.Revocation:
    """A revocation as it travels: without the reason, which is in the entry alone."""
    return pb.Revocation(kind=one.kind, subject=one.subject, before=one.before, by=one.by, time=one.time, seq=one.seq)


def revocation_of(message: pb.Revocation) -> Revocation:
    """A revocation as it came."""
    return Revocation(message.kind, message.subject, message.before, message.by, message.time, seq=message.seq)
