"""Recordings of terminals as asciicast v2: what a file says, to bytes and back. Pure.

The format: https://docs.asciinema.org/manual/asciicast/v2/. A line is a JSON value: first a header, then events
`[seconds, code, data]`. Of the codes `o` (output), `r` (a new size), `i` (input) and `m` (a marker) are known; a player
passes over others. A header may hold more than the format names: `pact` says which session it was.
"""

from __future__ import annotations

import codecs
import math
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from pactsh.errors import UsageError

OUTPUT, INPUT, RESIZE, MARKER = "o", "i", "r", "m"
MEDIA_TYPE = "application/x-asciicast"
_SHOWN = 60


class Origin(msgspec.Struct, frozen=True, omit_defaults=True):
    """Which session a recording is of, where, and whose; `peer` is where they came from."""

    session: str
    node: str = ""
    principal: str = ""
    kind: str = ""
    source: str = ""
    peer: str = ""


class Header(msgspec.Struct, frozen=True, omit_defaults=True):
    """The first line. `timestamp` is when it began (Unix time, whole seconds)."""

    version: int
    width: int
    height: int
    timestamp: int = 0
    title: str = ""
    env: dict[str, str] = {}
    pact: Origin | None = None


class Event(msgspec.Struct, frozen=True):
    """Something that happened `time` seconds after the beginning."""

    time: float
    code: str
    data: str

    @property
    def size(self) -> tuple[int, int] | None:
        """Columns and rows of a resize; None for other events, and for what is no size."""
        columns, x, rows = self.data.partition("x")
        if self.code != RESIZE or not x or not (columns + rows).isascii() or not (columns.isdigit() and rows.isdigit()):
            return None
        return int(columns[:6]), int(rows[:6])


class Encoder:
    """Makes the lines of one recording. Times never go back; a character cut in two waits for its other half.

    >>> encoder = Encoder(Header(2, 80, 24))
    >>> encoder.header()
    b'{"version":2,"width":80,"height":24}\\n'
    >>> encoder.output(0.5, b"caf\\xc3"), encoder.output(1, b"\\xa9\\xff")
    (b'[0.5,"o","caf"]\\n', b'[1.0,"o","\\xc3\\xa9\\xef\\xbf\\xbd"]\\n')
    """

    def __init__(self, header: Header) -> None:
        self._header, self._last = header, 0.0
        self._text = codecs.getincrementaldecoder("utf-8")("replace")

    def header(self) -> bytes:
        """The first line; the format asks for version, width and height whatever they are."""
        return msgspec.json.encode(self._header) + b"\n"

    def output(self, time_s: float, data: bytes) -> bytes:
        """What was shown; bytes that are no UTF-8 become U+FFFD. Empty while there is no whole character."""
        return self._event(time_s, OUTPUT, self._text.decode(data))

    def resize(self, time_s: float, columns: int, rows: int) -> bytes:
        """The terminal has another size from now on."""
        return self._event(time_s, RESIZE, f"{columns}x{rows}")

    def marker(self, time_s: float, text: str) -> bytes:
        """A note, which players list and don't show."""
        return self._event(time_s, MARKER, text)

    def finish(self, time_s: float) -> bytes:
        """What is left of a character whose other half never came."""
        return self._event(time_s, OUTPUT, self._text.decode(b"", True))

    def _event(self, time_s: float, code: str, text: str) -> bytes:
        if not text:
            return b""
        self._last = max(self._last, round(float(time_s), 6))
        return msgspec.json.encode((self._last, code, text)) + b"\n"


def parse_header(line: bytes, source: str) -> Header:
    """The header in the first line of `source`; raises `UsageError` for anything else."""
    try:
        raw: Any = msgspec.json.decode(line)
    except (ValueError, RecursionError) as error:  # DecodeError, UnicodeDecodeError
        raise UsageError(f"{source}: not an asciicast: its first line is not JSON") from error
    version = raw.get("version") if isinstance(raw, dict) else None
    if version != 2:
        what = "not an asciicast" if version is None else f"asciicast of version {str(version)[:_SHOWN]}"
        raise UsageError(f"{source}: {what}", hint="version 2 is what pact records and plays")
    try:
        header = msgspec.convert(raw | {"pact": None}, Header)
    except ValueError as error:  # ValidationError
        raise UsageError(f"{source}: line 1: {error}") from error
    if header.width <= 0 or header.height <= 0:
        raise UsageError(f"{source}: line 1: a terminal of {header.width} columns and {header.height} rows")
    return msgspec.structs.replace(header, pact=_origin(raw.get("pact")))


def _origin(raw: object) -> Origin | None:
    """Of what other programs write under that name nothing is known."""
    try:
        return msgspec.convert(raw, Origin)
    except ValueError:
        return None


def parse_event(line: bytes, number: int, source: str) -> Event:
    """The event in line `number` of `source`; raises `UsageError` that names the line."""
    try:
        time_s, code, data = msgspec.json.decode(line, type=tuple[float, str, str])
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{source}: line {number}: not an event: {str(error)[:200]}") from error
    if not (math.isfinite(time_s) and time_s >= 0):
        raise UsageError(f"{source}: line {number}: not a time: {time_s}")
    return Event(time_s, code, data)


def parse(lines: Iterable[bytes], source: str) -> tuple[Header, Iterator[Event]]:
    """The header, and the events as they are read; both raise `UsageError`.

    A last line that was cut (its writer was killed) is left out.
    """
    lines = iter(lines)
    header = parse_header(next(lines, b""), source)
    return header, _events(lines, source)


def _events(lines: Iterator[bytes], source: str) -> Iterator[Event]:
    for number, line in enumerate(lines, 2):
        if not line.endswith(b"\n"):
            try:
                yield parse_event(line, number, source)
            except UsageError:
                return
        elif line.strip():
            yield parse_event(line, number, source)
