"""Tokens to a `Line`: where words and operators may stand, and what a command word may be.

One pass over the lexer's tokens, no recursion (nothing in the language nests) and no backtracking. The first
thing wrong, from the left, is the one that is told.
"""

from __future__ import annotations

from typing import Final

from pactsh.language.ast import Glob, Item, Line, Op, Pipeline, Redirect, RedirectKind, Stage, Variable, Word
from pactsh.language.characters import check_characters
from pactsh.language.errors import LineError, Malformed, Refused, Span
from pactsh.language.lexer import NAME, NAME_START, Lexer, Token

MAX_WORDS: Final = 4096
MAX_STAGES: Final = 64

KEYWORDS: Final = frozenset(
    (
        "!",
        "case",
        "coproc",
        "do",
        "done",
        "elif",
        "else",
        "esac",
        "fi",
        "for",
        "function",
        "if",
        "in",
        "select",
        "then",
        "until",
        "while",
        "time",
    )
)
_REFUSED_REDIRECTS: Final = {
    "<<<": "here-string",
    "<<-": "here-document",
    "<<": "here-document",
    "<>": "redirect-read-write",
    "<&": "redirect-descriptor",
    ">>": "redirect-append",
    "&>>": "redirect-append",
    ">|": "redirect-write",
}
_OPS: Final[dict[str, Op]] = {";": ";", "&&": "&&", "||": "||"}


def parse(text: str) -> Line:
    """Read one line, typed or given. Raises `Malformed` (status 1) or `Refused` (status 6), nothing else.

    >>> [item.op for item in parse("dmesg | tail -5 && echo ok").items]
    ['', '&&']
    """
    check_characters(text)
    return _Parser(text).line()


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.lexer = Lexer(text)
        self.items: list[Item] = []
        self.op: Op = ""
        self.op_span: Span | None = None  # the operator that waits for a command
        self.stages: list[Stage] = []
        self.words: list[Word] = []
        self.redirects: list[Redirect] = []
        self.word_count = 0
        self.stage_count = 0

    def line(self) -> Line:
        while (token := self.lexer.next()) is not None:
            if token.kind == "word":
                self._add_word(token)
            elif token.kind == "redirect":
                self.redirects.append(self._redirect(token))
            elif token.kind == "operator":
                self._operator(token)
        self._end()
        return Line(self.text, tuple(self.items))

    def _add_word(self, token: Token) -> None:
        assert token.word is not None
        self._count_word(token)
        if not self.words:
            check_command_word(token)
        self.words.append(token.word)

    def _count_word(self, token: Token) -> None:
        self.word_count += 1
        if self.word_count > MAX_WORDS:
            raise Refused("too-many-words", token.span)

    def _operator(self, token: Token) -> None:
        if not self.words and not self.redirects:
            raise Malformed("empty-command", token.span)
        if token.value not in ("|", *_OPS):  # ;; and its kin, of `case` alone
            raise Malformed("empty-command", token.span)
        self._end_stage()
        self.op_span = token.span
        if token.value != "|":
            self._end_pipeline()
            self.op = _OPS[token.value]

    def _end(self) -> None:
        if self.words or self.redirects:
            self._end_stage()
            self._end_pipeline()
        elif self.op_span is not None and (self.stages or self.op != ";"):
            raise Malformed("empty-command", self.op_span, incomplete=True)

    def _end_stage(self) -> None:
        if not self.words:
            raise Refused("redirect-without-command", self.redirects[0].span)
        self.stage_count += 1
        spans = [word.span for word in self.words] + [redirect.span for redirect in self.redirects]
        span = (min(start for start, _ in spans), max(end for _, end in spans))
        if self.stage_count > MAX_STAGES:
            raise Refused("too-many-commands", span)
        self.stages.append(Stage(tuple(self.words), tuple(self.redirects), span))
        self.words, self.redirects = [], []

    def _end_pipeline(self) -> None:
        span = (self.stages[0].span[0], self.stages[-1].span[1])
        self.items.append(Item(self.op, Pipeline(tuple(self.stages), span)))
        self.stages = []

    def _redirect(self, operator: Token) -> Redirect:
        refused = _REFUSED_REDIRECTS.get(operator.value)
        target = self._target(operator, refused)
        span = (operator.span[0], target.span[1] if target else operator.span[1])
        if refused:
            raise Refused(refused, span)
        assert target is not None
        if operator.value == "<":
            if operator.fd:
                raise Refused("redirect-descriptor", span)
            return Redirect("in", target.word, span)
        kind = _output_kind(operator, target.value)
        if kind is None:
            duplicates = operator.value == ">&" and target.value.rstrip("-").isdigit()
            closes = operator.value == ">&" and target.value == "-"
            foreign = operator.fd not in ("", "1", "2") or target.value == "/dev/null"
            raise Refused("redirect-descriptor" if duplicates or closes or foreign else "redirect-write", span)
        return Redirect(kind, None, span)

    def _target(self, operator: Token, refused: str | None) -> Token | None:
        """The word after a redirection operator; None only where the operator is refused anyway."""
        before = self.lexer.position
        try:
            token = self.lexer.next()
        except LineError:
            if refused or (operator.value != "<"):
                raise Refused(refused or "redirect-write", operator.span) from None
            raise
        if token is None or token.kind != "word":
            self.lexer.position = before
            if refused:
                return None
            raise Malformed("missing-target", operator.span, incomplete=token is None)
        self._count_word(token)
        return token


def _output_kind(operator: Token, target: str) -> RedirectKind | None:
    """The kind of an output redirection; `target` is the word as typed, so that no quote slips through."""
    if (operator.fd, operator.value, target) == ("2", ">&", "1"):
        return "err-to-out"
    if target != "/dev/null":
        return None
    return {"&>": "all-null", ">": "out-null", "1>": "out-null", "2>": "err-null"}.get(  # type: ignore[return-value]
        operator.fd + operator.value
    )


def check_command_word(token: Token) -> None:
    """Raise `Refused` unless the word can be a command's bare name; the catalog knows which names there are."""
    raw, span, word = token.value, token.span, token.word
    assert word is not None
    if raw in KEYWORDS:
        raise Refused("keyword", span)
    if raw == "}":
        raise Refused("group", span)
    if raw in ("[", "[[", "]]"):
        raise Refused("test-expression", span)
    if _is_assignment(raw):
        raise Refused("assignment", span)
    for part in word.parts:
        if isinstance(part, Variable):
            raise Refused("command-variable", part.span)
    for part in word.parts:
        if isinstance(part, Glob):
            raise Refused("command-glob", part.span)
    name = word.literal
    if not name:
        raise Refused("command-empty", span)
    if name.startswith("%"):  # bash takes %1 for `fg %1`, quoted or not
        raise Refused("job", span)
    if not name.isascii():
        raise Refused("command-name", span)
    if "/" in name:
        raise Refused("command-path", span)


def _is_assignment(raw: str) -> bool:
    """Whether bash takes the word as typed for an assignment: NAME=, NAME+=, NAME[…]= or NAME[…]+=."""
    if not raw or raw[0] not in NAME_START:
        return False
    end = 1
    while end < len(raw) and raw[end] in NAME:
        end += 1
    return raw.startswith(("=", "+="), end) or (raw.startswith("[", end) and ("]=" in raw or "]+=" in raw))
