"""The option parser against glibc's own `getopt_long` (through util-linux `getopt`)."""

from __future__ import annotations

import shlex
import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pactsh.catalog.getopt import read_options
from pactsh.catalog.match import match
from pactsh.catalog.reading import Reading, Refusal
from pactsh.catalog.schema import Command, Keyword, Operand, Option, Sub

OPTIONS = (
    Option(names="-a --all"),
    Option(names="-b --back"),
    Option(names="-o --output", value="string"),
    Option(names="-c --color", value="string", optional=True),
    Option(names="--colour-map", value="string"),
    Option(names="--backwards"),
    Option(names="-z"),
)
SPEC = ["-o", "abo:c::z", "-l", "all,back,output:,color::,colour-map:,backwards"]
WORD = st.one_of(
    st.sampled_from(
        ["--", "-", "-o", "-ab", "-aoX", "-cX", "-c", "--all", "--al", "--back", "--backw", "--b", "--out"]
    ),
    st.sampled_from(
        ["--output=x", "--output", "--o=", "--col", "--colo", "--color", "--color=x", "--colour", "--all=x"]
    ),
    st.from_regex(r"-{0,2}[aboczx=]{0,5}", fullmatch=True),
)


def glibc(words: list[str], posix: bool) -> list[str] | None:
    """What getopt_long makes of the words: options in full, `--`, operands; None for an error."""
    spec = ["-o", "+" + SPEC[1], *SPEC[2:]] if posix else SPEC
    done = subprocess.run(["getopt", *spec, "--", *words], capture_output=True, text=True, env={"PATH": "/usr/bin"})
    return shlex.split(done.stdout) if done.returncode == 0 else None


def ours(words: list[str], posix: bool) -> list[str] | None:
    """What the catalog's parser makes of them: what is run, read again by glibc, and the operands."""
    command = Command(name="x", summary="", group="text", paths=("/usr/bin/x",), options=OPTIONS)
    reading = Reading("x", ("x", *words), "/", out=["x", *words])
    try:
        found = read_options(reading, command.table, 1, exact=False, permute=not posix, numeric="")
    except Refusal:
        return None
    return [str(reading.out[i]) for i in found]


@pytest.mark.skipif(not shutil.which("getopt"), reason="no getopt here: apt-get install util-linux")
@settings(max_examples=300, deadline=None)
@given(st.lists(WORD, max_size=5), st.booleans())
def test_it_finds_the_operands_glibc_finds_and_refuses_what_glibc_refuses(words: list[str], posix: bool) -> None:
    theirs = glibc(words, posix)
    found = ours(words, posix)
    assert (found is None) == (theirs is None)
    if theirs is not None:
        assert found == theirs[theirs.index("--", _options_end(theirs)) + 1 :]


def _options_end(words: list[str]) -> int:
    """Where option values can no longer be mistaken for the `--` before the operands."""
    index = 0
    while words[index] != "--":
        index += 2 if words[index] in ("-o", "--output", "-c", "--color", "--colour-map") else 1
    return index


@pytest.mark.parametrize(
    ("words", "run"),
    [
        (["--al"], ["--all"]),
        (["--out", "x"], ["--output", "x"]),
        (["--outp=x"], ["--output=x"]),
        (["--", "--al"], ["--", "--al"]),
        (["-o", "--al"], ["-o", "--al"]),
    ],
)
def test_an_abbreviation_is_run_in_full(words: list[str], run: list[str]) -> None:
    operands = (Operand(kind="string", count="*"),)
    command = Command(name="x", summary="", group="text", options=OPTIONS, operands=operands)
    assert match(command, ("x", *words), "/").argv == ("x", *run)


def test_a_denied_option_counts_for_abbreviations() -> None:
    """`--comp` must not become the harmless `--compact` while `--compress-program` exists."""
    options = (Option(names="--compact"), Option(names="--compress-program", value="string", deny="runs it"))
    command = Command(name="x", summary="", group="text", options=options)
    with pytest.raises(Refusal) as caught:
        match(command, ("x", "--comp"), "/")
    assert caught.value.code == "ambiguous"


TREE = Command(
    name="ipx",
    summary="",
    group="network",
    grammar="tree",
    abbreviate=True,
    commands=(
        Sub(
            names="link",
            commands=(
                Sub(
                    names="set",
                    change="network",
                    keywords=(
                        Keyword(names="dev", value="interface"),
                        Keyword(names="up"),
                        Keyword(names="netns", value="string", deny="leaves"),
                    ),
                    operands=(Operand(kind="interface", count="?"),),
                ),
                Sub(names="show", default=True),
            ),
        ),
        Sub(names="netns", commands=(Sub(names="exec", deny="runs programs"),)),
    ),
)


@pytest.mark.parametrize("words", [("li", "se", "eth0", "up"), ("link", "set", "dev", "netns", "up"), ("l",)])
def test_a_tree_reads_keywords_and_prefixes(words: tuple[str, ...]) -> None:
    found = match(TREE, ("ipx", *words), "/")
    assert found.argv[1] == "link"
    assert found.dimension == ("network" if len(words) > 1 else "")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("link", "set", "eth0", "netns", "1"), "denied"),
        (("link", "set", "eth0", "netn", "1"), "ambiguous"),
        (("link", "set", "n", "1"), "ambiguous"),
        (("link", "s"), "ambiguous"),
        (("net", "exec", "sh"), "denied"),
        (("n", "e", "sh"), "denied"),
        (("nonsense",), "unknown-subcommand"),
        (("link", "set", "dev"), "missing-value"),
        (("link", "set", "-x"), "unknown-option"),
    ],
)
def test_a_tree_refuses_what_a_prefix_could_stand_for(words: tuple[str, ...], code: str) -> None:
    with pytest.raises(Refusal) as caught:
        match(TREE, ("ipx", *words), "/")
    assert caught.value.code == code
