# ruff: noqa: E501  (tables of samples)
# ruff: noqa: PT017  (an accepted line is as good as a well-formed error)

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from pactsh.language import Line, LineError, Refused, expand_redirect, expand_stage, parse
from tests.pactsh.language.bash_oracle import RESERVED, RealListing, bash_runs, expected, make_tree, values

VARIABLES = {
    "?": "0",
    "HOME": "/root dir",
    "USER": " a  b ",
    "HOSTNAME": "n*",
    "PACT_NODE": "-rf",
    "PACT_VCLUSTER": "",
}


class Names:
    """A listing with one directory, the session's."""

    def __init__(self, *names: str) -> None:
        self.names = names

    def entries(self, directory: str) -> Sequence[str]:
        return self.names if directory == "." else []

    def exists(self, path: str) -> bool:
        return path in self.names

    def is_dir(self, path: str) -> bool:
        return False


def argv(text: str, *names: str) -> list[str]:
    stage = parse(text).items[0].pipeline.stages[0]
    return [item.value for item in expand_stage(stage, VARIABLES, Names(*names))]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("echo $USER", ["echo", "a", "b"]),
        ('echo "$USER"', ["echo", " a  b "]),
        ("echo x$USER", ["echo", "x", "a", "b"]),
        ("echo x$USER.y", ["echo", "x", "a", "b", ".y"]),
        ("echo $PACT_VCLUSTER", ["echo"]),
        ('echo "$PACT_VCLUSTER"', ["echo", ""]),
        ("echo a$PACT_VCLUSTER", ["echo", "a"]),
        ("echo ''$PACT_VCLUSTER", ["echo", ""]),
        ("echo $?", ["echo", "0"]),
        ("echo $HOSTNAME", ["echo", "n1", "n2"]),
        ('echo "$HOSTNAME"', ["echo", "n*"]),
        ("echo *", ["echo", "-rf", "n1", "n2"]),
        ("echo '*' \\*", ["echo", "*", "*"]),
        ("echo x*", ["echo", "x*"]),
        ("echo x\\ '*'*", ["echo", "x **"]),
    ],
)
def test_words_become_the_arguments_bash_would_pass(text: str, words: list[str]) -> None:
    assert argv(text, "n2", "n1", "-rf", ".hidden") == words


def test_what_was_not_typed_is_marked() -> None:
    stage = parse("ls -l -* * x* $PACT_NODE \"$PACT_NODE\" a$PACT_NODE -'*'").items[0].pipeline.stages[0]
    marked = [(item.value, item.from_glob) for item in expand_stage(stage, VARIABLES, Names("-rf"))]
    assert marked == [
        ("ls", False),
        ("-l", False),
        ("-rf", True),
        ("-rf", True),
        ("x*", False),
        ("-rf", True),
        ("-rf", True),
        ("a-rf", False),
        ("-*", False),
    ]


def test_every_argument_points_at_the_word_it_came_from() -> None:
    text = "ls  *  'b c'"
    stage = parse(text).items[0].pipeline.stages[0]
    spans = [text[slice(*item.span)] for item in expand_stage(stage, VARIABLES, Names("x", "y"))]
    assert spans == ["ls", "*", "*", "'b c'"]


def test_an_input_redirection_names_exactly_one_file() -> None:
    def target(text: str, *names: str) -> str:
        return expand_redirect(parse(text).items[0].pipeline.stages[0].redirects[0], VARIABLES, Names(*names))

    assert target("cat <'a b'") == "a b"
    assert target("cat <$HOSTNAME", "n1") == "n1"
    assert target('cat <"$USER"') == " a  b "
    assert target("cat <z*") == "z*"
    for text in ("cat <$USER", "cat <$PACT_VCLUSTER", "cat <n*"):
        with pytest.raises(Refused) as caught:
            target(text, "n1", "n2")
        assert caught.value.code == "redirect-ambiguous"
        assert text[slice(*caught.value.span)] == text[5:]


def test_too_many_matches_are_refused() -> None:
    with pytest.raises(Refused) as caught:
        argv("ls *", *(str(number) for number in range(40_000)))
    assert (caught.value.code, caught.value.span) == ("too-many-matches", (3, 4))


# ---- the same as bash, on generated lines ----

PLAIN = st.sampled_from(["a", "ab", "b", "dir", "d2", "sub", "x", "link", "log", "1", "é", "-", "-l", "=", ":", "^", "!", ".", "/", "%", "+", "@", ",", "}", "]"])  # fmt: skip
ODD = st.sampled_from(["x y", "a;b", "a|b", "$(id)", "`id`", "*", "[a]", "?", "{x}", "~t", "#c", "&", "<>", "q?", "  ", "\t", "é", "$HOME"])  # fmt: skip
SINGLE = ODD.map(lambda text: f"'{text}'")
IN_DOUBLE = st.sampled_from(["a", " ", "*", "[a-c]", "'", "$?", "$HOME", "$USER", "$PACT_NODE", "$PACT_VCLUSTER", "\\$", "\\\\", '\\"', "\\a", "~", "{a,b}", "#", "!", "$", "/", "é", "|"])  # fmt: skip
DOUBLE = st.lists(IN_DOUBLE, max_size=4).map(lambda parts: '"' + "".join(parts) + '"')
ESCAPED = st.sampled_from([*" \t'\"\\$`*?[]{}~#|&;<>()!-é"]).map(lambda char: "\\" + char)
BRACKET = st.builds(
    lambda sign, members: f"[{sign}{''.join(members)}]",
    st.sampled_from(["", "!", "^"]),
    st.lists(
        st.sampled_from(
            [
                "a",
                "b",
                "]",
                "-",
                "^",
                "!",
                "a-c",
                "A-Z",
                "z-a",
                "0-9",
                "é",
                "a-é",
                "[:alpha:]",
                "[:digit:]",
                "[:upper:]",
                "[:punct:]",
                "[:alnum:]",
                "\\]",
                "'-'",
                '"!"',
                "x",
                ".",
                "\\a",
                "+--",
                "[:word:]",
                "[:print:]",
                "[:space:]",
                "[:lower:]",
            ]
        ),
        min_size=1,
        max_size=4,
    ),
)
GLOB = st.sampled_from(["*", "*", "?", "*.log", "*/", "./*", "d*/", ".*", "**", "[a", "/*", "?*", "*//"])
VARIABLE = st.sampled_from(["$?", "$HOME", "$USER", "$HOSTNAME", "$PACT_NODE", "$PACT_VCLUSTER"])
WORD = st.lists(st.one_of(PLAIN, PLAIN, SINGLE, DOUBLE, ESCAPED, BRACKET, GLOB, GLOB, VARIABLE), max_size=5).map(
    "".join
)
COMMAND = st.sampled_from(["ls", "cat", "grep", "echo", "'ls'", "sort", "no-such", "e'ch'o", "-x", "a.b", '"a b"'])
REDIRECT = st.sampled_from(
    ["2>&1", ">/dev/null", "2>/dev/null", "&>/dev/null", "<a", "< dir/a", "<'x y'", "<nosuch", "<*.d/1", "1> /dev/null"]
)
BLANK = st.sampled_from([" ", " ", "  ", "\t"])
STAGE = st.builds(
    lambda command, rest: command + "".join(blank + part for blank, part in rest),
    COMMAND,
    st.lists(st.tuples(BLANK, st.one_of(WORD, WORD, WORD, REDIRECT)), max_size=4),
)
JOINT = st.sampled_from(["|", " | ", ";", " ; ", "&&", " && ", "||", " || ", " |\t"])
GRAMMATICAL = st.builds(
    lambda first, rest, tail: first + "".join(joint + stage for joint, stage in rest) + tail,
    STAGE,
    st.lists(st.tuples(JOINT, STAGE), max_size=3),
    st.sampled_from(["", "", "", ";", " ", " # it's a ` comment", "#x"]),
)
FRAGMENT = st.one_of(
    PLAIN, GLOB, VARIABLE, BRACKET, SINGLE, DOUBLE, JOINT, REDIRECT, COMMAND,
    st.sampled_from([*" \t'\"\\$`*?[](){}<>|&;#!~=^%-/.,:@+0123", "if", "time", "a=1", "[[", "$x", "${", "$((", "2>", "<<", "{a,b}", "中", "\u00e9"]),
)  # fmt: skip
SOUP = st.lists(FRAGMENT, min_size=1, max_size=8).map("".join)


@st.composite
def mutated(draw: st.DrawFn) -> str:
    text: str = draw(GRAMMATICAL)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(text)))
        text = text[:at] + draw(FRAGMENT) + text[at + draw(st.integers(0, 2)) :]
    return text


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("bash") / "tree"
    root.mkdir()
    make_tree(root)
    return root


def compare(texts: Sequence[str], number: int, root: Path) -> int:
    """Assert that bash runs the same commands for every line that is accepted; return how many were."""
    lines = [line for line in map(accepted, texts) if line is not None]
    variables = values(root, number)
    count = 0
    for line, seen in zip(lines, bash_runs([line.text for line in lines], root, variables), strict=True):
        for status, runs in enumerate(seen):
            try:
                ours = expected(line, root, variables, status)
            except Refused as error:  # what a variable's value made of a pattern
                assert error.code == "bracket"
                continue
            assert ours is None or ours == runs, f"{line.text!r} when every command ends with {status}"
        count += 1
    return count


def accepted(text: str) -> Line | None:
    try:
        line = parse(text)
    except LineError:
        return None
    names = (stage.words[0].literal for item in line.items for stage in item.pipeline.stages)
    return None if any(name in RESERVED for name in names) else line


def compare_many(root: Path, batches: int) -> None:
    total = 0

    @settings(
        max_examples=batches,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    @given(st.lists(st.one_of(GRAMMATICAL, mutated(), SOUP), min_size=60, max_size=60), st.integers(0, 3))
    def batch(texts: Sequence[str], number: int) -> None:
        nonlocal total
        total += compare(texts, number, root)

    before = sorted(os.listdir(root))
    batch()
    assert total > 20 * batches  # lines that were accepted and compared
    assert sorted(os.listdir(root)) == before  # nothing accepted wrote a file


@pytest.mark.timeout(300)
def test_argv_of_every_stage_equals_that_of_bash(tree: Path) -> None:
    compare_many(tree, 60)


@pytest.mark.e2e
@pytest.mark.timeout(1800)
def test_argv_of_every_stage_equals_that_of_bash_on_very_many_lines(tree: Path) -> None:
    compare_many(tree, 600)


EVERYDAY = [
    "dmesg | grep -i -E 'cpu|nvidia' | tail -5",
    "cat /var/log/dpkg.log | head -3",
    "ls -la /var/log/*.log && echo ok; echo $?",
    "ps aux | sort -nrk4 | head -3",
    "ls -d */ .*/ */* */sub/* */../*/a dir//*.log .//d*//* ./.??* [!a]* [^a]*",
    "ls [[:upper:]]* *[[:space:]]* ?[]^]? [a-c]*[0-9]",
    "echo *[é]* ?t? ??? *.log$HOSTNAME",
    "grep 'x$' a <a 2>&1 >/dev/null || echo \"$? $HOME\" '$HOME' \\$HOME",
    "ls star\\* 'star'* \\[a\\] q[?] back\\\\slash back'\\'*",
    "echo a'b'\"c\"\\d\"\"'' '' \"\" $? -rf * -*",
]


@pytest.mark.parametrize("number", range(4))
def test_everyday_lines_equal_bash(tree: Path, number: int) -> None:
    assert compare(EVERYDAY, number, tree) == len(EVERYDAY)


def test_the_listing_of_the_oracle_is_what_the_contract_says(tree: Path) -> None:
    listing = RealListing(tree)
    assert listing.exists("dangling")
    assert not listing.is_dir("dangling")
    assert listing.is_dir("link")
    assert listing.entries("nosuch") == []


def test_a_backslash_of_a_variables_value_in_a_bracket_expression_is_not_guessed_at(tree: Path) -> None:
    """The value is `a\\`; bash takes the class that follows for one, or not, as it likes."""
    assert compare(["ls [^a$USER[:digit:]z-a-] 'x y'", "ls [a$USER] [$USER]*"], 3, tree) == 2


def test_a_class_at_the_end_of_a_range_is_refused(tree: Path) -> None:
    """Bash takes it for the class or for the range up to `[`, as it likes."""
    with pytest.raises(Refused) as raised:
        parse("echo [[:alnum:]!-[:alnum:]]")
    assert raised.value.code == "bracket"
    assert compare(["echo [-[:alnum:]] [[:alnum:]-[:digit:]] [a-][:alnum:]"], 0, tree) <= 1
