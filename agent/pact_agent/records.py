"""The bytes of the spool: what one record and one segment header look like.

A record is a 24-byte head (magic, length, number, CRC-32) and the JSON of an `Unnumbered`, padded to 8
bytes; eight zero bytes stand where the next record will be. The checksum covers length, number and payload
and is seeded with the spool's client id, so nothing of another spool passes for a record of this one.
Numbers only grow, so what an earlier use of a segment left behind never passes for a new record. Pure: no I/O.
"""

from __future__ import annotations

import json
import struct
import zlib
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from pactsh.model.entry import Author, Draft, JsonObject

MAX_ENTRY_BYTES = 1 << 20
HEADER_BYTES = 256
END = b"\0" * 8

_MAGIC = b"PREC"
_HEAD = struct.Struct("<4sIQI4x")
_HEADER_MAGIC = b"PACTSPL1"
_HEADER = struct.Struct("<8sQH")
# What the journal adds to a draft: seq, recorded_at, the hashes, the names of the fields.
_ENTRY_EXTRA_BYTES = 1024


class Unnumbered(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A `Draft` before the spool gave it its client and number; the fields mean the same."""

    time: str
    type: str
    scope: str
    author: Author
    session: str = ""
    message: str = ""
    parent: int | None = None
    delta: JsonObject | None = None
    body: JsonObject | None = None
    ttl: int | None = None
    policy: str = ""

    def numbered(self, client: str, number: int) -> Draft:
        """Make the draft that goes to the journal."""
        return Draft(
            client,
            number,
            self.time,
            self.type,
            self.scope,
            self.author,
            session=self.session,
            message=self.message,
            parent=self.parent,
            delta=self.delta,
            body=self.body,
            ttl=self.ttl,
            policy=self.policy,
        )


_encoder = msgspec.json.Encoder()
_T = TypeVar("_T", bound=msgspec.Struct)


def encode_value(value: msgspec.Struct) -> bytes:
    """JSON of `value`. Lone surrogates (bytes of names or argv that are not UTF-8) become `\\udcXX`."""
    try:
        return _encoder.encode(value)
    except UnicodeEncodeError:  # msgspec writes UTF-8, which has no lone surrogates
        return _ascii(value)


def encode_draft(draft: Unnumbered) -> bytes:
    """JSON of `draft`, as `encode_value` makes it.

    Raises ValueError when the entry made of it would be over the journal's limit of 1 MiB.
    """
    payload = encode_value(draft)
    # Canonical JSON is ASCII: at most three times as long as UTF-8. Only what may be too long is measured.
    if len(payload) * 3 + _ENTRY_EXTRA_BYTES > MAX_ENTRY_BYTES:
        length = len(_ascii(draft)) + _ENTRY_EXTRA_BYTES
        if length > MAX_ENTRY_BYTES:
            raise ValueError(f"an entry of {length} bytes is over the limit of {MAX_ENTRY_BYTES}")
    return payload


def _ascii(value: msgspec.Struct) -> bytes:
    return json.dumps(msgspec.to_builtins(value), separators=(",", ":")).encode("ascii")


def decode_value(payload: bytes, kind: type[_T]) -> _T:
    """The other way round; raises `msgspec.ValidationError` or ValueError when it isn't one."""
    try:
        return msgspec.json.decode(payload, type=kind)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:  # msgspec refuses \udcXX, the standard library does not
        return msgspec.convert(json.loads(payload), kind)


def decode_draft(payload: bytes) -> Unnumbered:
    """A draft; raises like `decode_value`."""
    return decode_value(payload, Unnumbered)


def salt_of(client: str) -> int:
    """The seed of a spool's checksums."""
    return zlib.crc32(client.encode())


def padded(length: int) -> int:
    """`length` rounded up to the alignment of records."""
    return (length + 7) & ~7


def record_bytes(payload_length: int) -> int:
    """Room that a record with such a payload takes, the end mark after it not counted."""
    return _HEAD.size + padded(payload_length)


def pack_record(number: int, payload: bytes, salt: int) -> bytes:
    """One record, a multiple of 8 bytes long."""
    crc = _checksum(number, payload, salt)
    pad = b"\0" * (padded(len(payload)) - len(payload))
    return _HEAD.pack(_MAGIC, len(payload), number, crc) + payload + pad


def _checksum(number: int, payload: bytes | memoryview, salt: int) -> int:
    return zlib.crc32(payload, zlib.crc32(struct.pack("<IQ", len(payload), number), salt))


@dataclass(frozen=True, slots=True)
class Found:
    """A whole record in a buffer: its number, where it starts and where the next one would."""

    number: int
    start: int
    end: int


def record_at(data: memoryview, offset: int, salt: int) -> Found | None:
    """The record at `offset`, or None when what stands there is not a whole one."""
    if offset + _HEAD.size > len(data):
        return None
    magic, length, number, crc = _HEAD.unpack_from(data, offset)
    start = offset + _HEAD.size
    if magic != _MAGIC or length > MAX_ENTRY_BYTES or start + length > len(data):
        return None
    if _checksum(number, data[start : start + length], salt) != crc:
        return None
    return Found(number, offset, start + padded(length))


def payload_of(data: bytes, number: int, salt: int) -> bytes | None:
    """The payload of the record that `data` starts with, or None unless it is whole and has that number."""
    found = record_at(memoryview(data), 0, salt)
    if found is None or found.number != number:
        return None
    length = _HEAD.unpack_from(data)[1]
    return bytes(data[_HEAD.size : _HEAD.size + length])


def next_record(data: bytes, offset: int, above: int, salt: int) -> Found | None:
    """The first whole record at or after `offset` with a number over `above`.

    The number keeps out what an earlier use of the segment left behind.
    """
    view = memoryview(data)
    at = data.find(_MAGIC, offset)
    while at >= 0:
        if at % 8 == 0 and (found := record_at(view, at, salt)) is not None and found.number > above:
            return found
        at = data.find(_MAGIC, at + 1)
    return None


@dataclass(frozen=True, slots=True)
class SegmentHeader:
    """What a segment says of itself: whose spool it is of, and the number of its first record."""

    client: str
    first: int


def pack_header(header: SegmentHeader) -> bytes:
    """The first `HEADER_BYTES` of a segment."""
    client = header.client.encode()
    body = _HEADER.pack(_HEADER_MAGIC, header.first, len(client)) + client
    body = body.ljust(HEADER_BYTES - 4, b"\0")
    return body + struct.pack("<I", zlib.crc32(body))


def parse_header(data: bytes) -> SegmentHeader | None:
    """The header, or None when it isn't whole (a segment never used is all zeros)."""
    body = data[: HEADER_BYTES - 4]
    if len(data) < HEADER_BYTES or not body.startswith(_HEADER_MAGIC):
        return None
    if zlib.crc32(body) != struct.unpack_from("<I", data, HEADER_BYTES - 4)[0]:
        return None
    _, first, length = _HEADER.unpack_from(body)
    return SegmentHeader(body[_HEADER.size : _HEADER.size + length].decode(), first)
