"""The hash chain: canonical JSON, sealing, and parsing back. Pure.

An entry's `hash` is SHA-256 over the canonical JSON of all its other fields, `prev_hash`
among them, so each entry seals all before it. `audit` holds the walk that checks a chain.
"""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from json.encoder import encode_basestring_ascii as _quote

import msgspec

from pactsh.errors import UsageError
from pactsh.model.entry import GENESIS_HASH, Author, Draft, Entry, JsonObject

MAX_ENTRY_BYTES = 1 << 20
MAX_DEPTH = 64

_encoder = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


class Record(msgspec.Struct, frozen=True, gc=False):
    """An entry as it is kept and sent: `text` is the canonical JSON that `hash` was made from."""

    seq: int
    hash: str
    text: str

    def entry(self) -> Entry:
        """The entry itself; raises `UsageError` when `text` is not one."""
        return parse_entry(self.text, self.hash)


class Tip(msgspec.Struct, frozen=True):
    """The last entry's number and hash; of an empty chain 0 and `GENESIS_HASH`."""

    seq: int = 0
    hash: str = GENESIS_HASH


def canonical_json(value: JsonObject) -> str:
    """Sorted keys, no spaces, ASCII; raises ValueError for NaN, infinity and what JSON can't hold.

    >>> canonical_json({"b": [1, None], "a": "\\udcff"})
    '{"a":"\\\\udcff","b":[1,null]}'
    """
    return _encoder.encode(value)


def hash_text(text: str) -> str:
    """SHA-256 of canonical JSON, in hex."""
    return hashlib.sha256(text.encode("ascii")).hexdigest()


@lru_cache(maxsize=1024)
def _author_json(author: Author) -> str:
    return canonical_json({"kind": author.kind, "principal": author.principal, "roles": list(author.roles)})


def _optional(value: JsonObject | None) -> str:
    return "null" if value is None else _encoder.encode(value)


def _number(value: int | None) -> str:
    return "null" if value is None else str(value)


def entry_text(draft: Draft, seq: int, prev_hash: str, recorded_at: str) -> str:
    """The canonical JSON of the entry that `draft` becomes.

    Composed field by field, in sorted order, because this runs once for every append:
    it costs a third of a generic encoding. A property test holds it to `canonical_json`.
    """
    return (
        f'{{"author":{_author_json(draft.author)},"body":{_optional(draft.body)},"client":{_quote(draft.client)},'
        f'"delta":{_optional(draft.delta)},"message":{_quote(draft.message)},"number":{draft.number},'
        f'"parent":{_number(draft.parent)},"policy":{_quote(draft.policy)},"prev_hash":"{prev_hash}",'
        f'"recorded_at":"{recorded_at}","scope":{_quote(draft.scope)},"seq":{seq},'
        f'"session":{_quote(draft.session)},"time":{_quote(draft.time)},"ttl":{_number(draft.ttl)},'
        f'"type":{_quote(draft.type)}}}'
    )


def is_deep(value: object) -> bool:
    """Whether lists and objects are nested deeper than an entry may have them.

    >>> is_deep({"a": [1, {"b": 2}]}), is_deep([[[[]]]] * 1000)
    (False, False)
    """
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            item
            for found in level
            if isinstance(found, dict | list)
            for item in (found.values() if isinstance(found, dict) else found)
            if isinstance(item, dict | list)
        ]
        if not level:
            return False
    return True


def seal(draft: Draft, seq: int, prev_hash: str, recorded_at: str) -> Record:
    """Number and hash `draft`; raises `UsageError` when it exceeds 1 MiB, is nested too deep or isn't JSON."""
    try:
        text = entry_text(draft, seq, prev_hash, recorded_at)
    except (ValueError, TypeError, RecursionError) as error:
        raise UsageError(f"entry of {draft.client} number {draft.number} is not JSON: {error}") from error
    # What is kept is read again by everybody, each with a stack of its own depth.
    if text.count("[") + text.count("{") > MAX_DEPTH and (is_deep(draft.body) or is_deep(draft.delta)):
        raise UsageError(f"entry of {draft.client} number {draft.number} is nested deeper than {MAX_DEPTH}")
    if len(text) > MAX_ENTRY_BYTES:
        raise UsageError(
            f"entry of {draft.client} number {draft.number} has {len(text)} bytes",
            hint=f"an entry holds at most {MAX_ENTRY_BYTES} bytes",
        )
    return Record(seq, hash_text(text), text)


def parse_entry(text: str, entry_hash: str) -> Entry:
    """The entry of a canonical JSON `text`; raises `UsageError` when it isn't one.

    The standard library's decoder, because msgspec refuses lone surrogates, which stand
    for bytes of argv that are not UTF-8.
    """
    try:
        raw = json.loads(text)
        if not isinstance(raw, dict) or "hash" in raw:
            raise UsageError("not an entry: expected an object without hash")
        raw["hash"] = entry_hash
        return msgspec.convert(raw, Entry)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"not an entry: {error}") from error


def draft_of(entry: Entry) -> Draft:
    """The draft an entry was made from."""
    return Draft(
        client=entry.client,
        number=entry.number,
        time=entry.time,
        type=entry.type,
        scope=entry.scope,
        author=entry.author,
        session=entry.session,
        message=entry.message,
        parent=entry.parent,
        delta=entry.delta,
        body=entry.body,
        ttl=entry.ttl,
        policy=entry.policy,
    )


def reseal(entry: Entry) -> Record:
    """Seal an entry's own fields again: equals the record it came from when nothing was changed."""
    text = entry_text(draft_of(entry), entry.seq, entry.prev_hash, entry.recorded_at)
    return Record(entry.seq, hash_text(text), text)


def same_content(draft: Draft, record: Record) -> bool:
    """Whether `record` holds just what `draft` says: a retry, rather than a second use of its number."""
    entry = record.entry()
    return entry_text(draft, entry.seq, entry.prev_hash, entry.recorded_at) == record.text
