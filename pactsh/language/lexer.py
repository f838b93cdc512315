"""Text to tokens: one state machine, one pass, no recursion and no looking back.

The lexer knows quotes and what stands inside words; the parser knows where words stand. A construct that
pact does not run is refused here as soon as its first character is seen in a place where bash would act
on it. The text has passed `check_characters` (the highlighter alone lexes text that has not).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from pactsh.language.ast import Glob, Part, Text, Variable, Word
from pactsh.language.brackets import check_brackets
from pactsh.language.errors import Malformed, Refused, Span

VARIABLES: Final = frozenset(["?", "HOME", "USER", "HOSTNAME", "PACT_NODE", "PACT_VCLUSTER"])
MAX_WILDCARDS: Final = 128

DIGITS: Final = frozenset("0123456789")
NAME_START: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_")
NAME: Final = NAME_START | DIGITS

_META: Final = frozenset(" \t|&;<>()")
_SPECIAL: Final = _META | frozenset("\\'\"$`*?[{~")
_SPECIAL_IN_QUOTES: Final = frozenset('\\"$`')
_OPERATORS: Final = ("&&", "||", ";;&", ";;", ";&", "|&", "&>>", "&>", "|", ";", "&")
_REDIRECTS: Final = ("<<<", "<<-", "<<", "<>", "<&", "<(", "<", ">>", ">|", ">&", ">(", ">")


@dataclass(frozen=True, slots=True)
class Token:
    """A word (`word` set), an operator, a redirection operator (`fd`: the digits before it) or a comment."""

    kind: Literal["word", "operator", "redirect", "comment"]
    value: str
    span: Span
    word: Word | None = None
    fd: str = ""


class Lexer:
    """Hands out the tokens of `text` one by one; `position` is where the next one is looked for."""

    def __init__(self, text: str, position: int = 0) -> None:
        self.text = text
        self.position = position
        self._parts: list[Part] = []
        self._values: list[str] = []  # literal text that is still growing, all of it quoted or none of it
        self._values_quoted = False
        self._values_start = self._values_end = 0
        self._plain_dollar: int | None = None  # where the word being read has an unquoted $ that is just text

    def next(self) -> Token | None:
        """Return the next token, None at the end. Raises `Malformed` or `Refused`."""
        text, start = self.text, self.position
        while start < len(text) and text[start] in " \t":
            start += 1
        self.position = start
        if start == len(text):
            return None
        char = text[start]
        if char == "#":
            self.position = len(text)
            return Token("comment", text[start:], (start, len(text)))
        if char in "|&;":
            return self._operator(start)
        if char in "<>":
            return self._redirect(start, "")
        if char == "(":
            raise self._parenthesis(start, start)
        if char == ")":
            raise Malformed("unexpected-parenthesis", (start, start + 1))
        return self._word(start)

    def _operator(self, start: int) -> Token:
        value = next(op for op in _OPERATORS if self.text.startswith(op, start))
        span = (start, start + len(value))
        if value == "&":
            raise Refused("background", span)
        if value == "|&":
            raise Refused("pipe-errors", span)
        self.position = span[1]
        return Token("redirect" if value.startswith("&>") else "operator", value, span)

    def _redirect(self, operator: int, fd: str) -> Token:
        value = next(op for op in _REDIRECTS if self.text.startswith(op, operator))
        start = operator - len(fd)
        if value in ("<(", ">("):
            raise Refused("process-substitution", (start, closing(self.text, operator + 1)))
        self.position = operator + len(value)
        return Token("redirect", value, (start, self.position), None, fd)

    def _parenthesis(self, start: int, word_start: int) -> Refused:
        """The refusal of an unquoted `(`; `word_start` is where the word it is glued to begins."""
        text = self.text
        end = closing(text, start)
        before = text[start - 1] if start > word_start else ""
        if before and before in "?*+@!":
            return Refused("extended-glob", (start - 1, end))
        if before == "=":
            return Refused("assignment", (word_start, end))
        if text.startswith("((", start):
            return Refused("arithmetic", (start, end))
        if before or text[start + 1 : end].strip(" \t") == ")":
            return Refused("function", (word_start, end))
        return Refused("subshell", (start, end))

    def _word(self, start: int) -> Token:
        text, size = self.text, len(self.text)
        self.position = start
        self._parts, self._values = [], []
        self._plain_dollar = None
        while self.position < size:
            begin = position = self.position
            while position < size and text[position] not in _SPECIAL:
                position += 1
            if position > begin:
                self._add(text[begin:position], quoted=False, start=begin, end=position)
                self.position = position
                continue
            if text[position] in _META:
                break
            self._special(text[position], start)
        self._flush()
        end = self.position
        if text.startswith("(", end):
            raise self._parenthesis(end, start)
        raw = text[start:end]
        if end < size and text[end] in "<>" and all(char in DIGITS for char in raw):
            return self._redirect(end, raw)
        if sum(isinstance(part, Glob) for part in self._parts) > MAX_WILDCARDS:
            raise Refused("too-many-wildcards", (start, end))
        if self._plain_dollar is not None and any(isinstance(p, Variable) and not p.quoted for p in self._parts):
            # bash forgets to split such a word's variables (subst.c, param_expand); nobody should rely on it
            raise Refused("plain-dollar", (self._plain_dollar, self._plain_dollar + 1))
        check_brackets(self._parts)
        return Token("word", raw, (start, end), Word(tuple(self._parts), (start, end)))

    def _special(self, char: str, word_start: int) -> None:
        """Take in one special character of an unquoted stretch of a word, and what belongs to it."""
        text, start = self.text, self.position
        if char in "*?[":
            self._append(Glob(char, (start, start + 1)))
            self.position += 1
        elif char == "$":
            self._dollar(quoted=False, start=start)
        elif char == "'":
            end = text.find("'", start + 1)
            if end < 0:
                raise Malformed("unbalanced-quote", (start, len(text)), incomplete=True)
            self._add(text[start + 1 : end], quoted=True, start=start, end=end + 1)
            self.position = end + 1
        elif char == '"':
            self._double_quoted(start)
        elif char == "\\":
            if start + 1 == len(text):
                raise Malformed("trailing-backslash", (start, start + 1), incomplete=True)
            self._add(text[start + 1], quoted=True, start=start, end=start + 2)
            self.position = start + 2
        elif char == "`":
            raise self._backquote(start)
        elif char == "{":
            raise self._brace(start, word_start)
        elif start == word_start or text[start - 1] in "=:":
            raise Refused("tilde", (start, _end_of_tilde(text, start)))
        else:
            self._add(char, quoted=False, start=start, end=start + 1)
            self.position += 1

    def _double_quoted(self, opening: int) -> None:
        text, size = self.text, len(self.text)
        self._add("", quoted=True, start=opening, end=opening + 1)
        self.position = opening + 1
        while self.position < size:
            begin = position = self.position
            while position < size and text[position] not in _SPECIAL_IN_QUOTES:
                position += 1
            self._add(text[begin:position], quoted=True, start=begin, end=position)
            self.position = position
            char = text[position : position + 1]
            if char == '"':
                self._add("", quoted=True, start=position, end=position + 1)
                self.position += 1
                return
            if char == "$":
                self._dollar(quoted=True, start=position)
            elif char == "`":
                raise self._backquote(position)
            elif char == "\\":
                escaped = text[position + 1 : position + 2] in ("$", "`", '"', "\\")
                end = position + 1 + escaped
                self._add(text[end - 1], quoted=True, start=position, end=end)
                self.position = end
        raise Malformed("unbalanced-quote", (opening, size), incomplete=True)

    def _dollar(self, *, quoted: bool, start: int) -> None:
        text = self.text
        after = text[start + 1 : start + 2]
        if after == "?":
            self._append(Variable("?", quoted, (start, start + 2)))
            self.position = start + 2
        elif after in NAME_START:
            end = start + 2
            while end < len(text) and text[end] in NAME:
                end += 1
            name = text[start + 1 : end]
            if name not in VARIABLES:
                raise Refused("unknown-variable", (start, end))
            self._append(Variable(name, quoted, (start, end)))
            self.position = end
        elif after == "(":
            code = "arithmetic" if text.startswith("((", start + 1) else "command-substitution"
            raise Refused(code, (start, closing(text, start + 1)))
        elif after == "{":
            raise Refused("parameter-expansion", (start, closing(text, start + 1)))
        elif after == "[":
            raise Refused("arithmetic", (start, closing(text, start + 1)))
        elif after and (after in "@*#-$!" or after in DIGITS):
            raise Refused("special-parameter", (start, start + 2))
        elif not quoted and after and after in "'\"":
            end = text.find(after, start + 2) + 1 or len(text)
            raise Refused("ansi-quote" if after == "'" else "locale-quote", (start, end))
        else:
            if not quoted:
                self._plain_dollar = start
            self._add("$", quoted=quoted, start=start, end=start + 1)
            self.position = start + 1

    def _backquote(self, start: int) -> Refused:
        end = self.text.find("`", start + 1) + 1
        return Refused("command-substitution", (start, end or len(self.text)))

    def _brace(self, start: int, word_start: int) -> Refused:
        """The refusal of an unquoted `{`: a group, a `{name}>` redirection or a brace expansion."""
        text = self.text
        end = start + 1
        while end < len(text) and text[end] not in _META:
            end += 1
        if start == word_start and end == start + 1:
            return Refused("group", (start, end))
        if start == word_start and text[end - 1] == "}" and text[end : end + 1] in ("<", ">"):
            return Refused("redirect-descriptor", (start, end + 1))
        last = text.rfind("}", start, end)
        return Refused("brace-expansion", (start, last + 1 if last >= 0 else end))

    def _add(self, value: str, *, quoted: bool, start: int, end: int) -> None:
        """Append literal text; it joins the text before it when both are protected alike."""
        if self._values and self._values_quoted != quoted:
            self._flush()
        if not self._values:
            self._values_start, self._values_quoted = start, quoted
        self._values.append(value)
        self._values_end = end

    def _append(self, part: Part) -> None:
        self._flush()
        self._parts.append(part)

    def _flush(self) -> None:
        if self._values:
            span = (self._values_start, self._values_end)
            self._parts.append(Text("".join(self._values), self._values_quoted, span))
            self._values = []


_CLOSERS: Final = {"(": ")", "{": "}", "[": "]"}


def closing(text: str, opening: int) -> int:
    """Return the end of what opens at `opening`, quotes skipped; the end of the text if it never closes."""
    opener = text[opening]
    closer = _CLOSERS[opener]
    depth = 0
    quote = ""
    position = opening
    while position < len(text):
        char = text[position]
        if quote:
            if char == quote:
                quote = ""
            elif char == "\\" and quote == '"':
                position += 1
        elif char in "'\"":
            quote = char
        elif char == "\\":
            position += 1
        elif char == opener:
            depth += 1
        elif char == closer:
            depth -= 1
            if depth == 0:
                return position + 1
        position += 1
    return len(text)


def _end_of_tilde(text: str, start: int) -> int:
    """The end of the `~user` that bash would have looked up."""
    end = start + 1
    while end < len(text) and text[end] not in _META and text[end] not in "/:\\'\"$`":
        end += 1
    return end
