"""Why a service refuses, in its own words: problem JSON (RFC 7807), Redfish's errors, plain text, a gateway's HTML."""

from __future__ import annotations

import re
from typing import NamedTuple

import msgspec

_LONGEST = 300
_TITLE = re.compile(r"<(?:title|h1)[^>]*>([^<]{1,200})", re.IGNORECASE)


class Complaint(NamedTuple):
    """`is_its_own` is False for what anybody between it and us may have said: not JSON."""

    text: str
    is_its_own: bool


def complaint(content_type: str, content: bytes) -> Complaint:
    """What an answer with an error's status says.

    >>> complaint("application/problem+json", b'{"title": "Not Found", "detail": "no such xname."}')
    Complaint(text='no such xname.', is_its_own=True)
    >>> complaint("text/plain", b"no token found")
    Complaint(text='no token found', is_its_own=False)
    """
    told = _decoded(content)
    if isinstance(told, dict):
        return Complaint(_first(told) or _redfish(told), is_its_own=True)
    text = content[:4096].decode("utf-8", "replace")
    if "html" in content_type or text.lstrip().startswith("<"):
        match = _TITLE.search(text)
        text = match[1] if match else ""
    return Complaint(printable(text), is_its_own=False)


def printable(text: str, longest: int = _LONGEST) -> str:
    """One line of it, not too long."""
    line = " ".join(text.split())
    return line if len(line) <= longest else line[:longest] + "..."


def _decoded(content: bytes) -> object:
    try:
        return msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _first(told: dict[str, object]) -> str:
    for key in ("detail", "title", "message"):
        value = told.get(key)
        if isinstance(value, str) and value.strip():
            return printable(value)
    return ""


def _redfish(told: dict[str, object]) -> str:
    """`error` holds messages; those in @Message.ExtendedInfo say more than the one above them."""
    error = told.get("error")
    if not isinstance(error, dict):
        return printable(error) if isinstance(error, str) else ""
    more = error.get("@Message.ExtendedInfo")
    listed = more if isinstance(more, list) else [more]
    said = [one["Message"] for one in listed if isinstance(one, dict) and isinstance(one.get("Message"), str)]
    return printable(" ".join(said)) or _first(error)
