"""Kinds of values: what each takes, what it refuses, and how narrowing works."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pactsh.catalog.kinds import KINDS, LONGEST, judge, secret_objection, shown
from pactsh.catalog.schema import Operand
from tests.pactsh.catalog.deciding import decided

TAKES = {
    "int": ["0", "-5", "+5", "0x1F"],
    "number": ["0.2", "5", ".5"],
    "size": ["10", "10k", "+5", "1MiB"],
    "duration": ["5", "0.5s", "2h"],
    "host": ["localhost", "node-1.example.org", "10.0.0.1", "::1", "fe80::1", "2001:db8::1"],
    "address": ["10.0.0.1/24", "fe80::1%eth0", "default"],
    "interface": ["eth0", "bond0.100", "lo"],
    "unit": ["sshd", "getty@tty1.service"],
    "sysctl": ["vm.swappiness", "net/ipv4/ip_forward"],
    "pid": ["1", "4194304"],
    "pids": ["1,2", "1 2"],
    "user": ["root", "DOM\\user", "a.b"],
}
REFUSES = {
    "int": ["", "x", "1.5", "\u0663", "1\n", "1e3"],
    "number": ["", "1e9", "nan", "inf", "0,2"],
    "size": ["x", "-", "1.5k"],
    "duration": ["infinity", "-1", ""],
    "host": ["-f", "a b", "a;b", "", "x\n"],
    "address": ["-b", "a b", ""],
    "interface": ["-x", "a/b", "x" * 40],
    "unit": ["/x", "-x", "a b", "a*"],
    "sysctl": ["/kernel", "..", "a..b", "-x", "a=b"],
    "pid": ["-1", "x", "99999999999"],
    "pids": ["1,-1", ""],
    "user": ["-x", "a b", "$(x)"],
}


@pytest.mark.parametrize(("kind", "word"), [(k, w) for k, words in TAKES.items() for w in words])
def test_a_kind_takes(kind: str, word: str) -> None:
    assert judge(kind, Operand(kind=kind), word, "/") is None


@pytest.mark.parametrize(("kind", "word"), [(k, w) for k, words in REFUSES.items() for w in words])
def test_a_kind_refuses(kind: str, word: str) -> None:
    objection = judge(kind, Operand(kind=kind), word, "/")
    assert objection is not None
    assert objection.code == "bad-value"


def test_numbers_keep_to_their_range() -> None:
    place = Operand(kind="number", low=0.2, high=10)
    assert judge("number", place, "0.2", "/") is None
    too_small = judge("number", place, "0.19", "/")
    assert too_small is not None
    assert too_small.hint == "give a number from 0.2 to 10"
    assert judge("number", place, "9" * 40, "/") is not None


def test_choices_of_a_list_are_judged_one_by_one() -> None:
    place = Operand(kind="list", choices=("csv", "noheader"))
    assert judge("list", place, "csv,noheader", "/") is None
    assert judge("list", place, "csv,x", "/") is not None
    assert judge("list", place, "", "/") is not None


def test_a_file_is_read_a_path_is_only_looked_at() -> None:
    assert judge("path", Operand(kind="path"), "/etc/shadow", "/") is None
    assert judge("file", Operand(kind="file"), "/etc/shadow", "/") is not None
    assert judge("file", Operand(kind="file"), "/proc", "/", walked=True) is not None
    assert secret_objection("shadow", "/etc") is not None
    assert secret_objection("hosts", "/etc") is None


def test_a_word_in_a_message_cannot_move_the_cursor() -> None:
    assert shown("a\x1b[2Jb\u202e") == "'a\\x1b[2Jb\\x202e'"
    assert len(shown("x" * 100)) < 50


@given(st.sampled_from(sorted(KINDS)), st.text(max_size=50))
def test_judging_never_raises(kind: str, word: str) -> None:
    judge(kind, Operand(kind=kind, low=1, choices=("a",)), word, "/")


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_no_value_is_longer_than_matching_it_can_bear(kind: str) -> None:
    """Some patterns take the square of the length, and a line may hold 64 KiB."""
    word = "a" * (LONGEST + 1)
    objection = judge(kind, Operand(kind=kind, match="[a-z]+", choices=(word,)), word, "/")
    assert objection is not None
    assert objection.code == "bad-value"


@pytest.mark.parametrize(
    ("each", "word", "fits"),
    [
        (",", "a,b", True),
        (",", "a", True),
        (",", "a,,b", False),
        (",", "a,", False),
        (",", "a,x", False),
        (", ", "a, b", True),
        (", ", "a b,", False),
        ("", "a,b", False),
    ],
)
def test_a_pattern_may_be_for_each_item_of_a_list(each: str, word: str, fits: bool) -> None:
    assert (judge("string", Operand(kind="string", match="[ab]", each=each), word, "/") is None) == fits
    place = Operand(kind="string", refuse="x", each=",")
    assert (judge("string", place, "a,x,b", "/") is None, judge("string", place, "a,b", "/") is None) == (False, True)


def test_a_cluster_holds_only_so_many_letters() -> None:
    assert decided("ls -" + "l" * 100).verdict == "allow"
    assert decided("ls -" + "l" * 60_000).code == "bad-value"
    assert decided("grep -e" + "x" * 3000).verdict == "allow"
