from __future__ import annotations

import pytest

from pactsh.language import Malformed, Refused, parse
from pactsh.language.ast import Glob, Text, Variable
from pactsh.language.lexer import Lexer, closing
from tests.pactsh.language.marks import unmark

REFUSED = [
    ("echo «$(id)»", "command-substitution"),
    ('echo "a «$(id "$(x)" \\))» b"', "command-substitution"),
    ("echo «$(id»", "command-substitution"),
    ("echo «`id`» x", "command-substitution"),
    ('echo "«`id`»"', "command-substitution"),
    ("echo «`id»", "command-substitution"),
    ("echo \"'«$(id)»'\"", "command-substitution"),
    ("echo 'a'\\''b'«$(id)»", "command-substitution"),
    ("echo «$((1+(2)))»x", "arithmetic"),
    ('echo "«$[1+1]»"', "arithmetic"),
    ("«((i++))»", "arithmetic"),
    ("echo «${HOME}»/x", "parameter-expansion"),
    ("echo «${x:-$(id)}»", "parameter-expansion"),
    ('echo "«${»', "parameter-expansion"),
    ("echo «$PATH»", "unknown-variable"),
    ('echo "«$HOMEx»"', "unknown-variable"),
    ("echo «$_»", "unknown-variable"),
    ("echo «$0»", "special-parameter"),
    ("echo «$1»0", "special-parameter"),
    ("echo «$@»", "special-parameter"),
    ("echo «$*»", "special-parameter"),
    ("echo «$#»", "special-parameter"),
    ("echo «$-»", "special-parameter"),
    ("echo «$$»", "special-parameter"),
    ('echo "«$!»"', "special-parameter"),
    ("echo $USER«$»", "plain-dollar"),
    ("echo «$'\\x41'» b", "ansi-quote"),
    ('echo «$"hello"» b', "locale-quote"),
    ("diff «<(ls)» x", "process-substitution"),
    ("ls «>(cat)»", "process-substitution"),
    ("ls «2>(cat)»", "process-substitution"),
    ("sleep 5 «&»", "background"),
    ("sleep 5«&» ls", "background"),
    ("ls 2>&1«&»", "background"),
    ("ls >/dev/null«&»", "background"),
    ("«&»", "background"),
    ("ls «|&» cat", "pipe-errors"),
    ("«(cd /; ls)»", "subshell"),
    ("ls; «(id)» x", "subshell"),
    ("«{» ls; }", "group"),
    ("echo «{»", "group"),
    ("«f()» { ls; }", "function"),
    ("ls «()»", "function"),
    ("«FOO=(a b)»", "assignment"),
    ("ls «?(a)»", "extended-glob"),
    ("ls a«*(a)»b", "extended-glob"),
    ("ls «+(a|b)»", "extended-glob"),
    ("ls «@(a)»", "extended-glob"),
    ("ls «!(a)»", "extended-glob"),
    ("ls a«{b,c}»d", "brace-expansion"),
    ("ls «{1..99999999}»", "brace-expansion"),
    ("ls «{a,{b,c}}»", "brace-expansion"),
    ("ls a«{»", "brace-expansion"),
    ("ls «{fd}>»x", "redirect-descriptor"),
    ("ls «~»", "tilde"),
    ("ls «~root»/x", "tilde"),
    ("ls «~+»", "tilde"),
    ("dd if=«~»/x", "tilde"),
    ("ls a:«~b»", "tilde"),
    ("ls [a«[».b.]]", "bracket"),
    ("ls [«[»=a=]]", "bracket"),
    ("ls [«[»:nope:]]", "bracket"),
    ("ls [«[»':'alpha:]]", "bracket"),
    ("ls «" + "?" * 129 + "»", "too-many-wildcards"),
]
MALFORMED = [
    ("echo «'abc»", "unbalanced-quote"),
    ('echo x«"abc \\"»', "unbalanced-quote"),
    ('echo "a" «"»', "unbalanced-quote"),
    ("echo «\\»", "trailing-backslash"),
    ('echo "a"«\\»', "trailing-backslash"),
    ("ls «)»", "unexpected-parenthesis"),
]


@pytest.mark.parametrize(("marked", "code"), REFUSED)
def test_refused_construct_is_named_and_only_it_is_marked(marked: str, code: str) -> None:
    text, span = unmark(marked)
    with pytest.raises(Refused) as caught:
        parse(text)
    assert (caught.value.code, caught.value.span) == (code, span)
    assert caught.value.status == 6
    assert caught.value.reason
    assert caught.value.hint


@pytest.mark.parametrize(("marked", "code"), MALFORMED)
def test_malformed_text_is_marked(marked: str, code: str) -> None:
    text, span = unmark(marked)
    with pytest.raises(Malformed) as caught:
        parse(text)
    assert (caught.value.code, caught.value.span, caught.value.status) == (code, span, 1)


@pytest.mark.parametrize(
    ("typed", "value"),
    [
        ("abc", "abc"),
        ("'a b'", "a b"),
        ("'$(id) `id` ${x} $x'", "$(id) `id` ${x} $x"),
        ('"a\\"b\\\\c\\$d\\`e"', 'a"b\\c$d`e'),
        ('"a\\b\\n"', "a\\b\\n"),
        ("\"'\"'\"'", "'\""),
        ("a\\ b", "a b"),
        ("\\$\\(id\\)\\`\\{a,b\\}\\~\\*", "$(id)`{a,b}~*"),
        ("''", ""),
        ("a''b\"\"", "ab"),
        ("x$", "x$"),
        ('"$"', "$"),
        ("$/x", "$/x"),
        ("a#b", "a#b"),
        ("''#b", "#b"),
        ("a~", "a~"),
        ("'~'/x", "~/x"),
        ("!x", "!x"),
        ("!!", "!!"),
        ("^a^b^", "^a^b^"),
        ("a=1", "a=1"),
        ("}", "}"),
        ("=x", "=x"),
        ("été", "été"),
    ],
)
def test_quoting_means_what_it_means_to_bash(typed: str, value: str) -> None:
    assert parse("echo " + typed).items[0].pipeline.stages[0].words[1].literal == value


def test_parts_keep_what_was_quoted_and_where_it_stood() -> None:
    token = Lexer("""a'b'"$HOME c"*$?""").next()
    assert token is not None
    assert token.word is not None
    assert token.word.parts == (
        Text("a", False, (0, 1)),
        Text("b", True, (1, 5)),
        Variable("HOME", True, (5, 10)),
        Text(" c", True, (10, 13)),
        Glob("*", (13, 14)),
        Variable("?", False, (14, 16)),
    )


def test_digits_before_a_redirection_belong_to_it_only_when_they_are_the_whole_word() -> None:
    def kinds(text: str) -> list[tuple[str, str, str]]:
        lexer = Lexer(text)
        return [(token.kind, token.value, token.fd) for token in iter(lexer.next, None)]

    assert kinds("ls 2>x")[1] == ("redirect", ">", "2")
    assert kinds("ls a2>x")[1:3] == [("word", "a2", ""), ("redirect", ">", "")]
    assert kinds("ls '2'>x")[1:3] == [("word", "'2'", ""), ("redirect", ">", "")]
    assert kinds("ls \\2>x")[1:3] == [("word", "\\2", ""), ("redirect", ">", "")]
    assert kinds("ls 2 >x")[1:3] == [("word", "2", ""), ("redirect", ">", "")]
    assert kinds("ls 2&>x")[1:3] == [("word", "2", ""), ("redirect", "&>", "")]


def test_a_comment_starts_only_where_a_word_could() -> None:
    assert [token.value for token in iter(Lexer("ls a#b ;#c ' (").next, None)] == ["ls", "a#b", ";", "#c ' ("]


def test_closing_skips_quotes_and_escapes() -> None:
    assert closing("(a ')' \")\" \\) (b)) x", 0) == 18
    assert closing("(a", 0) == 2
