"""Completes paths for the prompt: names of a directory, as the session's user would reach them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

from pactsh.language import quote

_MOST_NAMES = 2000


@dataclass(frozen=True, slots=True)
class Place:
    """One completion: the path, its text for the line, how it is shown, and whether it is a directory."""

    path: str
    text: str
    shown: str
    is_directory: bool


def complete_path(prefix: str, cwd: str, opening_quote: str = "") -> Iterator[Place]:
    """Yield what `prefix` (unquoted) can be completed to, relative to `cwd`, in order of name.

    Names that need it come quoted, in the quotes already typed where there are some. Names that no
    line may hold are left out. An unreadable directory yields nothing.
    """
    directory, slash, start = prefix.rpartition("/")
    typed = directory + slash
    for name, is_directory in _names(os.path.join(cwd, typed), start):
        whole = typed + name + ("/" if is_directory else "")
        text = _quoted(whole, opening_quote, is_open=is_directory)
        if text is not None:
            yield Place(whole, text, name + ("/" if is_directory else ""), is_directory)


def _names(directory: str, start: str) -> list[tuple[str, bool]]:
    found: list[tuple[str, bool]] = []
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                if not entry.name.startswith(start) or (entry.name.startswith(".") and not start):
                    continue
                if not entry.name.isprintable():
                    continue
                found.append((entry.name, _is_directory(entry)))
                if len(found) >= _MOST_NAMES:
                    break
    except OSError:
        return []
    return sorted(found)


def _is_directory(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _quoted(text: str, opening_quote: str, *, is_open: bool) -> str | None:
    """Quote a completion; after a directory the quotes stay open, for more is to come."""
    if opening_quote == '"':
        if any(character in text for character in '"\\$`'):
            return None
        return f'"{text}' if is_open else f'"{text}"'
    if opening_quote == "'":
        if "'" in text:
            return None
        return f"'{text}" if is_open else f"'{text}'"
    quoted = quote(text)
    return quoted[:-1] if is_open and quoted.endswith("'") else quoted
