"""What somebody wants to see of the logs: the parameters of the call, checked. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import get_args

import msgspec

from pactsh.errors import UsageError
from pactsh.model.logs import LINES, MOST_LINES, Source, checked_grep

SOURCES: tuple[str, ...] = get_args(Source)
_UNIT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9:_.@\\-]{0,254}")
_KNOWN = frozenset({"lines", "source", "service", "grep", "since"})


class Wanted(msgspec.Struct, frozen=True):
    """At most so many lines of each source, with `grep` (RE2) in them, not before `since` (seconds since the epoch).
    `service`: of this service alone."""

    lines: int = LINES
    source: Source = "all"
    service: str = ""
    grep: str = ""
    since: float | None = None


def wanted_of(params: dict[str, object]) -> Wanted:
    """The parameters, where None is as good as none; raises `UsageError` for odd ones.

    >>> wanted_of({"lines": 5, "grep": "oom", "since": None}).lines
    5
    """
    given = {name: value for name, value in params.items() if value is not None}
    for name in given:
        if name not in _KNOWN:
            raise UsageError(f"diag: unknown parameter {name[:40]!r}")
    lines, source = given.get("lines", LINES), given.get("source", "all")
    if type(lines) is not int or not 1 <= lines <= MOST_LINES:
        raise UsageError(f"diag: lines: expected a number from 1 to {MOST_LINES}")
    if source not in SOURCES:
        raise UsageError(f"diag: source: expected one of {', '.join(SOURCES)}")
    service, grep = _text(given, "service"), _text(given, "grep")
    if service and not _UNIT.fullmatch(service):
        raise UsageError(f"diag: service: no name of a service: {service[:80]!r}")
    if service and source == "system":
        raise UsageError("diag: source: system is without the services: leave one of the two out")
    checked_grep(grep)
    return Wanted(lines, source, service, grep, _moment(_text(given, "since")))  # type: ignore[arg-type]  # in SOURCES


def _text(given: dict[str, object], name: str) -> str:
    value = given.get(name, "")
    if not isinstance(value, str):
        raise UsageError(f"diag: {name}: expected text")
    return value


def _moment(text: str) -> float | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            raise ValueError
        return moment.astimezone(UTC).timestamp()
    except (ValueError, OverflowError):
        raise UsageError(f"diag: since: expected a time as in RFC 3339, got {text[:40]!r}") from None
