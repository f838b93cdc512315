"""Each check of the fuzz run finds the mistake it is there for, and lets the same line without it pass."""

from __future__ import annotations

import dataclasses

import msgspec
import pytest

from fuzz import oracles
from fuzz.watched import Finding, Watched, watch
from fuzz.wording import check_fed, check_options
from pactsh.catalog.schema import Command, Grants, Keyword, Operand, Option, Sub
from pactsh.policy.decision import Program, StageDecision
from pactsh.policy.model import CommandOverlay, Narrowing
from tests.pactsh.catalog.deciding import decided, shipped

GNU = Command(
    name="x", summary="", group="text", paths=("/usr/bin/x",),
    options=(
        Option(names="-a --all"), Option(names="-o --output", value="file", deny="writes"),
        Option(names="-f", value="file"),
        Option(names="-R", recursive=True),
    ),
    operands=(Operand(kind="file", count="*"),),
)  # fmt: skip
VERBS = Command(
    name="x", summary="", group="text", options=(Option(names="-a"),),
    commands=(Sub(names="show", operands=(Operand(kind="word", count="*"),)), Sub(names="kill", deny="kills"),
              Sub(names="own", options=(Option(names="-z"), Option(names="-y", deny="is bad")))),
)  # fmt: skip
EXACT = Command(
    name="x", summary="", group="text", grammar="exact",
    options=(Option(names="-long", value="int"), Option(names="-exec", deny="runs")),
    operands=(Operand(kind="word", count="*"),),
)  # fmt: skip
TREE = Command(
    name="x", summary="", group="text", grammar="tree",
    options=(Option(names="-j"), Option(names="-b", value="file", deny="reads")),
    commands=(
        Sub(names="link", commands=(
            Sub(names="set",
                keywords=(Keyword(names="dev", value="word"), Keyword(names="netns", value="word", deny="leaves")),
                operands=(Operand(kind="word", count="*"),)),
            Sub(names="show", default=True, operands=(Operand(kind="word", count="*"),)),
            Sub(names="add", deny="makes one"),
        )),
    ),
)  # fmt: skip


def options(command: Command, run: str, typed: str = "") -> None:
    """Check `run`; our reader is watched over `typed`, or the same."""
    argv = tuple((typed or run).split(" "))
    watched = watch(command, argv, "/")
    check_options(command, tuple(run.split(" ")), watched)


@pytest.mark.parametrize(
    ("command", "run", "typed"),
    [
        (GNU, "x -a b", ""),
        (GNU, "x --all b", "x --al b"),
        (GNU, "x b -a -- -c", ""),
        (GNU, "x -af v w", ""),
        (VERBS, "x -a show b", ""),
        (VERBS, "x own -z", ""),
        (EXACT, "x -long 5 b", ""),
        (TREE, "x -j link set dev netns", ""),
        (TREE, "x link", ""),
    ],
)
def test_a_line_as_it_was_judged_passes(command: Command, run: str, typed: str) -> None:
    options(command, run, typed)


@pytest.mark.parametrize(
    ("command", "run", "typed", "says"),
    [
        (GNU, "x -o b", "x -a b", "denied"),
        (GNU, "x -ao b", "x -a b", "denied"),
        (GNU, "x --outp=b", "x -a b", "denied"),
        (GNU, "x -z", "x", "glibc refuses"),
        (GNU, "x -a", "x", "we judged"),
        (GNU, "x -f -a", "x -f -R", "we judged"),
        (GNU, "x b", "x -- -b", "finds operands"),
        (GNU, "x a b", "x b a", "finds operands"),
        (VERBS, "x kill", "x show", "subcommand 'kill'"),
        (VERBS, "x own -y", "x own -z", "denied"),
        (VERBS, "x sho", "x show", "subcommand 'sho'"),
        (EXACT, "x -exec", "x", "denied"),
        (EXACT, "x -lon", "x", "no option"),
        (EXACT, "x -long=5 -exec", "x", "denied"),
        (TREE, "x -b link", "x link", "denied"),
        (TREE, "x -B link", "x link", "no option"),
        (TREE, "x link add", "x link", "denied"),
        (TREE, "x lin show", "x link", "not in the tree"),
        (TREE, "x link set netns a", "x link", "denied"),
        (TREE, "x link set netn a", "x link", "may stand for"),
        (TREE, "x link set dev a -b", "x link", "looks like an option"),
    ],
)
def test_an_option_that_was_not_judged_is_found(command: Command, run: str, typed: str, says: str) -> None:
    with pytest.raises(Finding, match=says):
        options(command, run, typed)


@pytest.mark.parametrize(
    ("name", "run"),
    [
        ("ps", "ps -e"),
        ("ps", "ps auxe"),
        ("ps", "ps --nosuch"),
        ("ps", "ps -n x"),
        ("lsof", "lsof -tD x"),
        ("lsof", "lsof -i -r 1"),
        ("find", "find . -exec ls"),
        ("find", "find . -- -delete"),
        ("pkill", "pkill -P 5 -q -19 x"),
        ("mount", "mount -o suid -t nfs a:/b /c"),
        ("mount", "mount -t nfs a:/b /c"),
        ("mount", "mount -o nosuid,nodev -t ext4 a:/b /c"),
        ("ip", "ip -b x link"),
        ("ip", "ip link set eth0 netn 1"),
        ("xxd", "xxd -r x"),
    ],
)
def test_what_real_commands_must_not_be_given(name: str, run: str) -> None:
    command = shipped()[name]
    argv = tuple(run.split(" "))
    with pytest.raises(Finding):
        check_options(command, argv, Watched(name, argv, "/", out=list(argv)))


@pytest.mark.parametrize(
    ("argv", "cwd"),
    [
        ("x /etc/shadow", "/"),
        ("x -f /etc/shadow", "/"),
        ("x //etc//./x/../shadow", "/"),
        ("x shadow", "/etc"),
        ("x /var/run/secrets/x", "/"),
        ("x /root", "/"),
        ("x sda", "/dev"),
        ("x /home/a/.ssh/id", "/"),
        ("x -R /proc/bus", "/"),
        ("x -R .", "/"),
    ],
)
def test_a_secret_is_found_by_any_path(argv: str, cwd: str) -> None:
    words = tuple(argv.split(" "))
    watched = Watched("x", words, cwd, out=list(words))
    watched.walked = "-R" in words
    watched.values = [("file", Operand(kind="file"), words[-1])]
    with pytest.raises(Finding):
        oracles.check_paths(watched, cwd)
    watched.values = [("string", Operand(kind="string"), "/etc/shadow"), ("file", Operand(kind="file"), "/etc/hosts")]
    oracles.check_paths(watched, cwd)


NONE = Grants()


def stage(
    command: Command, grants: Grants = NONE, *, paths: tuple[str, ...] | None = None, reads: bool = True
) -> StageDecision:
    program = Program(command.paths if paths is None else paths, grants)
    return StageDecision(("x",), command.name, False, "read" if reads else "change", None, program)


def test_rights_that_a_reading_stage_must_not_have() -> None:
    oracles.check_rights(stage(GNU, Grants(caps=("cap_net_raw",), net=True)), GNU)
    oracles.check_rights(stage(GNU, Grants(write=("/proc",)), reads=False), GNU)
    for grants in (
        Grants(write=("/x",)),
        Grants(exec=("/bin/sh",)),
        Grants(caps=("cap_sys_admin",)),
        Grants(unconfined=True),
    ):
        with pytest.raises(Finding, match="is granted"):
            oracles.check_rights(stage(GNU, grants), GNU)
    with pytest.raises(Finding, match="another program"):
        oracles.check_rights(stage(GNU, paths=("/bin/sh",)), GNU)


def test_files_that_are_read_for_a_program() -> None:
    fed = msgspec.structs.replace(GNU, feed="gzip", operands=(Operand(kind="regex"), Operand(kind="file", count="*")))
    argv = ("x", "-a", "p", "--", "-f", "g")
    watched = watch(fed, argv, "/")
    right = dataclasses.replace(stage(fed), argv=argv, feed="gzip", fed=(4, 5))
    check_fed(fed, right, watched)
    for wrong in ({"fed": (4,)}, {"fed": (2, 4, 5)}, {"fed": (3, 4, 5)}, {"feed": ""}):
        with pytest.raises(Finding):
            check_fed(fed, dataclasses.replace(right, **wrong), watched)
    check_fed(GNU, stage(GNU), watched)
    with pytest.raises(Finding):
        check_fed(GNU, right, watched)


def test_what_an_overlay_took_away() -> None:
    watched = watch(GNU, ("x", "-a"), "/")
    oracles.check_overlay(CommandOverlay(remove=("y",), narrow=(Narrowing("x", options=("-b",)),)), stage(GNU), watched)
    for overlay in (CommandOverlay(remove=("x",)), CommandOverlay(narrow=(Narrowing("x", options=("--all",)),))):
        with pytest.raises(Finding):
            oracles.check_overlay(overlay, stage(GNU), watched)
    read_only = CommandOverlay(narrow=(Narrowing("x", read_only=True),))
    with pytest.raises(Finding):
        oracles.check_overlay(read_only, stage(GNU, reads=False), watched)


@pytest.mark.parametrize(
    ("text", "operators", "redirects"),
    [
        ("a | b;c&&d||e", ["|", ";", "&&", "||"], []),
        ('a \'|\' ";" \\; "\\"|" # | ;', [], []),
        ("a#b | c", ["|"], []),
        ("a <b 2>&1 >'/dev/null'", [], [("<", "b"), ("2>&", "1"), (">", "'/dev/null'")]),
        ("a 2>x a2>y &>z", [], [("2>", "x"), (">", "y"), ("&>", "z")]),
        ("a|<b c", ["|"], [("<", "b")]),
        ("a & b", ["&"], []),
    ],
)
def test_the_outline_of_a_text(text: str, operators: list[str], redirects: list[tuple[str, str]]) -> None:
    found = oracles.outline(text)
    assert (list(found.operators), list(found.redirects)) == (operators, redirects)


@pytest.mark.parametrize(
    "text", ["a >x", "a >>/dev/null", "a 3>&1", "a & b", "a |& b", "a | b | c", "a 2>&2", "a <<x", "a < "]
)
def test_a_text_that_no_allowed_line_has(text: str) -> None:
    with pytest.raises(Finding):
        oracles.check_text(text, 2 if "b" in text else 1)
    oracles.check_text("a </etc/hosts 2>&1 >/dev/null | b; # done", 2)


def test_every_grammar_of_the_catalog_has_a_check() -> None:
    for command in shipped().values():
        argv = (command.name,)
        if decided(command.name).verdict == "allow":
            check_options(command, argv, watch(command, argv, "/"))
    unknown = Command(name="x", summary="", group="text", grammar="nosuch")
    with pytest.raises(Finding, match="no check"):
        check_options(unknown, ("x",), watch(shipped()["true"], ("true",), "/"))
