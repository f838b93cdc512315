"""Words to arguments: variables, splitting, patterns and quote removal, in bash's order.

Values are computed once, and what comes out is the very argv that is judged and run. Nothing is read but
through the mapping and the `Listing` that are passed in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pactsh.language.ast import Glob, Redirect, Stage, Text, Variable, Word
from pactsh.language.brackets import find_ambiguous
from pactsh.language.errors import Refused, Span
from pactsh.language.globbing import Listing, TooManyMatchesError, compile_components, find

_BLANKS = " \t\n"


@dataclass(frozen=True, slots=True)
class Expanded:
    """One argument; `value` may hold surrogate escapes (bytes of a file name that are not UTF-8).

    `from_glob` is true when the value, or its first character, was not typed but found by a pattern or taken
    from a variable: such a value that starts with `-` must not become an option.
    """

    value: str
    span: Span
    from_glob: bool = False


@dataclass(slots=True)
class _Field:
    """An argument before pathname expansion: its characters, and which of them could be wildcards."""

    chars: list[str]
    active: list[bool]
    from_variable: bool  # its first character is a variable's

    def extend(self, value: str, *, active: bool, from_variable: bool) -> None:
        """Append the characters of `value`."""
        if value and not self.chars:
            self.from_variable = from_variable
        self.chars.extend(value)
        self.active.extend([active] * len(value))


def expand_stage(stage: Stage, variables: Mapping[str, str], listing: Listing) -> tuple[Expanded, ...]:
    """Return the stage's argv. `variables` has every name of `VARIABLES`. Raises `Refused` for too many matches."""
    return tuple(item for word in stage.words for item in expand_word(word, variables, listing))


def expand_redirect(redirect: Redirect, variables: Mapping[str, str], listing: Listing) -> str:
    """Return the path an "in" redirection reads. Raises `Refused` unless it is exactly one word."""
    if redirect.target is None:
        raise ValueError("only a redirection of kind 'in' has a target to expand")
    values = expand_word(redirect.target, variables, listing)
    if len(values) != 1:
        raise Refused("redirect-ambiguous", redirect.target.span)
    return values[0].value


def expand_word(word: Word, variables: Mapping[str, str], listing: Listing) -> list[Expanded]:
    """Return the arguments one word stands for: none, one or many."""
    literal = word.literal
    if literal is not None:
        return [Expanded(literal, word.span)]
    out: list[Expanded] = []
    for field in _split(word, variables):
        value = "".join(field.chars)
        names: list[str] = []
        if any(active and char in "*?[" for char, active in zip(field.chars, field.active, strict=True)):
            if find_ambiguous(field.chars, field.active) is not None:  # a variable's value brought it in
                raise Refused("bracket", word.span)
            components = compile_components(field.chars, field.active)
            if any(component.pieces is not None for component in components):
                try:
                    names = find(components, listing)
                except TooManyMatchesError:
                    raise Refused("too-many-matches", word.span) from None
        if names:
            out.extend(Expanded(name, word.span, from_glob=True) for name in names)
        else:
            out.append(Expanded(value, word.span, from_glob=field.from_variable))
    return out


def _split(word: Word, variables: Mapping[str, str]) -> list[_Field]:
    """Put values in place of variables and split the unquoted ones at blanks."""
    fields: list[_Field] = []
    current: _Field | None = None
    for part in word.parts:
        value = variables[part.name] if isinstance(part, Variable) else part.value
        unquoted = isinstance(part, Glob) or not part.quoted
        if not unquoted or isinstance(part, Text | Glob):
            if current is None:
                current = _Field([], [], False)
                fields.append(current)
            current.extend(value, active=unquoted, from_variable=isinstance(part, Variable))
            continue
        for char in value:
            if char in _BLANKS:
                current = None
                continue
            if current is None:
                current = _Field([], [], False)
                fields.append(current)
            current.extend(char, active=True, from_variable=True)
    return fields
