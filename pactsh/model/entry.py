"""Journal entries: what is appended (a draft) and what is kept (an entry).

An entry's `hash` is SHA-256 (hex) over the canonical JSON of all its other fields, so it
seals every entry before it through `prev_hash` (docs/internals.md, "Entries").
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

if TYPE_CHECKING:
    JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"
    JsonObject: TypeAlias = "dict[str, JsonValue]"
else:  # msgspec resolves annotations at run time and knows no recursive aliases
    JsonObject = dict[str, Any]

GENESIS_HASH = "0" * 64


class Author(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who an entry speaks for. `kind` is human, agent or service."""

    principal: str
    roles: tuple[str, ...] = ()
    kind: str = "human"


class Draft(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """An entry before the journal has numbered and sealed it.

    `client` and `number` identify the append: the journal keeps at most one entry for a
    pair, so a retry returns the entry that is already there. `time` is when it happened,
    RFC 3339 UTC with microseconds (`2026-01-31T12:00:00.000000Z`). `scope` is `global`,
    `vcluster:NAME` or `node:ID`.
    """

    client: str
    number: int
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


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A numbered, sealed entry: a draft's fields with `seq`, `prev_hash` and `hash`.

    `recorded_at` is when the journal sealed it (same format as `time`).
    """

    seq: int
    client: str
    number: int
    time: str
    recorded_at: str
    type: str
    scope: str
    author: Author
    session: str
    message: str
    parent: int | None
    delta: JsonObject | None
    body: JsonObject | None
    ttl: int | None
    policy: str
    prev_hash: str
    hash: str


class Head(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A signed statement of the journal: "my entry `seq` has this `hash`".

    `signature` is Ed25519 (RFC 8032), base64, over `pact-head-v1\\n<seq>\\n<hash>\\n<time>\\n`
    in ASCII; `key_id` is the first 16 hex digits of SHA-256 over the raw public key.
    """

    seq: int
    hash: str
    time: str
    key_id: str
    signature: str
