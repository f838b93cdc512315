"""What is not drift: patterns of keys, given by a vCluster's policy or for one node."""

from __future__ import annotations

import re
from collections.abc import Iterable

from pactsh.errors import UsageError
from pactsh.model.delta import DIMENSIONS

MOST_PATTERNS, _LONGEST = 1000, 1024


def checked_pattern(text: str) -> str:
    """The pattern, if it is one; raises `UsageError` that says what is wrong with it.

    >>> checked_pattern("/scratch/**")
    '/scratch/**'
    """
    if problem := pattern_fault(text):
        raise UsageError(
            f"blacklist: {text[:80]!r}: {problem}",
            hint="/PLACE/**: the place and all below it; /PLACE/*: what is directly in it; else one key: DIMENSION:KEY",
        )
    return text


def pattern_fault(text: str) -> str:
    """What is wrong with a pattern; "" for a good one.

    >>> pattern_fault("/etc/*.bak")
    '`*` stands for a whole name, at the end of a place: /PLACE/* or /PLACE/**'
    """
    place = text.removesuffix("/**").removesuffix("/*")
    if not text or len(text) > _LONGEST or not text.isprintable() or text != text.strip():
        return f"expected up to {_LONGEST} characters, none of them unprintable"
    path = place.partition(":")[2] if place.partition(":")[0] in DIMENSIONS else place
    before = place.partition(":")[0]
    if path == place and re.fullmatch(r"[a-z]+", before) and place.partition(":")[2].startswith("/"):
        return f"{before} is no dimension: one of {', '.join(DIMENSIONS)}"
    if text.startswith("-"):
        return "no key begins so: are options meant?"
    if "*" in place or not path:
        return "`*` stands for a whole name, at the end of a place: /PLACE/* or /PLACE/**"
    if path.startswith("/") and ({".", "..", ""} & set(path.split("/")[1:])):
        return "a place is written in full: no `.`, `..`, `//` or `/` at the end"
    return ""


def covers(pattern: str, dimension: str, key: str) -> bool:
    """Whether a pattern covers a key: `PREFIX/**` the place and all below it, `PREFIX/*` what is directly in it,
    anything else itself alone; with `DIMENSION:` before it, in that dimension only.

    >>> [covers("/tmp/**", "files", key) for key in ("/tmp", "/tmp/a/b", "/tmpfoo")]
    [True, True, False]
    >>> [covers("files:/etc/*", "files", key) for key in ("/etc", "/etc/a", "/etc/a/b")]
    [False, True, False]
    >>> covers("kernel:vm.swappiness", "kernel", "vm.swappiness"), covers("mounts:/a", "files", "/a")
    (True, False)
    """
    return _covers(pattern, key) or (
        pattern.startswith(f"{dimension}:") and _covers(pattern.removeprefix(f"{dimension}:"), key)
    )


def _covers(pattern: str, key: str) -> bool:
    if pattern.endswith("/**"):
        place = pattern.removesuffix("/**")
        return key == place or key.startswith(place + "/")
    if pattern.endswith("/*"):
        place, _, name = key.rpartition("/")
        return bool(name) and place == pattern.removesuffix("/*")
    return key == pattern


def is_covered(patterns: Iterable[str], dimension: str, key: str) -> bool:
    """Whether one of them does."""
    return any(covers(pattern, dimension, key) for pattern in patterns)
