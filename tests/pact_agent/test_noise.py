"""What is no drift: patterns of the vCluster and of the node, in force at once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from pact_agent.cutoff import CONSOLE

from pactsh.errors import ConflictError, NotFoundError, PolicyError, UsageError
from pactsh.model.blacklist import MOST_PATTERNS, covers
from pactsh.model.delta import Change, Drifted
from pactsh.model.entry import Author
from tests.pact_agent.localnode import body_of
from tests.pact_agent.recording import Recording, recording

ALICE = Author("alice@org", ("pact-ops-ml-training",))


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Recording]:
    with recording(tmp_path) as node:
        for key in ("vm.swappiness", "vm.dirty_ratio", "kernel.panic"):
            node.set(key, "60")
        asyncio.run(node.lifecycle.start("boot-1"))
        for key in ("vm.swappiness", "vm.dirty_ratio"):
            node.set(key, "10")
        asyncio.run(node.lifecycle.look())
        yield node


def drifted(node: Recording) -> list[str]:
    return [item.change.key for item in node.lifecycle.drift]


def ignore(node: Recording, pattern: str, *, end: bool = False) -> None:
    asyncio.run(node.lifecycle.ignore(ALICE, pattern, session="s1", end=end))


def test_a_pattern_of_the_node_counts_at_once_and_is_on_record(node: Recording) -> None:
    assert drifted(node) == ["vm.dirty_ratio", "vm.swappiness"]
    ignore(node, "kernel:vm.swappiness")
    assert drifted(node) == ["vm.dirty_ratio"]
    ignore(node, "vm.dirty_ratio")
    assert (drifted(node), node.lifecycle.window_left_s()) == ([], None)
    (first, second) = (entry for entry in node.entries() if entry.type == "blacklist.added")
    assert (first.author, first.session, body_of(first)) == (ALICE, "s1", {"pattern": "kernel:vm.swappiness"})
    assert body_of(second) == {"pattern": "vm.dirty_ratio"}
    asyncio.run(node.restarted().start("boot-1"))
    assert drifted(node) == [], "the next agent knows it"
    ignore(node, "vm.dirty_ratio", end=True)
    assert drifted(node) == ["vm.dirty_ratio"]
    assert node.entries()[-2].type == "blacklist.removed"


def test_a_pattern_of_the_policy_counts_from_the_next_look(node: Recording) -> None:
    node.policy = msgspec.structs.replace(node.policy, blacklist=("kernel:vm.swappiness",))
    asyncio.run(node.lifecycle.look())
    assert drifted(node) == ["vm.dirty_ratio"]
    assert ("kernel:vm.swappiness", "vcluster") in node.lifecycle.noise.patterns()
    with pytest.raises(ConflictError, match="vcluster"):
        ignore(node, "kernel:vm.swappiness")
    with pytest.raises(NotFoundError) as raised:
        ignore(node, "kernel:vm.swappiness", end=True)
    assert "--vcluster" in raised.value.hint


def test_who_may_have_been_cut_off_can_not_hide_that(node: Recording) -> None:
    down = Drifted(Change("network", "link:eth0", "state=up", "state=down"), "alice@org", "")
    saved = msgspec.structs.replace(node.declared.now, drift=(*node.lifecycle.drift, down))
    asyncio.run(node.declared.step(saved))
    for pattern in ("network:link:eth0", "link:eth0"):
        with pytest.raises(PolicyError, match="opened after it"):
            ignore(node, pattern)
    assert "link:eth0" in drifted(node)
    asyncio.run(node.lifecycle.ignore(ALICE, "network:link:eth0", reached=CONSOLE))
    assert node.declared.now.ignored == ("network:link:eth0",)


def test_what_is_built_in_stays(node: Recording) -> None:
    with pytest.raises(NotFoundError) as raised:
        ignore(node, "/tmp/**", end=True)
    assert "built in" in raised.value.hint
    with pytest.raises(NotFoundError):
        ignore(node, "never.there", end=True)


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        " ",
        "files:/**",
        "mounts:/*",
        "network:/**",
        "kernel:",
        "/etc/*.bak",
        "*",
        "**",
        "/**",
        "/*",
        "kernel:vm.*",
        "/a/../b",
        "/a//b/**",
        "/a\nb",
        "x" * 1025,
        " /a",
    ],
)
def test_what_is_no_pattern_is_refused(node: Recording, pattern: str) -> None:
    with pytest.raises(UsageError, match="blacklist"):
        ignore(node, pattern)
    assert drifted(node) == ["vm.dirty_ratio", "vm.swappiness"]


def test_there_is_an_end_to_patterns(node: Recording) -> None:
    many = tuple(f"/a/{number}" for number in range(MOST_PATTERNS))
    asyncio.run(node.declared.step(msgspec.structs.replace(node.declared.now, ignored=many)))
    with pytest.raises(UsageError, match="at most"):
        ignore(node, "/b")


@pytest.mark.parametrize(
    ("pattern", "dimension", "key", "covered"),
    [
        ("/scratch/**", "mounts", "/scratch", True),
        ("/scratch/**", "files", "/scratch/a/b", True),
        ("/scratch/**", "files", "/scratchpad", False),
        ("/etc/*", "files", "/etc/a", True),
        ("/etc/*", "files", "/etc/a/b", False),
        ("/etc/*", "files", "/etc", False),
        ("files:/etc/cron.d/**", "files", "/etc/cron.d/x", True),
        ("files:/etc/cron.d/**", "mounts", "/etc/cron.d/x", False),
        ("network:link:veth0", "network", "link:veth0", True),
        ("link:veth0", "network", "link:veth0", True),
        ("vm.swappiness", "kernel", "vm.swappiness", True),
        ("vm.swap", "kernel", "vm.swappiness", False),
        ("module:nvme", "kernel", "module:nvme", True),
    ],
)
def test_what_patterns_cover(pattern: str, dimension: str, key: str, covered: bool) -> None:
    assert covers(pattern, dimension, key) is covered
