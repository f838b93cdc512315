from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from prompt_toolkit.document import Document
from pygments.token import Token

from pactsh.shell.highlight import ALLOWED, REFUSED, LineLexer, highlighted, shell_style


def is_allowed(name: str) -> bool:
    return name in {"ls", "echo"}


def test_each_kind_has_its_token() -> None:
    found = [(token, text) for token, text in highlighted("ls 'a' $USER *.c | rm 2>&1 # x", is_allowed) if text.strip()]
    assert found == [
        (ALLOWED, "ls"),
        (Token.Literal.String, "'a'"),
        (Token.Name.Variable, "$USER"),
        (Token.Keyword.Glob, "*"),
        (Token.Text, ".c"),
        (Token.Operator, "|"),
        (REFUSED, "rm"),
        (Token.Operator.Redirect, "2>&"),
        (Token.Operator.Redirect, "1"),
        (Token.Comment, "# x"),
    ]


@given(st.text())
def test_the_tokens_are_the_line(line: str) -> None:
    assert "".join(text for _, text in highlighted(line, is_allowed)) == line


def test_refused_and_wrong_are_underlined_and_allowed_is_not() -> None:
    style = shell_style()

    def underlined(line: str) -> list[bool]:
        lexed = LineLexer(is_allowed).lex_document(Document(line))(0)
        return [bool(style.get_attrs_for_style_str(part[0]).underline) for part in lexed]

    assert underlined("ls") == [False]
    assert underlined("rm") == [True]
    assert underlined("echo $(id)")[-1]
