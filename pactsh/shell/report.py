"""What the user reads when a line did not run: refusals with the span underlined, errors, notices.

Everything that came from elsewhere is shown with control characters made visible, so that no
line, file name or message can send escape sequences to the terminal. Standard library only.
"""

import posix
import unicodedata

from pactsh.shell import jsonlite
from pactsh.shell.wire import Frame

_SHOWN_COLUMNS = 160
_KINDS = {1: "usage", 2: "forbidden", 3: "policy", 4: "conflict", 5: "timeout", 6: "not-whitelisted"}


def visible(text: str) -> str:
    """Replace control and other invisible characters by something that shows them.

    >>> visible("a\\x1b[0m\\tb")
    'a^[[0m^Ib'
    """
    if text.isprintable():
        return text
    return "".join([visible_character(character) for character in text])


def visible_character(character: str) -> str:
    """Return one character as a terminal may safely show it."""
    code = ord(character)
    if code < 0x20 or code == 0x7F:
        return "^" + chr(code ^ 0x40)
    if character.isprintable():
        return character
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def columns_of(text: str) -> int:
    """Count the terminal columns of visible text: wide characters take two, combining ones none.

    >>> columns_of("日本"), columns_of("e\\u0301")
    (4, 1)
    """
    if text.isascii():
        return len(text)
    total = 0
    for character in text:
        if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me", "Cf"):
            continue
        total += 2 if unicodedata.east_asian_width(character) in "WF" else 1
    return total


def underlined(line: str, span: tuple[int, int] | None, *, where: str = "") -> list[str]:
    """Return the line and, below it, carets under the span; a long line is cut around the span.

    >>> underlined("echo $(id)", (5, 10))
    ['echo $(id)', '     ^^^^^']
    """
    if span is None:
        return [where + _cut(visible(line))]
    start = min(max(span[0], 0), len(line))
    end = min(max(span[1], start), len(line))
    before, inside, after = (visible(part) for part in (line[:start], line[start:end], line[end:]))
    if columns_of(before) + columns_of(inside) > _SHOWN_COLUMNS:
        if len(before) > _SHOWN_COLUMNS // 2:
            before = "..." + before[len(before) - _SHOWN_COLUMNS // 2 :]
        inside = _cut(inside)
    shown = where + before
    room = max(_SHOWN_COLUMNS - columns_of(before) - columns_of(inside), 16)
    after = after if len(after) <= room else after[:room] + "..."
    return [shown + inside + after, " " * columns_of(shown) + "^" * max(columns_of(inside), 1)]


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN_COLUMNS else text[:_SHOWN_COLUMNS] + "..."


def refusal_text(line: str, frame: Frame, *, where: str = "") -> str:
    """Render a `refused` frame: the line, its span underlined, the reason and the hint."""
    status = frame.number("status", 6)
    what = "malformed" if status == 1 else "refused"
    reason = visible(frame.text("reason")) or "not whitelisted"
    lines = [*underlined(line, frame.span(), where=where), f"pact: {what}: {reason}"]
    hint = visible(frame.text("hint"))
    if hint:
        lines.append(f"hint: {hint}")
    return "\n".join([*lines, *_as_json(status, _KINDS.get(status, "error"), f"{what}: {reason}", hint)]) + "\n"


def error_text(code: int, kind: str, message: str, hint: str = "") -> str:
    """Render an error as `pact: <what>: <why>`, with its hint."""
    message, hint = visible(message), visible(hint)
    lines = [f"pact: {message}"]
    if hint:
        lines.append(f"hint: {hint}")
    return "\n".join([*lines, *_as_json(code, kind, message, hint)]) + "\n"


def notice_text(frame: Frame) -> str:
    """Render a `notice` frame as one line."""
    level = visible(frame.text("level")) or "notice"
    return f"pact: {level}: {visible(frame.text('text'))}\n"


def _as_json(code: int, kind: str, message: str, hint: str) -> list[str]:
    if posix.environ.get(b"PACT_OUTPUT") != b"json":
        return []
    return [jsonlite.dumps({"error": {"code": code, "kind": kind, "message": message, "hint": hint}})]


def write_error(text: str) -> None:
    """Write to stderr, at once; a closed stderr loses it."""
    data = text.encode("utf-8", "backslashreplace")
    try:
        while data:
            data = data[posix.write(2, data) :]
    except OSError:
        pass
