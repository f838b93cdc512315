"""How paths and values are written, for all that reads, checks or writes them. Pure."""

from __future__ import annotations

import re
from typing import NamedTuple


class Problem(NamedTuple):
    """What is wrong with a key and its value; `field` is the part of the value that it is about, if it is one."""

    text: str
    field: str = ""


def words_of(value: str) -> dict[str, str]:
    """The words of a value, by name.

    >>> words_of("file mode=0644")
    {'file': '', 'mode': '0644'}
    """
    return {name: text for name, _, text in (word.partition("=") for word in value.split())}


def words_problem(value: str) -> Problem | None:
    """What is wrong with a value as words, whatever they say: one blank between them, none twice."""
    words = value.split()
    if value != " ".join(words):
        return Problem("expected words with one blank between them")
    names = [word.partition("=")[0] for word in words]
    twice = next((name for number, name in enumerate(names) if name in names[:number]), None)
    return None if twice is None else Problem(f"{shortened(twice)!r} is there twice", twice)


def place_problem(path: str) -> Problem | None:
    """What is wrong with a path, judged by its text.

    >>> place_problem("/etc/../root").text
    'expected a path from the root, without `.`, `..`, `//` or `/` at the end'
    """
    if not path.startswith("/") or {".", "..", ""} & set(path.split("/")[1:]):
        return Problem("expected a path from the root, without `.`, `..`, `//` or `/` at the end")
    return None


def escaped(text: str) -> str:
    r"""A word without blanks, as the kernel writes it in its list of mounts.

    >>> escaped("a b")
    'a\\040b'
    """
    return "".join(f"\\{ord(c):03o}" if c in " \t\n\\" else c for c in text)


def plain(text: str) -> str:
    r"""The other way round.

    >>> plain("a\\040b")
    'a b'
    """
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)


def shortened(text: str) -> str:
    """Of a long text the beginning, for a message."""
    return text if len(text) <= 80 else f"{text[:80]}…"
