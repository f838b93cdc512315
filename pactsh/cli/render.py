"""Where output is written: the one module of `pact` that prints.

A command's `render(result, out)` speaks to `Out`. Text that comes from entries, nodes or commands goes
through `escape` (or `Out.line`, which always does), so that nothing a stranger wrote into the journal can
move the cursor, retitle the window or forge a second line.
"""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import BinaryIO, TextIO

_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "blue": "34", "cyan": "36"}


def escape(text: str) -> str:
    r"""Make control, format and surrogate characters visible as `\xNN`, `\uNNNN`.

    >>> escape("a\x1b[2J\nb\udcff")
    'a\\x1b[2J\\nb\\xff'
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if c.isprintable() else _visible(c) for c in text)


def _visible(char: str) -> str:
    point = ord(char)
    if 0xDC80 <= point <= 0xDCFF:  # a byte that is not UTF-8, kept by surrogateescape
        return f"\\x{point - 0xDC00:02x}"
    return char.encode("unicode_escape").decode("ascii")


class Out:
    """Standard output of a command: lines, cells and JSON; colour when `colour` is true."""

    def __init__(self, stream: TextIO, *, colour: bool) -> None:
        self._stream = stream
        self.colour = colour
        self._pages = 0

    def style(self, text: str, *names: str) -> str:
        """Escape `text` and wrap it in the named styles; plain when colour is off."""
        safe = escape(text)
        if not self.colour or not names:
            return safe
        return f"\x1b[{';'.join(_CODES[n] for n in names)}m{safe}\x1b[0m"

    def line(self, text: str = "") -> None:
        """Print one line; anything that could act on the terminal is escaped."""
        self._stream.write(escape(text) + "\n")

    def styled(self, *pieces: str, sep: str = "  ") -> None:
        """Print one line of pieces that `style` made."""
        self._stream.write(sep.join(pieces) + "\n")

    def table(self, header: Sequence[str], rows: Iterable[Sequence[str]], styles: Sequence[Sequence[str]] = ()) -> None:
        """Print rows in columns as wide as their widest cell; `styles` are for the cells of each row, "" for none."""
        cells = [tuple(header), *(tuple(escape(c) for c in row) for row in rows)]
        widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
        for number, row in enumerate(cells):
            names = ["bold"] * len(row) if number == 0 else styles[number - 1] if styles else []
            gaps = [" " * (width - len(cell)) for cell, width in zip(row, widths, strict=True)]
            if len(set(names)) < 2:  # one for the whole row
                text = "  ".join(cell + gap for cell, gap in zip(row, gaps, strict=True)).rstrip()
                self._stream.write(self.style(text, *"".join(names[:1]).split()) + "\n")
            else:
                styled = [self.style(cell, *name.split()) for cell, name in zip(row, names, strict=True)]
                text = "  ".join(cell + gap for cell, gap in zip(styled, gaps, strict=True)).rstrip()
                self._stream.write(text + "\n")

    def behind(self, prefix: str, draw: Callable[[Out], None]) -> None:
        """Print what `draw` prints, each line behind `prefix`."""
        page = io.StringIO()
        draw(Out(page, colour=self.colour))
        self._stream.writelines(f"{escape(prefix)}{line}\n" for line in page.getvalue().splitlines())

    def screen(self, draw: Callable[[Out, int | None], None]) -> None:
        """Show a page in place of the one before, as much as fits; on what is no terminal below it, and whole.

        `draw` is given what to print to, and how many lines there is room for (None: for all).
        """
        size = screen_size() if self._stream is sys.stdout else None
        page = io.StringIO()
        draw(Out(page, colour=self.colour), None if size is None else size.lines - 1)
        text = page.getvalue()
        if size is None:
            self._stream.write(text + "\n")
            return
        lines = text.splitlines()[: size.lines - 1]
        # The first page scrolls what was there out of sight. Long lines are cut by the terminal, and all is one write.
        start = "" if self._pages else "\n" * (size.lines - 1)
        self._pages += 1
        body = "".join(f"{line}\x1b[K\n" for line in lines)
        self._stream.write(f"{start}\x1b[?7l\x1b[H{body}\x1b[J\x1b[?7h")

    def raw(self, data: bytes) -> None:
        """Pass bytes of a remote command on as they are."""
        self.flush()
        buffer: BinaryIO = self._stream.buffer
        buffer.write(data)
        buffer.flush()

    def json(self, value: object) -> None:
        """Print one JSON document on one line."""
        self._stream.write(json.dumps(value, ensure_ascii=True, separators=(", ", ": ")) + "\n")

    def flush(self) -> None:
        """Hand everything to the system; a closed pipe shows here."""
        self._stream.flush()


def screen_size() -> os.terminal_size | None:
    """The size of the terminal that standard output is; None where it is none, or one that can only append."""
    if os.environ.get("TERM", "dumb") == "dumb":
        return None
    try:
        size = os.get_terminal_size(sys.stdout.fileno())
    except (OSError, ValueError):  # no terminal; no descriptor
        return None
    return size if size.lines > 1 else None


def print_error(message: str, hint: str, more: Sequence[str] = ()) -> None:
    """Write `pact: <what>: <why>`, what else there is, and the hint to standard error, one line each."""
    for text in (message, *more):
        sys.stderr.write(f"pact: {escape(text)}\n")
    if hint:
        sys.stderr.write(f"hint: {escape(hint)}\n")


def print_error_json(code: int, kind: str, message: str, hint: str, more: Sequence[str] = ()) -> None:
    """Write the same as one JSON object to standard error; `more` only where there is some."""
    error: dict[str, object] = {"code": code, "kind": kind, "message": message, "hint": hint}
    error |= {"more": list(more)} if more else {}
    sys.stderr.write(json.dumps({"error": error}) + "\n")


def print_notice(text: str) -> None:
    """Write one line to standard error, escaped."""
    sys.stderr.write(escape(text) + "\n")
    sys.stderr.flush()
