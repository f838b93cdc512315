"""Colours for the line: pygments tokens from the language's own lexer, and the style that shows them.

What differs in meaning differs in more than colour: refused commands and errors are underlined,
allowed commands bold.
"""

from __future__ import annotations

from collections.abc import Callable

from prompt_toolkit.document import Document
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.lexers import Lexer
from prompt_toolkit.styles import BaseStyle, Style, merge_styles
from prompt_toolkit.styles.pygments import pygments_token_to_classname, style_from_pygments_dict
from pygments.token import Token, _TokenType

from pactsh.language.highlight import tokens

_TOKENS: dict[str, _TokenType] = {
    "argument": Token.Text,
    "string": Token.Literal.String,
    "operator": Token.Operator,
    "redirect": Token.Operator.Redirect,
    "variable": Token.Name.Variable,
    "glob": Token.Keyword.Glob,
    "comment": Token.Comment,
    "error": Token.Error,
}
ALLOWED: _TokenType = Token.Name.Builtin
REFUSED: _TokenType = Token.Error.Refused

_HIGHLIGHT: dict[_TokenType, str] = {
    ALLOWED: "bold ansigreen",
    REFUSED: "underline ansired",
    Token.Error: "underline ansired",
    Token.Literal.String: "ansiyellow",
    Token.Operator: "bold ansicyan",
    Token.Operator.Redirect: "ansicyan",
    Token.Name.Variable: "ansimagenta",
    Token.Keyword.Glob: "ansiblue",
    Token.Comment: "italic ansibrightblack",
}

_SURFACE = {
    "prompt": "bold",
    "bottom-toolbar": "noreverse",
    "bottom-toolbar.text": "noreverse",
    "toolbar": "reverse",
    "toolbar.who": "reverse bold",
    "toolbar.warning": "reverse bold ansiyellow",
    "toolbar.alert": "reverse bold ansired",
    "toolbar.error": "bold ansired",
    "auto-suggestion": "ansibrightblack",
}


def shell_style() -> BaseStyle:
    """Return the style of the prompt, its line and its toolbar, in the terminal's own 16 colours."""
    return merge_styles([style_from_pygments_dict(_HIGHLIGHT), Style.from_dict(_SURFACE)])


def token_of(kind: str, text: str, is_allowed: Callable[[str], bool]) -> _TokenType:
    """Return the pygments token of a stretch of the line."""
    if kind == "command":
        return ALLOWED if is_allowed(text) else REFUSED
    return _TOKENS.get(kind, Token.Text)


def highlighted(line: str, is_allowed: Callable[[str], bool]) -> list[tuple[_TokenType, str]]:
    """Cut a line into pygments tokens; together they are the line again. Never raises."""
    out: list[tuple[_TokenType, str]] = []
    position = 0
    for start, end, kind in tokens(line):
        if position < start:
            out.append((Token.Text, line[position:start]))
        text = line[start:end]
        out.append((token_of(kind, text, is_allowed), text))
        position = end
    if position < len(line):
        out.append((Token.Text, line[position:]))
    return out


class LineLexer(Lexer):
    """The language's tokens for prompt-toolkit; `is_allowed` is asked for each command's name."""

    def __init__(self, is_allowed: Callable[[str], bool]) -> None:
        self._is_allowed = is_allowed

    def lex_document(self, document: Document) -> Callable[[int], StyleAndTextTuples]:
        """Return a function from line number to styled text."""
        lines = document.lines

        def styled(number: int) -> StyleAndTextTuples:
            return [
                ("class:" + pygments_token_to_classname(token), text)
                for token, text in highlighted(lines[number], self._is_allowed)
            ]

        return styled
