"""Tokens for the highlighter: what each stretch of a line is, on finished and unfinished lines alike.

It runs the same lexer as `parse`. Where that objects, the stretch is marked and lexing goes on behind it;
what only `parse` objects to (a keyword, a file after `>`) is marked afterwards.
"""

from __future__ import annotations

from typing import Literal

from pactsh.language.ast import Glob, Text, Variable
from pactsh.language.characters import MAX_LINE_BYTES
from pactsh.language.errors import LineError, Malformed
from pactsh.language.lexer import Lexer, Token
from pactsh.language.parser import parse

Kind = Literal["command", "argument", "string", "operator", "redirect", "variable", "glob", "comment", "error"]
Stretch = tuple[int, int, Kind]


def tokens(text: str) -> list[Stretch]:
    """Return the stretches of `text` in order, without overlaps, blanks left out. Never raises.

    >>> tokens("ls *.log | head")
    [(0, 2, 'command'), (3, 4, 'glob'), (4, 8, 'argument'), (9, 10, 'operator'), (11, 15, 'command')]
    """
    if len(text) > MAX_LINE_BYTES:
        return [(0, len(text), "error")]
    stretches = _lexed(text)
    try:
        parse(text)
    except LineError as error:
        if not (isinstance(error, Malformed) and error.incomplete):
            return _marked(stretches, error.span)
    return stretches


def _lexed(text: str) -> list[Stretch]:
    lexer = Lexer(text)
    out: list[Stretch] = []
    command_next, target_next = True, False
    while True:
        try:
            token = lexer.next()
        except LineError as error:
            out.extend(_of_error(text, out[-1][1] if out else 0, error))
            lexer = Lexer(text, error.span[1])
            command_next = target_next = False
            continue
        if token is None:
            return out
        if token.word is not None:
            out.extend(_of_word(token, "redirect" if target_next else "command" if command_next else "argument"))
            command_next = command_next and target_next
            target_next = False
        elif token.kind == "operator":
            out.append((*token.span, "operator"))
            command_next, target_next = True, False
        else:
            out.append((*token.span, "redirect" if token.kind == "redirect" else "comment"))
            target_next = True


def _of_error(text: str, start: int, error: LineError) -> list[Stretch]:
    """What was read since `start` and has no stretch yet, and then the error itself."""
    first, last = error.span
    while start < first and text[start] in " \t":
        start += 1
    before: list[Stretch] = [(start, first, "argument")] if start < first else []
    if error.code != "unbalanced-quote":
        return [*before, (first, last, "error")]
    rest: list[Stretch] = [(first + 1, last, "string")] if first + 1 < last else []
    return [*before, (first, first + 1, "error"), *rest]  # still being typed: only the quote stands out


def _of_word(token: Token, kind: Kind) -> list[Stretch]:
    assert token.word is not None
    out: list[Stretch] = []
    position = token.span[0]
    for part in token.word.parts:
        start, end = part.span
        if isinstance(part, Variable):
            found: Kind = "variable"
        elif isinstance(part, Glob):
            found = "glob"
        else:
            found = "string" if part.quoted and _in_quotes(part) else kind
        if position < start:
            out.append((position, start, "string"))
        out.append((start, end, found))
        position = end
    return out


def _in_quotes(part: Text) -> bool:
    """Whether quotes protect the text, rather than a single backslash."""
    return part.span[1] - part.span[0] != 2 or part.value == ""


def _marked(stretches: list[Stretch], span: tuple[int, int]) -> list[Stretch]:
    """The stretches with `span` cut out of them and marked as an error."""
    start, end = span
    out: list[Stretch] = []
    for first, last, kind in stretches:
        if last <= start or first >= end:
            out.append((first, last, kind))
            continue
        if first < start:
            out.append((first, start, kind))
        if last > end:
            out.append((end, last, kind))
    out.append((start, end, "error"))
    return sorted(stretch for stretch in out if stretch[0] < stretch[1])
