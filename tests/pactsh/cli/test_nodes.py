"""Nodesets: what they name, what is refused, and that nothing outside is asked."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from pactsh.cli.nodes import MOST, Groups, fold_nodes, groups_in, parse_nodes, resolve
from pactsh.errors import UsageError

MEMBERS = {"ml": ["node001", "node002", "node003"], "web": ["www1"], "none": []}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("node042", ("node042",)),
        ("node042,node043,node042", ("node042", "node043")),
        ("node[040-042,051]", ("node040", "node041", "node042", "node051")),
        ("node[1-3]!node2", ("node1", "node3")),
        ("node[1-3]&node[2-9]", ("node2", "node3")),
        ("n[0-4/2]", ("n0", "n2", "n4")),
        ("r[1-2]n[1-2]", ("r1n1", "r1n2", "r2n1", "r2n2")),
        ("@ml", ("node001", "node002", "node003")),
        ("@ml!node002,www1", ("node001", "node003", "www1")),
        ("@*", ("node001", "node002", "node003", "www1")),
        ("node*!node003", ("node001", "node002")),
    ],
)
def test_what_a_nodeset_names(text: str, names: tuple[str, ...]) -> None:
    assert parse_nodes(text, MEMBERS) == names


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "names no node"),
        (",", "names no node"),
        ("node1!node1", "names no node"),
        ("node[1-3", "bracket"),
        ("node[3-1]", "3-1"),
        ("node[a-b]", "a-b"),
        ("node1!", "operand"),
        ("Node1", "expected names"),
        ("-o,x", "expected names"),
        ("node042;id", "expected names"),
        ("é[1-2]", "expected names"),
        ("x" * 64, "expected names"),
        ("@a:b", "groups are vClusters"),
        ("@@", "groups are vClusters"),
        ("@@ml", "groups are vClusters"),
        (f"node[0-{MOST}]", "more than"),
        ("n[1-1000]x[1-1000]", "more than"),
        ("n[1-" + "9" * 4000 + "]", "more than"),
        ("node," * 300_000, "more than"),
    ],
)
def test_what_is_no_nodeset_says_why(text: str, says: str) -> None:
    with pytest.raises(UsageError, match=r"^nodes: ") as caught:
        parse_nodes(text, MEMBERS)
    assert says in caught.value.message
    assert len(caught.value.message) < 400


def test_no_groups_of_this_machine_are_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ClusterShell by itself reads group files of the user's, and runs what they name through a shell."""
    marker = tmp_path / "ran"
    conf = tmp_path / "clustershell"
    conf.mkdir()
    upcall = f"touch {marker}; echo evil1"
    (conf / "groups.conf").write_text(f"[Main]\ndefault: x\n[x]\nmap: {upcall}\nall: {upcall}\nlist: {upcall}\n")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("CLUSTERSHELL_CFGDIR", str(conf))
    assert parse_nodes("@*,node[1-2],evil*", {"ml": ["n1"]}) == ("n1", "node1", "node2")
    assert fold_nodes(["@x", "node1", "node2"]) == "@x,node[1-2]"
    assert not marker.exists()


def resolved(text: str, exclude: str = "", members: Mapping[str, Iterable[str]] = MEMBERS) -> tuple[object, ...]:
    asked: list[Groups] = []

    async def lookup(groups: Groups) -> Mapping[str, Iterable[str]]:
        asked.append(groups)
        return members

    return asyncio.run(resolve(text, exclude, lookup)), asked


def test_the_journal_is_asked_for_what_is_named_and_only_then() -> None:
    assert resolved("node[1-2]") == (("node1", "node2"), [])
    assert resolved("@ml", "@web,node001") == (("node002", "node003"), [Groups(("ml", "web"), False)])
    assert resolved("node*") == (("node001", "node002", "node003"), [Groups((), True)])


@pytest.mark.parametrize(
    ("text", "exclude", "says"),
    [
        ("@nope", "", "@nope: no such vCluster"),
        ("@none", "", "@none"),
        ("node1", "@nope", "@nope"),
        ("@ml", "@ml", "no node"),
    ],
)
def test_who_names_nobody_is_told(text: str, exclude: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        resolved(text, exclude)
    assert says in caught.value.message


def test_which_vclusters_are_named() -> None:
    assert groups_in("node1") == Groups((), False)
    assert groups_in("@ml,@web!@ml") == Groups(("ml", "web"), False)
    assert groups_in("@m[1-2]").all
