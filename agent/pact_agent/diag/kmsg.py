"""The kernel's log: /dev/kmsg (Documentation/ABI/testing/dev-kmsg), or the call syslog(2) where that can't be read.

The kernel's times are those of its monotonic clock; they are shown as wall time.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec

from pact_agent.diag.found import Found, Search

DEVICE = "/dev/kmsg"
_RECORD_BYTES = 16 << 10  # the kernel's longest record is shorter
_READ_ALL, _BUFFER_SIZE = 3, 10  # syslog(2)
_MOST_BUFFER = 64 << 20
_CHECKED = 256  # records between two looks at the time

_LEVELS = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")
_FACILITIES = (
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
)  # fmt: skip
_ESCAPE = re.compile(rb"\\x([0-9a-f]{2})")
_LINE = re.compile(rb"<(\d{1,4})>(?:\[ *(\d{1,12})\.(\d{6})\] ?)?(.*)")


class Record(msgspec.Struct, frozen=True):
    """`priority` is facility and level as in syslog(3); `at` in seconds of the monotonic clock, None where the kernel
    notes no times."""

    priority: int
    at: float | None
    text: bytes


def search_kernel(search: Search, device: str = DEVICE) -> Found:
    """The newest lines of the kernel's log."""
    try:
        records = joined(records_of(device))
        return _searched(records, search)
    except OSError as error:
        reason = f"{device}: {error.strerror}"
    try:
        return _searched(called_records(), search)
    except OSError as error:
        return search.found("kernel", f"{reason}; syslog(2): {error.strerror}")


def _searched(records: Iterator[Record], search: Search) -> Found:
    ahead = round(time.time() - time.monotonic(), 3)  # that far it is the same each time
    for number, record in enumerate(records):
        if number % _CHECKED == 0 and search.is_late():
            break
        if search.since is not None and record.at is not None and record.at + ahead < search.since:
            continue
        head = head_of(record, ahead)
        for line in record.text.split(b"\n"):
            search.newer(head + line)
    return search.found("kernel")


def head_of(record: Record, ahead: float) -> bytes:
    """What stands before a message: its time (`ahead` is how far the wall clock is ahead of the monotonic one) and
    its priority."""
    facility, level = divmod(record.priority, 8)
    name = _FACILITIES[facility] if facility < len(_FACILITIES) else f"local{facility - 16}"
    when = ""
    if record.at is not None:
        moment = datetime.fromtimestamp(record.at + ahead, UTC)
        when = f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z "
    return f"{when}{name}.{_LEVELS[level]}: ".encode()


def records_of(device: str) -> Iterator[tuple[bytes, Record]]:
    """The records with their flags, oldest first, up to the newest one now. Raises `OSError`."""
    fd = os.open(device, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        newest = time.monotonic()  # whoever writes all the time would never let this end
        while True:
            try:
                data = os.read(fd, _RECORD_BYTES)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno == errno.EPIPE:  # overwritten before it was read: the next read is of the oldest left
                    continue
                raise
            if not data:
                return
            parsed = parse_record(data)
            if parsed is not None:
                yield parsed
                if parsed[1].at is not None and parsed[1].at > newest:
                    return
    finally:
        os.close(fd)


def parse_record(data: bytes) -> tuple[bytes, Record] | None:
    r"""A record's flags and what it says, without its dictionary; None for what is none.

    >>> parse_record(b"6,339,5140900,-,caller=T1;NET: \\xc3\\xa4\n SUBSYSTEM=net\n")
    (b'-', Record(priority=6, at=5.1409, text=b'NET: \xc3\xa4'))
    """
    head, semicolon, message = data.partition(b";")
    fields = head.split(b",")
    if not semicolon or len(fields) < 3 or not (fields[0].isdigit() and fields[2].isdigit()):
        return None
    text = message.partition(b"\n")[0]
    text = _ESCAPE.sub(lambda match: bytes((int(match[1], 16),)), text)
    flags = fields[3] if len(fields) > 3 else b"-"
    return flags, Record(int(fields[0]), int(fields[2]) / 1e6, text)


def joined(parts: Iterator[tuple[bytes, Record]]) -> Iterator[Record]:
    """The records, with the pieces of a line (flags `c`, then `+`) in one."""
    begun: Record | None = None
    for flags, record in parts:
        if begun is not None:
            if flags == b"+" and record.priority == begun.priority:
                begun = msgspec.structs.replace(begun, text=begun.text + record.text)
                continue
            yield begun
            begun = None
        if flags == b"c":
            begun = record
        else:
            yield record
    if begun is not None:
        yield begun


def called_records() -> Iterator[Record]:
    """The same by the call. Raises `OSError`."""
    libc = ctypes.CDLL(None, use_errno=True)
    size = libc.klogctl(_BUFFER_SIZE, None, 0)
    if size < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    buffer = ctypes.create_string_buffer(max(1, min(size, _MOST_BUFFER)))
    length = libc.klogctl(_READ_ALL, buffer, len(buffer))
    if length < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return parse_lines(buffer.raw[:length])


def parse_lines(data: bytes) -> Iterator[Record]:
    """What syslog(2) gives: lines with a priority and mostly a time.

    >>> list(parse_lines(b"<6>[    1.500000] up\\n<12>by hand\\n"))
    [Record(priority=6, at=1.5, text=b'up'), Record(priority=12, at=None, text=b'by hand')]
    """
    for line in data.split(b"\n"):
        if found := _LINE.fullmatch(line):
            at = None if found[2] is None else int(found[2]) + int(found[3]) / 1e6
            yield Record(int(found[1]), at, found[4])
