"""Regular expressions that somebody types: RE2's, whose matching takes no longer than what is looked at is long.

So no pattern can hang who matches (https://github.com/google/re2/wiki/WhyRE2). The library is loaded when the first
pattern comes.
"""

from __future__ import annotations

import re
from collections.abc import Callable

LONGEST = 1000
_MEMORY_BYTES = 2 << 20  # for the compiled form; a pattern that needs more is none
_MOST_TRIES = 64

# What RE2 says, and how it is said here.
_REASONS = {
    "missing )": "this parenthesis is never closed",
    "unexpected )": "this parenthesis closes nothing",
    "missing ]": "this bracket is never closed",
    "no argument for repetition operator": "there is nothing before it to be repeated",
    "bad repetition operator": "a repetition of a repetition",
    "invalid repetition size": "a repetition from 0 to 1000, the smaller number first",
    "invalid escape sequence": "no such escape sequence",
    "invalid character class range": "no such range or class of characters",
    "invalid perl operator": "not in RE2's syntax (neither are look-around and back-references)",
    "invalid named capture group": "not the name of a group",
    "trailing \\": "there is nothing after the backslash",
    "pattern too large - compile failed": "it is too large once its repetitions are written out",
}


class PatternError(ValueError):
    """No pattern: why, and the code points of it that this is about."""

    def __init__(self, reason: str, span: tuple[int, int]) -> None:
        super().__init__(reason)
        self.reason, self.span = reason, span


def search_of(pattern: str) -> Callable[[bytes], bool]:
    """What tells whether a line of UTF-8 has the pattern in it; raises `PatternError`.

    >>> search_of("err(or)?$")(b"an error")
    True
    """
    if len(pattern) > LONGEST:
        raise PatternError(f"longer than {LONGEST} characters", (LONGEST, len(pattern)))
    for position, char in enumerate(pattern):
        if not char.isprintable():  # a line of a log has none either, as it is shown
            raise PatternError("a character that can't be seen: no shown line has one", (position, position + 1))
    import re2

    options = re2.Options()
    options.log_errors = False
    options.never_capture = True
    options.max_mem = _MEMORY_BYTES
    try:
        compiled = re2.compile(pattern.encode(), options)
    except re2.error as error:
        kind, fragment = _said(error)
        span = _span(pattern, kind, fragment, lambda part: _kind_of(part, options))
        raise PatternError(_REASONS.get(kind, kind), span) from None
    return lambda line: compiled.search(line) is not None


def _said(error: Exception) -> tuple[str, str]:
    """What is wrong in RE2's words, and the part of the pattern that it names."""
    said = error.args[0] if error.args else b""
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
    kind, _, fragment = text.partition(": ")
    return kind, fragment


def _kind_of(part: str, options: object) -> str:
    """What is wrong with the beginning of a pattern; "" for nothing."""
    import re2

    try:
        re2.compile(part.encode(), options)
    except re2.error as error:
        return _said(error)[0]
    return ""


def _span(pattern: str, kind: str, fragment: str, kind_of: Callable[[str], str]) -> tuple[int, int]:
    """Where it is: RE2 names the part, but not its place, and the same characters may stand elsewhere, rightly. So it
    is the first of them up to which the pattern has the same fault already."""
    if kind == "missing )":
        return _unclosed(pattern)
    if kind == "missing ]":
        start = len(pattern) - len(fragment)
        return start, start + 1
    if kind == "trailing \\":
        return len(pattern) - 1, len(pattern)
    part = ")" if kind == "unexpected )" else fragment
    places = [match.start() for match in re.finditer(f"(?={re.escape(part)})", pattern)] if part else []
    for start in places[:_MOST_TRIES]:
        if kind_of(pattern[: start + len(part)]) == kind:
            return start, start + len(part)
    return 0, len(pattern)


_TOKEN = re.compile(r"\\Q.*?(?:\\E|\Z)|\\.|\[\^?\]?(?:\[:[^\]]*:\]|\\.|[^\]\\])*\]|[()]", re.DOTALL)


def _unclosed(pattern: str) -> tuple[int, int]:
    """The innermost parenthesis that nothing closes."""
    opened: list[int] = []
    for token in _TOKEN.finditer(pattern):
        if token[0] == "(":
            opened.append(token.start())
        elif token[0] == ")" and opened:
            opened.pop()
    start = opened[-1] if opened else 0
    return start, start + 1
