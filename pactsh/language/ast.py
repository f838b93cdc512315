"""The meaning of a line: frozen values, every one with its span in code points of the text.

    Line -> Item -> Pipeline -> Stage -> Word -> Text | Variable | Glob

Nothing is expanded here. `Stage.words[0]` is the command; a redirection keeps its place among the others
because their order matters (`2>&1 >/dev/null` is not `>/dev/null 2>&1`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pactsh.language.errors import Span

RedirectKind = Literal["in", "err-to-out", "out-null", "err-null", "all-null"]
Op = Literal["", ";", "&&", "||"]


@dataclass(frozen=True, slots=True)
class Text:
    """Literal text after quote removal; `quoted` when quotes or a backslash protected it."""

    value: str
    quoted: bool
    span: Span


@dataclass(frozen=True, slots=True)
class Variable:
    """`$name`; an unquoted value is split at blanks and taken as a pattern, as bash does."""

    name: str
    quoted: bool
    span: Span


@dataclass(frozen=True, slots=True)
class Glob:
    """One unquoted `*`, `?` or `[`; what a `[` means is settled when the word is expanded."""

    value: str
    span: Span


Part = Text | Variable | Glob


@dataclass(frozen=True, slots=True)
class Word:
    """One word as typed; it can expand to none, one or many arguments."""

    parts: tuple[Part, ...]
    span: Span

    @property
    def literal(self) -> str | None:
        """The word after quote removal, or None if a variable or a wildcard is in it."""
        if len(self.parts) == 1 and isinstance(self.parts[0], Text):
            return self.parts[0].value
        values = [part.value for part in self.parts if isinstance(part, Text)]
        return "".join(values) if len(values) == len(self.parts) else None


@dataclass(frozen=True, slots=True)
class Redirect:
    """A redirection; `target` is a word for kind "in" and None for the others."""

    kind: RedirectKind
    target: Word | None
    span: Span


@dataclass(frozen=True, slots=True)
class Stage:
    """One command of a pipeline; `words` is never empty and `words[0]` has no expansion in it."""

    words: tuple[Word, ...]
    redirects: tuple[Redirect, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Stages joined by `|`, at least one."""

    stages: tuple[Stage, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Item:
    """A pipeline and the operator before it, "" for the first."""

    op: Op
    pipeline: Pipeline


@dataclass(frozen=True, slots=True)
class Line:
    """A whole line; no items when it is blank or a comment."""

    text: str
    items: tuple[Item, ...]
