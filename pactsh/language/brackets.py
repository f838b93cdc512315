"""Bracket expressions of patterns: `[abc]`, `[!a-z]`, `[[:digit:]]`, with bash's meaning in C.UTF-8.

A range holds the characters whose code points lie between its ends. A class is ASCII-exact; beyond ASCII it
follows Python's Unicode tables.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pactsh.language.ast import Glob, Part, Variable
from pactsh.language.errors import Refused, Span

_PUNCTUATION: Final = frozenset(string.punctuation)
_HEX: Final = frozenset(string.hexdigits)

CLASSES: Final[Mapping[str, Callable[[str], bool]]] = {
    "alnum": str.isalnum,
    "alpha": str.isalpha,
    "ascii": str.isascii,
    "blank": lambda char: char in " \t",
    "cntrl": lambda char: char < " " or "\x7f" <= char <= "\x9f" or char in "\u2028\u2029",
    "digit": lambda char: "0" <= char <= "9",
    "graph": lambda char: char.isprintable() and not char.isspace(),
    "lower": str.islower,
    "print": str.isprintable,
    "punct": lambda char: (
        char in _PUNCTUATION if char.isascii() else char.isprintable() and not char.isalnum() and not char.isspace()
    ),
    "space": lambda char: char in " \t\n\v\f\r" or (not char.isascii() and char.isspace() and char != "\xa0"),
    "upper": str.isupper,
    "word": lambda char: char.isalnum() or char == "_",
    "xdigit": lambda char: char in _HEX,
}


@dataclass(frozen=True, slots=True)
class Bracket:
    """One bracket expression; `matches` takes a single character."""

    negated: bool
    members: frozenset[str]
    ranges: tuple[tuple[str, str], ...]
    classes: tuple[Callable[[str], bool], ...]

    def matches(self, char: str) -> bool:
        """Say whether the expression stands for `char`."""
        found = (
            char in self.members
            or any(low <= char <= high for low, high in self.ranges)
            or any(test(char) for test in self.classes)
        )
        return found != self.negated


def parse_bracket(chars: Sequence[str], active: Sequence[bool], start: int) -> tuple[Bracket, int] | None:
    """Read the expression whose `[` is at `start`; None if it never closes and so is a plain character.

    `active[i]` is false where the character was quoted. Returns the expression and the index after its `]`.
    """
    size = len(chars)
    index = start + 1
    negated = index < size and active[index] and chars[index] in "!^"
    index += negated
    first = index
    members: list[str] = []
    ranges: list[tuple[str, str]] = []
    classes: list[Callable[[str], bool]] = []
    while index < size:
        char = chars[index]
        if char == "]" and active[index] and index > first:
            return Bracket(negated, frozenset(members), tuple(ranges), tuple(classes)), index + 1
        if char == "[" and active[index] and (found := _class_at(chars, active, index)):
            classes.append(found[0])
            index = found[1]
        elif _is_range(chars, active, index):
            ranges.append((char, chars[index + 2]))
            index += 3
        else:
            members.append(char)
            index += 1
    return None


def _is_range(chars: Sequence[str], active: Sequence[bool], index: int) -> bool:
    if index + 2 >= len(chars) or chars[index + 1] != "-" or not active[index + 1]:
        return False
    return not (chars[index + 2] == "]" and active[index + 2])


def _class_at(chars: Sequence[str], active: Sequence[bool], index: int) -> tuple[Callable[[str], bool], int] | None:
    """The class such as `[:digit:]` that starts at `index`, and the index after it."""
    if "".join(chars[index + 1 : index + 2]) != ":":
        return None
    end = index + 2
    while end < len(chars) and chars[end] != ":":
        end += 1
    name = "".join(chars[index + 2 : end])
    if name not in CLASSES or "".join(chars[end : end + 2]) != ":]" or not all(active[index : end + 2]):
        return None
    return CLASSES[name], end + 2


def find_ambiguous(chars: Sequence[str], active: Sequence[bool]) -> int | None:
    """Return where a `[` stands inside a bracket expression without starting a class such as `[:digit:]`, or as the end
    of a range; or an unquoted backslash.

    Collating symbols, equivalence classes and half-quoted class names mean something to bash that nobody
    types at a prompt. Words with one are refused; for all others there is only one reading.
    """
    inner: int | None = None
    first = 0  # index of the first member of the expression that is open, 0 when none is
    index = 0
    while index < len(chars):
        char = chars[index]
        step = 1
        if char == "/":
            first, inner = 0, None
        elif active[index] and char == "[" and not first:
            negated = index + 1 < len(chars) and active[index + 1] and chars[index + 1] in "!^"
            step += negated
            first, inner = index + step, None
        elif active[index] and char == "[":
            found = _class_at(chars, active, index)
            ends_range = index - 2 >= first and chars[index - 1] == "-" and active[index - 1]
            if found is not None and not ends_range:
                step = found[1] - index
            elif inner is None:
                inner = index
        elif active[index] and char == "\\" and first:  # of a variable's value: bash reads what follows in its own way
            inner = index if inner is None else inner
        elif active[index] and char == "]" and first and index > first:
            if inner is not None:
                return inner
            first = 0
        index += step
    return None


def check_brackets(parts: Sequence[Part]) -> None:
    """Raise `Refused` for a word that `find_ambiguous` objects to; its variables count as plain characters."""
    if sum(isinstance(part, Glob) and part.value == "[" for part in parts) < 2:
        return
    chars: list[str] = []
    active: list[bool] = []
    spans: list[Span] = []
    for part in parts:
        value = "$" if isinstance(part, Variable) else part.value
        chars.extend(value)
        active.extend([isinstance(part, Glob) or not part.quoted] * len(value))
        spans.extend([part.span] * len(value))
    where = find_ambiguous(chars, active)
    if where is not None:
        raise Refused("bracket", spans[where])
