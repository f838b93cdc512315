"""Where in a TOML text a key stands, so that an error about a value can name its line.

Only what the catalog's files need: top-level keys, `[tables]`, `[[arrays]]`, and inline
tables and arrays at any depth. `tomllib` has accepted the text before, so this scans.
"""

from __future__ import annotations

import bisect
import re

_PATH = re.compile(r"\.([A-Za-z0-9_-]+)|\[(\d+|\.\.\.)\]")
_TOKEN = re.compile(
    r"""(?P<skip>\#[^\n]*|[\s,]+)"""
    r"""|(?P<string>\"{3}(?:\\.|[^\\])*?\"{3}|'{3}.*?'{3}|"(?:\\.|[^"\\\n])*"|'[^'\n]*')"""
    r"""|(?P<open>\[\[|[\[{])|(?P<close>\]\]|[\]}])|(?P<equals>=)|(?P<bare>[^\s\[\]{}=,#"']+)""",
    re.DOTALL,
)
Step = str | int
Token = tuple[str, str, int]


def steps_of(path: str) -> tuple[Step, ...]:
    """A msgspec error path (`$.options[3].help`) as keys and indices."""
    return tuple(key or (int(index) if index.isdigit() else 0) for key, index in _PATH.findall(path))


def place_of(error: Exception) -> tuple[tuple[Step, ...], str]:
    """Where in the data a msgspec error is, and its message without that."""
    message, _, path = str(error).partition(" - at `")
    steps = steps_of(path)
    field = re.search(r"(?:unknown|required) field `([^`]+)`", message)
    return ((*steps, field[1]) if field else steps), message


def line_of(text: str, steps: tuple[Step, ...]) -> int:
    """The 1-based line where `steps` begins; the deepest known part when it isn't there; else 1."""
    positions = _positions(text)
    for depth in range(len(steps), 0, -1):
        if steps[:depth] in positions:
            return positions[steps[:depth]]
    return 1


def _positions(text: str) -> dict[tuple[Step, ...], int]:
    found: dict[tuple[Step, ...], int] = {}
    prefix: tuple[Step, ...] = ()
    counts: dict[tuple[Step, ...], int] = {}
    ends = [m.start() for m in re.finditer("\n", text)]
    tokens = [
        (m.lastgroup or "", m.group(), bisect.bisect_left(ends, m.start()) + 1)
        for m in _TOKEN.finditer(text)
        if m.lastgroup != "skip"
    ]
    index = 0
    while index < len(tokens):
        kind, value, line = tokens[index]
        if kind == "open":  # a table header, as values are consumed below
            end = index + 1
            while end < len(tokens) and tokens[end][0] != "close":
                end += 1
            header = _indexed(_split(tokens[index + 1 : end]), counts)
            if value == "[[":
                counts[header] = counts.get(header, -1) + 1
                prefix = (*header, counts[header])
            else:
                prefix = header
            found.setdefault(prefix, line)
            index = end + 1
        elif kind in ("bare", "string"):
            end = index + 1
            while end < len(tokens) and tokens[end][0] != "equals":
                end += 1
            path = prefix
            for step in _split(tokens[index:end]):
                path = (*path, step)
                found.setdefault(path, line)
            index = _value(tokens, end + 1, path, found)  # after the key and its '='
        else:
            index += 1
    return found


def _split(tokens: list[Token]) -> tuple[str, ...]:
    """A dotted key's parts; quoted ones stay whole."""
    parts: list[str] = []
    for kind, value, _line in tokens:
        parts += [value[1:-1]] if kind == "string" else [part for part in value.split(".") if part]
    return tuple(parts)


def _indexed(header: tuple[str, ...], counts: dict[tuple[Step, ...], int]) -> tuple[Step, ...]:
    """The header's place: below `[[a]]`, `[a.b]` is of the last `a` there is."""
    path: tuple[Step, ...] = ()
    for number, step in enumerate(header):
        path = (*path, step)
        if path in counts and number < len(header) - 1:
            path = (*path, counts[path])
    return path


def _value(tokens: list[Token], index: int, path: tuple[Step, ...], found: dict[tuple[Step, ...], int]) -> int:
    """Note the parts of the value at `index`; the index after it."""
    stack: list[tuple[tuple[Step, ...], str, int]] = []
    here = path
    while index < len(tokens):
        kind, value, line = tokens[index]
        index += 1
        array = bool(stack) and stack[-1][1] == "["
        if kind in ("open", "bare", "string") and array:
            base, mark, count = stack[-1]
            here = (*base, count)
            stack[-1] = (base, mark, count + 1)
            found.setdefault(here, line)
        if kind == "open":
            stack.extend((here, mark, 0) for mark in value)
        elif kind == "close":
            del stack[-len(value) :]
        elif kind in ("bare", "string") and stack and stack[-1][1] == "{" and tokens[index][0] == "equals":
            here = (*stack[-1][0], value.strip("\"'"))
            found.setdefault(here, line)
            index += 1
            continue
        if not stack:
            break
    return index
