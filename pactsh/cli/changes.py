"""How changes of a node's configuration are shown: one line each, and how long ago something was. Pure."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

_SHOWN = 120
_UNITS = ((86_400, "day"), (3600, "h"), (60, "min"), (1, "s"))


class Change(msgspec.Struct, frozen=True):
    """A key of a dimension and its values; None: not there."""

    dimension: str
    key: str
    before: str | None
    after: str | None


def shown(value: str | None) -> str:
    """A value on one line, cut where it would drown the rest.

    >>> shown(None), shown("a\\tb")
    ('(none)', 'a b')
    """
    if value is None:
        return "(none)"
    text = " ".join(value.split())
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def ago(time: str, now: datetime | None = None) -> str:
    """How long ago an entry's time is, in the largest unit.

    >>> ago("2026-01-31T12:00:00.000000Z", datetime(2026, 1, 31, 12, 3, tzinfo=UTC))
    '3 min ago'
    >>> ago("2026-01-28T12:00:00.000000Z", datetime(2026, 1, 31, 12, 3, tzinfo=UTC))
    '3 days ago'
    """
    try:
        then = datetime.fromisoformat(time)
    except ValueError:
        return time
    return f"{lasts(((now or datetime.now(UTC)) - then).total_seconds())} ago"


def lasts(seconds: float) -> str:
    """A length of time in its largest unit.

    >>> lasts(200), lasts(172_800)
    ('3 min', '2 days')
    """
    whole = max(0, int(seconds))
    size, unit = next(((size, unit) for size, unit in _UNITS if whole >= size), (1, "s"))
    count = whole // size
    return f"{count} {unit}{'s' if unit == 'day' and count != 1 else ''}"


def clock(seconds: float) -> str:
    """Minutes and seconds.

    >>> clock(300.9)
    '5:00'
    """
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def counted(number: int, what: str = "change") -> str:
    """How many.

    >>> counted(1), counted(1000, "job")
    ('1 change', '1,000 jobs')
    """
    return f"{number:,} {what}{'' if number == 1 else 's'}"
