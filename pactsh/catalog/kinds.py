"""Kinds of values: what a word in a certain place may look like, and how to complete it.

Each kind is a row here: a pattern for the whole word, the words of a refusal, and the
kind of completion the shell offers. `judge` also applies what the catalog narrows.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from pactsh.catalog.schema import Form, Keyword, Operand, Option
from pactsh.catalog.secrets import LONGEST_PATH, is_hidden, is_secret, is_unwalkable


@dataclass(frozen=True, slots=True)
class Kind:
    """A row: `pattern` for the whole word ("" takes all), `noun` for messages and help.

    `opens` is "contents" when the program reads what the path names, "names" when it only
    looks at it, else "". `completes` is path, dir, unit, interface, pid, sysctl, user,
    group, host, enum or none.
    """

    noun: str
    pattern: str = ""
    completes: str = "none"
    opens: str = ""


_NUMBER = r"[+-]?(\d+(\.\d*)?|\.\d+)"
_HOST = r"[A-Za-z0-9_]([A-Za-z0-9_.:-]*[A-Za-z0-9_.])?|::[0-9A-Fa-f:.]*|[0-9A-Fa-f:]+::?(%[A-Za-z0-9_.-]+)?"
_UNIT = r"[A-Za-z0-9_.:@\\][A-Za-z0-9_.:@\\-]*"
KINDS: dict[str, Kind] = {
    "string": Kind("TEXT"),
    "regex": Kind("PATTERN", r"(?s).{0,4096}"),
    "format": Kind("FORMAT", r"(?s).{0,4096}"),
    "word": Kind("WORD", r"[A-Za-z0-9_.:@%+,/=][A-Za-z0-9_.:@%+,/=-]*"),
    "file": Kind("FILE", r"(?s).+", "path", "contents"),
    "path": Kind("PATH", r"(?s).+", "path", "names"),
    "dir": Kind("DIR", r"(?s).+", "dir", "names"),
    "device": Kind("DEVICE", r"(/dev/)?[A-Za-z0-9][A-Za-z0-9_!.:/-]*", "path"),
    "int": Kind("N", r"[+-]?(0x[0-9A-Fa-f]+|\d+)"),
    "number": Kind("N", _NUMBER),
    "size": Kind("SIZE", r"[+-]?\d+([kKMGTPEZYbc]i?B?)?"),
    "duration": Kind("TIME", r"(\d+(\.\d*)?|\.\d+)[smhd]?"),
    "time": Kind("TIME", r"[A-Za-z0-9 :+.,@/-]{1,100}"),
    "host": Kind("HOST", _HOST, "host"),
    "address": Kind("ADDRESS", r"[0-9A-Za-z:.][0-9A-Za-z:./%_-]*", "none"),
    "interface": Kind("INTERFACE", r"[A-Za-z0-9_][A-Za-z0-9_.:@-]{0,31}", "interface"),
    "unit": Kind("UNIT", _UNIT, "unit"),
    "units": Kind("PATTERN", r"[A-Za-z0-9_.:@\\*?\[][A-Za-z0-9_.:@\\*?\[\]!-]*", "unit"),
    "sysctl": Kind("NAME", r"[A-Za-z0-9_]+([./][A-Za-z0-9_:@*?-]+)*", "sysctl"),
    "pid": Kind("PID", r"\d{1,10}", "pid"),
    "pids": Kind("PIDS", r"\d{1,10}([, ]\d{1,10})*", "pid"),
    "user": Kind("USER", r"[A-Za-z0-9_][A-Za-z0-9_.@\\-]{0,255}", "user"),
    "users": Kind("USERS", r"[A-Za-z0-9_][A-Za-z0-9_.@,\\-]{0,255}", "user"),
    "group": Kind("GROUP", r"[A-Za-z0-9_][A-Za-z0-9_.@,\\-]{0,255}", "group"),
    "enum": Kind("WORD", "", "enum"),
    "list": Kind("LIST", "", "enum"),
}
LONGEST = LONGEST_PATH  # more than any other value needs
_LONGEST_MATCHED = LONGEST // 4
Places = Option | Operand | Keyword | Form


@dataclass(frozen=True, slots=True)
class Objection:
    """Why a value is refused: a stable code, the reason, and what to do instead."""

    code: str
    reason: str
    hint: str = ""


_MOST_DIGITS = 30


@lru_cache(maxsize=1024)
def regex(pattern: str) -> re.Pattern[str]:
    """The compiled pattern, for ASCII digits and letters alone; callers use `fullmatch`."""
    return re.compile(pattern, re.ASCII)


def matches(pattern: str, word: str) -> bool:
    """Whether the whole word has this form. Matching may take the square of the length or worse, and the agent has
    one thread for everybody: a word that is too long has none."""
    return len(word) <= _LONGEST_MATCHED and bool(regex(pattern).fullmatch(word))


def judge(kind: str, place: Places, word: str, cwd: str, *, walked: bool = False) -> Objection | None:
    """Why `word` may not stand at `place`, or None when it may.

    `walked`: the command goes down directory trees, so /proc and the like are refused too.
    """
    row = KINDS[kind]
    if (row.pattern and len(word) > LONGEST) or ((place.match or place.refuse) and len(word) > _LONGEST_MATCHED):
        return Objection("bad-value", f"{shown(word)} is longer than any {row.noun} there is", place.hint)
    if row.pattern and not regex(row.pattern).fullmatch(word):
        return Objection("bad-value", f"{shown(word)} is not a {row.noun} this command may be given", place.hint)
    if place.choices and not _chosen(kind, place.choices, word):
        return Objection(
            "bad-value", f"{shown(word)} is not one of the allowed values", f"use {_listed(place.choices)}"
        )
    items = _items(place.each, word)
    if place.match and not all(regex(place.match).fullmatch(item) for item in items):
        return Objection("bad-value", place.why or f"{shown(word)} is not allowed here", place.hint)
    if place.refuse and any(regex(place.refuse).fullmatch(item) for item in items):
        return Objection("denied-value", place.why or f"{shown(word)} is not allowed here", place.hint)
    if kind in ("int", "number") and not _within(place.low, place.high, word):
        return Objection("bad-value", f"{shown(word)} is out of range", _range(place.low, place.high))
    return _openable(row.opens, word, cwd, walked)


def _items(each: str, word: str) -> Sequence[str]:
    """The parts of a list, or the word itself. A list with blanks may have several of its characters in a row."""
    if not each:
        return (word,)
    return regex(f"[{re.escape(each)}]" + ("+" if " " in each else "")).split(word)


def secret_objection(path: str, cwd: str) -> Objection | None:
    """Why a path that is opened for reading (an operand, `<file`) is refused, or None."""
    if len(path) > LONGEST:
        return Objection("bad-value", f"{shown(path)} is longer than any path there is")
    return _openable("contents", path, cwd, walked=False)


def shown(word: str) -> str:
    """The word for a message: quoted, shortened, with control characters escaped."""
    text = word if len(word) <= 40 else word[:37] + "..."
    return "'" + "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text) + "'"


def _openable(opens: str, word: str, cwd: str, walked: bool) -> Objection | None:
    if not opens:
        return None
    if "\0" in word:
        return Objection("bad-value", "a path holds no NUL")
    if (is_secret if opens == "contents" else is_hidden)(word, cwd):
        return Objection("secret-path", f"{shown(word)} is off limits: it holds or leads to secrets or devices")
    if walked and is_unwalkable(word, cwd):
        return Objection(
            "secret-path", f"reading everything below {shown(word)} reaches devices and processes", "name a directory"
        )
    return None


def _chosen(kind: str, choices: tuple[str, ...], word: str) -> bool:
    if kind == "list":
        return all(part in choices for part in word.split(","))
    return word in choices


def _listed(choices: tuple[str, ...]) -> str:
    return ", ".join(choices[:12]) + (", ..." if len(choices) > 12 else "")


def _within(low: float | None, high: float | None, word: str) -> bool:
    digits = word.lstrip("+-")
    if len(digits) > _MOST_DIGITS:
        return False
    number = float(int(word, 16)) if digits.startswith("0x") else float(word)
    return (low is None or number >= low) and (high is None or number <= high)


def _range(low: float | None, high: float | None) -> str:
    if low is not None and high is not None:
        return f"give a number from {low:g} to {high:g}"
    if low is not None:
        return f"give at least {low:g}"
    return f"give at most {high:g}" if high is not None else f"give at most {_MOST_DIGITS} digits"
