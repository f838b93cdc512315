"""JSON objects that callers send as bytes: operations, requesters, input documents, a node's details. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NoReturn

from pactsh.errors import UsageError
from pactsh.journal.chain import MAX_DEPTH, is_deep

if TYPE_CHECKING:
    from pactsh.model.entry import JsonObject


def parse_object(data: bytes, name: str, limit_bytes: int) -> JsonObject:
    """The JSON object in `data`; raises `UsageError` that calls it `name`.

    >>> parse_object(b'{"a": 1}', "operation", 100)
    {'a': 1}
    """
    if not data:
        raise UsageError(f"{name}: missing")
    if len(data) > limit_bytes:
        raise UsageError(f"{name}: more than {limit_bytes} bytes")
    try:
        value = json.loads(data, parse_constant=no_constant)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{name}: not JSON") from error
    if not isinstance(value, dict):
        raise UsageError(f"{name}: expected an object")
    if is_deep(value):
        raise UsageError(f"{name}: nested deeper than {MAX_DEPTH}")
    return value


def no_constant(name: str) -> NoReturn:
    """For decoders: NaN and infinity, which Python's takes for numbers, have no place in an entry."""
    raise ValueError(f"{name} is not JSON")
