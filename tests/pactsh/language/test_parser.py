# ruff: noqa: E501  (tables of samples)
# ruff: noqa: PT017  (an accepted line is as good as a well-formed error)

from __future__ import annotations

import doctest
import sys
from types import FrameType
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import pactsh.language.parser
from pactsh.language import Line, LineError, Malformed, Refused, parse
from pactsh.language.parser import KEYWORDS
from tests.pactsh.language.marks import unmark


def shape(line: Line) -> list[tuple[str, list[list[str | None]]]]:
    return [
        (item.op, [[word.literal for word in stage.words] for stage in item.pipeline.stages]) for item in line.items
    ]


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("", []),
        (" \t ", []),
        ("# only a comment | && '", []),
        ("ls", [("", [["ls"]])]),
        ("ls;", [("", [["ls"]])]),
        ("ls ; # done", [("", [["ls"]])]),
        ("a b|c d", [("", [["a", "b"], ["c", "d"]])]),
        ("a&&b||c;d", [("", [["a"]]), ("&&", [["b"]]), ("||", [["c"]]), (";", [["d"]])]),
        ("a|b&&c|d", [("", [["a"], ["b"]]), ("&&", [["c"], ["d"]])]),
        ("'c'at x", [("", [["cat", "x"]])]),
        ("'cat x'", [("", [["cat x"]])]),
        ("-x y", [("", [["-x", "y"]])]),
        ("echo if then", [("", [["echo", "if", "then"]])]),
    ],
)
def test_structure(text: str, items: list[Any]) -> None:
    assert shape(parse(text)) == items


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("ls >/dev/null", ["out-null"]),
        ("ls 1> /dev/null", ["out-null"]),
        ("ls 2>/dev/null", ["err-null"]),
        ("ls &>/dev/null", ["all-null"]),
        ("ls 2>&1", ["err-to-out"]),
        ("ls 2>&1 >/dev/null", ["err-to-out", "out-null"]),
        ("ls >/dev/null 2>&1", ["out-null", "err-to-out"]),
        ("</etc/hosts >/dev/null cat", ["in", "out-null"]),
        ("cat <a<b", ["in", "in"]),
    ],
)
def test_redirects_keep_their_order(text: str, kinds: list[str]) -> None:
    stage = parse(text).items[0].pipeline.stages[0]
    assert [redirect.kind for redirect in stage.redirects] == kinds
    assert len(stage.words) == 1


def test_spans_point_into_the_text() -> None:
    text = "  dmesg 2>&1 | grep 'a b'  ; ls"
    first, second = parse(text).items
    assert text[slice(*first.pipeline.span)] == "dmesg 2>&1 | grep 'a b'"
    assert text[slice(*first.pipeline.stages[0].span)] == "dmesg 2>&1"
    assert text[slice(*first.pipeline.stages[0].redirects[0].span)] == "2>&1"
    assert text[slice(*first.pipeline.stages[1].words[1].span)] == "'a b'"
    assert text[slice(*second.pipeline.span)] == "ls"


@pytest.mark.parametrize(
    ("marked", "code"),
    [
        ("cat /etc/hostname «> /tmp/x»", "redirect-write"),
        ("ls «>x»|cat", "redirect-write"),
        ("ls «2>x»", "redirect-write"),
        ("ls «>|/dev/null»", "redirect-write"),
        ("ls «&>x»", "redirect-write"),
        ("ls «>&x»", "redirect-write"),
        ("ls «>/dev/nullx»", "redirect-write"),
        ("ls «>/dev/../tmp/x»", "redirect-write"),
        ("ls «>/dev//null»", "redirect-write"),
        ("ls «>/dev/tcp/1.2.3.4/80»", "redirect-write"),
        ("ls «>'/dev/null'»", "redirect-write"),
        ("ls «>/dev/nul\\l»", "redirect-write"),
        ("ls «>/dev/nul?»", "redirect-write"),
        ("ls «>$HOME»", "redirect-write"),
        ("ls «>»$(x)", "redirect-write"),
        ("ls «>>/dev/null»", "redirect-append"),
        ("ls «>>x»", "redirect-append"),
        ("ls «&>>x»", "redirect-append"),
        ("ls «3>/dev/null»", "redirect-descriptor"),
        ("ls «12>&1»", "redirect-descriptor"),
        ("ls «>&2»", "redirect-descriptor"),
        ("ls «1>&2»", "redirect-descriptor"),
        ("ls «2>&-»", "redirect-descriptor"),
        ("ls «2>&1-»", "redirect-descriptor"),
        ("ls «2>&12»", "redirect-descriptor"),
        ("ls «>&/dev/null»", "redirect-descriptor"),
        ("ls «0<x»", "redirect-descriptor"),
        ("ls «<&3»", "redirect-descriptor"),
        ("ls «<>x»", "redirect-read-write"),
        ("cat «<<EOF»", "here-document"),
        ("cat «<<-EOF»", "here-document"),
        ("cat «<<<x»", "here-string"),
        ("«>/dev/null»", "redirect-without-command"),
        ("ls | «<x»", "redirect-without-command"),
        ("«FOO=1» ls", "assignment"),
        ("«FOO=1»", "assignment"),
        ("ls | «FOO=1» ls", "assignment"),
        (">/dev/null «FOO=1» ls", "assignment"),
        ("«PATH+=:/x» ls", "assignment"),
        ("«a[1]=2»", "assignment"),
        ("«a[x]+=2» ls", "assignment"),
        ("«_x=»", "assignment"),
        ("«/bin/bash»", "command-path"),
        ("ls; «./x»", "command-path"),
        ("'«bin/ls»'".replace("'«", "«'").replace("»'", "'»"), "command-path"),
        ("l«*»", "command-glob"),
        ("«$HOME»", "command-variable"),
        ('ls|"«$USER»"', "command-variable"),
        ('«""» x', "command-empty"),
        ("«c\u0430t» x", "command-name"),
        ("«\uff1b»", "command-name"),
        ("«%1»", "job"),
        ("«[» -f x ]", "test-expression"),
        ("«[[» -f x ]]", "test-expression"),
        ("«}»", "group"),
        ("«for» x in a; do ls; done", "keyword"),
        ("ls && «!» ls", "keyword"),
        ("«time» ls | cat", "keyword"),
        ("«case» x in x) ls;; esac", "keyword"),
    ],
)
def test_refused(marked: str, code: str) -> None:
    text, span = unmark(marked)
    with pytest.raises(Refused) as caught:
        parse(text)
    assert (caught.value.code, caught.value.span) == (code, span)


@pytest.mark.parametrize("keyword", sorted(KEYWORDS))
def test_a_keyword_is_refused_as_a_command_and_fine_as_an_argument(keyword: str) -> None:
    with pytest.raises(Refused, match="keyword"):
        parse(f"ls; {keyword}")
    assert shape(parse(f"echo {keyword}")) == [("", [["echo", keyword]])]
    assert shape(parse(f"'{keyword}'")) == [("", [[keyword]])]  # no such command, but no keyword either


@pytest.mark.parametrize(
    ("marked", "code", "incomplete"),
    [
        ("«|» ls", "empty-command", False),
        ("ls «|»", "empty-command", True),
        ("ls || «|» x", "empty-command", False),
        ("ls | «|» x", "empty-command", False),
        ("ls «;;»", "empty-command", False),
        ("ls «;;» x", "empty-command", False),
        ("ls ; «;» x", "empty-command", False),
        ("«;» ls", "empty-command", False),
        ("«;»", "empty-command", False),
        ("«&&» ls", "empty-command", False),
        ("ls «&&»", "empty-command", True),
        ("ls && «;»", "empty-command", False),
        ("ls; «&&» x", "empty-command", False),
        ("ls «||» # x", "empty-command", True),
        ("ls «;&» x", "empty-command", False),
        ("ls «<»", "missing-target", True),
        ("ls «<» | cat", "missing-target", False),
        ("ls «2>»", "missing-target", True),
        ("ls «>» >x", "missing-target", False),
    ],
)
def test_malformed(marked: str, code: str, incomplete: bool) -> None:
    text, span = unmark(marked)
    with pytest.raises(Malformed) as caught:
        parse(text)
    assert (caught.value.code, caught.value.span, caught.value.incomplete) == (code, span, incomplete)


def test_limits_are_exact() -> None:
    assert len(parse("echo" + " a" * 4095).items[0].pipeline.stages[0].words) == 4096
    with pytest.raises(Refused) as caught:
        parse("echo" + " a" * 4096)
    assert caught.value.code == "too-many-words"
    assert len(parse("|".join(["ls"] * 64)).items[0].pipeline.stages) == 64
    for separator in "|", ";", "&&":
        with pytest.raises(Refused) as caught:
            parse(separator.join(["ls"] * 65))
        assert caught.value.code == "too-many-commands"


ODD_TEXT = st.text(
    st.one_of(st.sampled_from("ab01 \t'\"\\$`*?[](){}<>|&;#!~=^%-/.,:@+\n\0é"), st.characters()), max_size=40
)


@given(ODD_TEXT)
@settings(max_examples=1500, deadline=None, database=None)
@example("\ud800")
@example("\udcff")
@example("echo \u202e")
def test_any_text_gives_a_line_or_a_line_error_with_a_span_inside_it(text: str) -> None:
    try:
        line = parse(text)
    except LineError as error:
        start, end = error.span
        assert 0 <= start < end <= len(text)
        assert error.status in (1, 6)
        assert error.hint
    else:
        assert line.text == text
        for item in line.items:
            for stage in item.pipeline.stages:
                assert stage.words
                assert all(text[slice(*word.span)].strip(" \t") for word in stage.words)


HOSTILE = [
    "a", "a ", "\\a", "'a'", '"a"', "a\\ ", '"', "'", '"\\', "$", "$ ", '"$', "[", "[ ", "[[:", "]", "[!", "* ", "a*", "?", "{", "}", "~a", "a~", "=~",
    "(", ")", "$(", "${", "`", "<", ">", "<a ", "2>&1 ", "2", "#", ";", "|", "a|", "a;", "a&&", "$HOME", '"$HOME"', "é", "!", "^", "[a]", "[a-",
]  # fmt: skip


def lines_run(text: str) -> int:
    """How many lines of Python a parse of `text` takes, counted by the interpreter's tracing."""
    count = 0

    def trace(frame: FrameType, event: str, arg: object) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        parse(text)
    except LineError:
        pass
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("piece", HOSTILE)
def test_the_work_grows_no_faster_than_the_line(piece: str) -> None:
    small, large = (lines_run("a " + piece * (size // len(piece))) for size in (500, 4000))
    assert large <= 8.5 * small + 500


def test_examples() -> None:
    assert doctest.testmod(pactsh.language.parser).failed == 0
