"""The time at the beginning of a line of a log, in the forms that daemons write. Pure.

RFC 3339 and its relatives (`2026-11-27 10:33:00,123`, in brackets or not), that of RFC 3164 (`Nov 27 10:33:00`, which
has no year), and seconds since the epoch. What names no time zone is in the node's own.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

_ISO = re.compile(rb"\[?(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?\s?(Z|[+-]\d\d:?\d\d)?(?![\d:])")
_BSD = re.compile(rb"\[?(?:<\d{1,3}>)?(?:[A-Z][a-z]{2} )?([A-Z][a-z]{2}) +(\d{1,2}) (\d\d):(\d\d):(\d\d)(?: (\d{4}))?")
_EPOCH = re.compile(rb"\[?(\d{10})(\.\d{1,9})?(?=[\]\s:])")
_MONTHS = {
    name: number
    for number, name in enumerate(
        (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"), 1
    )
}
_AHEAD = timedelta(days=1)


def time_of(line: bytes, now: float) -> float | None:
    """When a line says that it was written (seconds since the epoch); None when it doesn't.

    A time without a year is the last such time that is not over a day after `now`.

    >>> time_of(b"1970-01-01T00:01:40.5+00:00 host daemon: text", 0.0)
    100.5
    """
    try:
        if found := _ISO.match(line):
            year, month, day, hour, minute, second = (int(part) for part in found.groups()[:6])
            micro = int(found[7][:6].ljust(6, b"0")) if found[7] else 0
            return datetime(year, month, day, hour, minute, min(second, 59), micro, _zone(found[8])).timestamp()
        if found := _BSD.match(line):
            return _without_zone(found, now)
        if found := _EPOCH.match(line):
            return float(found[1] + (found[2] or b""))
    except (ValueError, OverflowError):
        pass
    return None


def _zone(text: bytes | None) -> timezone | None:
    if text is None:
        return None
    if text == b"Z":
        return UTC
    minutes = int(text[1:3]) * 60 + int(text[-2:])
    return timezone(timedelta(minutes=-minutes if text.startswith(b"-") else minutes))


def _without_zone(found: re.Match[bytes], now: float) -> float | None:
    month = _MONTHS.get(found[1])
    if month is None:
        return None
    day, hour, minute, second = (int(part) for part in found.groups()[1:5])
    if found[6]:
        return datetime(int(found[6]), month, day, hour, minute, min(second, 59)).timestamp()
    latest = datetime.fromtimestamp(now) + _AHEAD
    for year in range(latest.year, latest.year - 9, -1):  # a 29th of February is at most eight years ago
        try:
            moment = datetime(year, month, day, hour, minute, min(second, 59))
        except ValueError:
            continue
        if moment <= latest:
            return moment.timestamp()
    return None
