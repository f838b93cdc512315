"""Patterns against names: compiling, matching and walking directories, as bash does with LC_ALL=C.UTF-8.

A pattern is split at `/` first; a wildcard never matches `/`, nor a leading dot. Matching keeps one star to
come back to, so the work is at most pattern times name. Names that are not UTF-8 are matched byte by byte.
The file system is reached through `Listing` alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, Protocol

from pactsh.language.brackets import Bracket, parse_bracket

MAX_ENTRIES: Final = 1_000_000  # names looked at for one word
MAX_MATCHES: Final = 32_768


class Listing(Protocol):
    """The only way to the file system; relative paths are relative to the session's directory."""

    def entries(self, directory: str) -> Sequence[str]:
        """Names in `directory` without `.` and `..`; none if it can't be read."""
        ...

    def exists(self, path: str) -> bool:
        """Whether there is something at `path`, a dangling symbolic link included."""
        ...

    def is_dir(self, path: str) -> bool:
        """Whether `path` leads to a directory, symbolic links followed."""
        ...


class TooManyMatchesError(Exception):
    """A pattern that looks at more names than `MAX_ENTRIES` or finds more than `MAX_MATCHES`."""


class Wild(Enum):
    """The pieces of a pattern that need no further description."""

    ANY = "?"
    STAR = "*"


Piece = str | Wild | Bracket


@dataclass(frozen=True, slots=True)
class Component:
    """What stands between two slashes: the text without quoting, and the pieces if it has a wildcard."""

    text: str
    pieces: tuple[Piece, ...] | None


def compile_components(chars: Sequence[str], active: Sequence[bool]) -> list[Component]:
    """Split a word at its slashes and read each component; `active` is false where a character was quoted."""
    components = []
    start = 0
    for end in [*(index for index, char in enumerate(chars) if char == "/"), len(chars)]:
        components.append(_component(chars[start:end], active[start:end]))
        start = end + 1
    return components


def _component(chars: Sequence[str], active: Sequence[bool]) -> Component:
    pieces: list[Piece] = []
    text: list[str] = []
    index = 0
    size = len(chars)
    while index < size:
        char = chars[index]
        piece: Piece = char
        end = index + 1
        if active[index]:
            if char == "*":
                piece = Wild.STAR
            elif char == "?":
                piece = Wild.ANY
            elif char == "[" and (found := parse_bracket(chars, active, index)):
                piece, end = found
            elif char == "\\":  # from a variable's value alone; typed ones are gone by now
                piece, end = (chars[end], end + 1) if end < size else ("", end)
        if not (piece is Wild.STAR and pieces and pieces[-1] is Wild.STAR):
            pieces.append(piece)
        text.append(piece if isinstance(piece, str) else "".join(chars[index:end]))
        index = end
    wild = any(not isinstance(piece, str) for piece in pieces)
    return Component("".join(text), tuple(pieces) if wild else None)


def matches(pieces: Sequence[Piece], name: str) -> bool:
    """Whether the pattern stands for the whole of `name`."""
    if name.startswith(".") and pieces[0] != ".":
        return False
    try:
        name.encode()
    except UnicodeEncodeError:
        return _match(_in_bytes(pieces), _bytewise(name))
    return _match(pieces, name)


def _in_bytes(pieces: Sequence[Piece]) -> list[Piece]:
    """The same pattern for a name given as one character a byte."""
    out: list[Piece] = []
    for piece in pieces:
        if isinstance(piece, str):
            out.extend(_bytewise(piece))
        elif isinstance(piece, Bracket):
            out.append(_bracket_in_bytes(piece))
        else:
            out.append(piece)
    return out


def _bracket_in_bytes(bracket: Bracket) -> Bracket:
    """Read a bracket expression byte by byte: of `a-é` that leaves a range up to é's first byte."""

    def ascii_only(test: Callable[[str], bool]) -> Callable[[str], bool]:
        return lambda char: char.isascii() and test(char)

    members = set(_bytewise("".join(bracket.members)))
    ranges: list[tuple[str, str]] = []
    for low, high in ((_bytewise(low), _bytewise(high)) for low, high in bracket.ranges):
        members.update(low[:-1], high[1:])
        ranges.append((low[-1], high[0]))
    return Bracket(
        bracket.negated, frozenset(members), tuple(ranges), tuple(ascii_only(test) for test in bracket.classes)
    )


def _bytewise(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("latin-1")


def _match(pieces: Sequence[Piece], name: str) -> bool:
    at = position = 0
    star, star_position = -1, 0
    while position < len(name):
        piece = pieces[at] if at < len(pieces) else None
        if piece is Wild.STAR:
            star, star_position = at, position
            at += 1
        elif piece is not None and (
            piece is Wild.ANY
            or piece == name[position]
            or (isinstance(piece, Bracket) and piece.matches(name[position]))
        ):
            at += 1
            position += 1
        elif star >= 0:
            star_position += 1
            at, position = star + 1, star_position
        else:
            return False
    while at < len(pieces) and pieces[at] is Wild.STAR:
        at += 1
    return at == len(pieces)


def find(components: Sequence[Component], listing: Listing) -> list[str]:
    """Return the names the pattern stands for, in order of their bytes. Raises `TooManyMatchesError`."""
    first = next(index for index, component in enumerate(components) if component.pieces is not None)
    found = ["".join(component.text + "/" for component in components[:first])]
    looked_at = 0
    for component in components[first:]:
        following: list[str] = []
        for base in found:
            prefix = base if not base or base.endswith("/") else base + "/"
            if component.pieces is not None:
                names = listing.entries(prefix or ".")
                looked_at += len(names)
                following.extend(prefix + name for name in names if matches(component.pieces, name))
            elif component.text == "":
                following.extend([prefix] if listing.is_dir(prefix) else [])
            elif listing.exists(prefix + component.text):
                following.append(prefix + component.text)
            looked_at += 1
            if looked_at > MAX_ENTRIES or len(following) > MAX_MATCHES:
                raise TooManyMatchesError
        found = following
    return sorted(found, key=lambda path: path.encode("utf-8", "surrogateescape"))
