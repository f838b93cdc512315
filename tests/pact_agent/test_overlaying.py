"""A vCluster's overlay on a node: applied whole, or put back and told; over it the node's own deltas."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from pact_agent.saved import Applying
from pact_agent.spoolfiles import SpoolError

from pactsh.errors import PactError
from pactsh.model.delta import Change
from pactsh.model.entry import Author, Draft
from pactsh.model.overlay import Overlay
from tests.pact_agent.localnode import body_of
from tests.pact_agent.recording import Recording, Settings, recording

ALICE = Author("alice@org", ("pact-ops-ml-training",))


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Recording]:
    with recording(tmp_path) as node:
        for key, value in (("vm.swappiness", "60"), ("vm.dirty_ratio", "20"), ("net.ipv4.tcp_rmem", "1\t2\t3")):
            node.set(key, value)
        asyncio.run(node.lifecycle.start("boot-1"))
        yield node


def overlay(version: int, overwrite: dict[str, tuple[str, ...]] | None = None, /, **kernel: str) -> Overlay:
    values = {key.replace("__", "."): value for key, value in kernel.items()}
    return Overlay("ml-training", version, {"kernel": values} if values else {}, {}, overwrite or {})


def take(node: Recording, wanted: Overlay) -> None:
    node.lifecycle.overlay_arrived(wanted)
    asyncio.run(node.lifecycle.tick())


def change(node: Recording, key: str, value: str) -> None:
    node.set(key, value)
    asyncio.run(node.lifecycle.look())


def commit(node: Recording) -> str:
    delta, number = asyncio.run(node.lifecycle.commit(ALICE, "for A"))
    node.declared.sequenced(number, 4000 + number)
    return delta.id


def entries(node: Recording, kind: str) -> list[Draft]:
    return [entry for entry in node.entries() if entry.type == kind]


def drift(node: Recording) -> list[tuple[str, str | None, str | None]]:
    return [(d.change.key, d.change.before, d.change.after) for d in node.lifecycle.drift]


def test_it_is_applied_and_is_what_is_declared_from_then_on(node: Recording) -> None:
    take(node, overlay(1, vm__swappiness="10", vm__dirty_ratio="20"))
    assert (node.value("vm.swappiness"), drift(node)) == ("10", [])
    (entry,) = entries(node, "overlay.applied")
    body = body_of(entry)
    assert (body["version"], [c["key"] for c in body["applied"]], body["superseded"]) == (1, ["vm.swappiness"], [])
    change(node, "vm.swappiness", "33")
    assert drift(node) == [("vm.swappiness", "10", "33")]
    asyncio.run(node.lifecycle.rollback(ALICE))
    assert node.value("vm.swappiness") == "10"
    node.set("vm.swappiness", "60")  # as a boot does
    asyncio.run(node.restarted().start("boot-2"))
    assert (node.value("vm.swappiness"), drift(node)) == ("10", [])


def test_a_node_that_was_moved_goes_by_nothing_of_the_vcluster_that_it_left(node: Recording) -> None:
    take(node, overlay(1, vm__swappiness="10"))
    take(node, Overlay("ml-training"))  # a journal that lost it takes nothing back
    assert (node.value("vm.swappiness"), len(entries(node, "overlay.applied"))) == ("10", 1)
    take(node, Overlay("hpc"))
    assert (node.value("vm.swappiness"), drift(node)) == ("60", [])
    take(node, Overlay("hpc"))
    assert len(entries(node, "overlay.applied")) == 2


def test_what_it_no_longer_names_is_as_it_was_before(node: Recording) -> None:
    take(node, overlay(1, vm__swappiness="10", vm__dirty_ratio="5"))
    take(node, overlay(2, vm__dirty_ratio="5"))
    assert (node.value("vm.swappiness"), node.value("vm.dirty_ratio"), drift(node)) == ("60", "5", [])
    take(node, overlay(3))
    assert (node.value("vm.dirty_ratio"), drift(node)) == ("20", [])


def test_it_is_taken_once(node: Recording) -> None:
    for _ in range(2):
        take(node, overlay(1, vm__swappiness="10"))
    asyncio.run(node.restarted().start("boot-1"))
    take(node, overlay(1, vm__swappiness="10"))
    assert len(entries(node, "overlay.applied")) == 1


def test_one_key_that_can_not_be_applied_leaves_all_as_it_was(node: Recording) -> None:
    take(node, overlay(1, vm__swappiness="30"))
    take(node, overlay(2, vm__swappiness="10", vm__dirty_ratio="5", no__such="1"))
    assert (node.value("vm.swappiness"), node.value("vm.dirty_ratio"), drift(node)) == ("30", "20", [])
    (entry,) = entries(node, "overlay.failed")
    body = body_of(entry)
    assert (body["version"], body["left"]) == (2, [])
    assert body["reasons"] == ["kernel:no.such: no.such: No such file or directory"]
    assert "could not be applied, and is put back" in node.told[-1]
    take(node, overlay(2, vm__swappiness="10", vm__dirty_ratio="5", no__such="1"))
    assert len(entries(node, "overlay.failed")) == 1, "not again and again"
    take(node, overlay(3, vm__swappiness="10"))
    assert node.value("vm.swappiness") == "10"


def test_the_nodes_own_delta_comes_first(node: Recording) -> None:
    change(node, "vm.swappiness", "1")
    commit(node)
    take(node, overlay(1, vm__swappiness="10", vm__dirty_ratio="5"))
    assert (node.value("vm.swappiness"), node.value("vm.dirty_ratio"), drift(node)) == ("1", "5", [])
    asyncio.run(node.lifecycle.rollback(ALICE, to=1))
    assert (node.value("vm.swappiness"), node.lifecycle.deltas) == ("10", ()), "without it the overlay's"


def test_a_delta_that_the_overlay_says_as_well_falls_away(node: Recording) -> None:
    change(node, "vm.swappiness", "10")
    first = commit(node)
    change(node, "net.ipv4.tcp_rmem", "4\t5\t6")
    change(node, "vm.dirty_ratio", "7")
    second = commit(node)
    take(node, overlay(1, vm__swappiness="10", net__ipv4__tcp_rmem="4 5 6"))
    assert [[c.key for c in delta.changes] for delta in node.lifecycle.deltas] == [["vm.dirty_ratio"]]
    assert drift(node) == []
    (fallen, part) = body_of(entries(node, "overlay.applied")[0])["superseded"]
    assert (fallen["id"], fallen["keys"], fallen["seq"] > 4000) == (first, ["kernel:vm.swappiness"], True)
    assert (part["id"], part["keys"]) == (second, ["kernel:net.ipv4.tcp_rmem"])


def test_of_several_deltas_the_last_counts(node: Recording) -> None:
    """One that falls away must not bring back what it had replaced."""
    take(node, overlay(1, vm__swappiness="3"))
    for value in ("6", "3"):
        change(node, "vm.swappiness", value)
        commit(node)
    take(node, overlay(2, vm__swappiness="3", vm__dirty_ratio="30"))
    assert (drift(node), node.value("vm.swappiness"), node.lifecycle.deltas) == ([], "3", ())
    take(node, overlay(3, vm__swappiness="9", vm__dirty_ratio="30"))
    assert node.value("vm.swappiness") == "9"


def test_one_that_ends_by_itself_uncovers_what_was_there_before(node: Recording) -> None:
    take(node, overlay(1, vm__swappiness="3"))
    change(node, "vm.swappiness", "6")
    commit(node)
    change(node, "vm.swappiness", "3")
    asyncio.run(node.lifecycle.look())
    asyncio.run(node.lifecycle.commit(ALICE, "for a while", ttl=900))
    take(node, overlay(2, vm__swappiness="3", vm__dirty_ratio="30"))
    assert (drift(node), node.value("vm.swappiness"), len(node.lifecycle.deltas)) == ([], "3", 2)
    node.clock.pass_s(1000)
    asyncio.run(node.lifecycle.tick())
    assert (node.value("vm.swappiness"), drift(node)) == ("6", [])


def test_a_delta_that_it_is_to_overwrite_falls_away(node: Recording) -> None:
    change(node, "vm.swappiness", "1")
    commit(node)
    take(node, overlay(1, {"node043": ("kernel:vm.swappiness",)}, vm__swappiness="10"))
    assert node.value("vm.swappiness") == "1", "another node's"
    take(node, overlay(2, {"node042": ("kernel:vm.swappiness",)}, vm__swappiness="11"))
    assert (node.value("vm.swappiness"), node.lifecycle.deltas, drift(node)) == ("11", (), [])


def test_what_has_drifted_stays_in_its_window(node: Recording) -> None:
    change(node, "vm.swappiness", "33")
    take(node, overlay(1, vm__swappiness="10"))
    assert (node.value("vm.swappiness"), drift(node)) == ("33", [("vm.swappiness", "10", "33")])
    node.clock.pass_s(1000)
    asyncio.run(node.lifecycle.tick())
    assert (node.value("vm.swappiness"), drift(node)) == ("10", []), "not committed: the overlay's"


def test_while_it_can_not_be_recorded_nothing_is_applied(node: Recording) -> None:
    node.disk.fails = True
    node.lifecycle.overlay_arrived(overlay(1, vm__swappiness="10"))
    with pytest.raises(SpoolError):
        asyncio.run(node.lifecycle.tick())
    assert node.value("vm.swappiness") == "60"
    node.disk.fails = False
    asyncio.run(node.restarted().start("boot-1"))
    take(node, overlay(1, vm__swappiness="10"))
    assert (node.value("vm.swappiness"), len(entries(node, "overlay.applied"))) == ("10", 1)


def test_what_was_committed_before_the_files_were_lost_is_taken_over(node: Recording, tmp_path: Path) -> None:
    change(node, "vm.swappiness", "10")
    commit(node)
    change(node, "vm.dirty_ratio", "5")
    commit(node)
    deltas = node.lifecycle.deltas
    for path in (tmp_path / "config").iterdir():
        path.unlink()
    node.set("vm.swappiness", "60")  # the new image's
    node.set("vm.dirty_ratio", "20")
    asyncio.run(node.restarted().start("boot-2"))
    assert (node.declared.is_new, node.lifecycle.deltas) == (True, ())
    assert not asyncio.run(node.lifecycle.restore(deltas, lambda: False))  # something was written since
    assert (node.declared.is_new, node.lifecycle.deltas) == (True, ())
    assert asyncio.run(node.lifecycle.restore(deltas, lambda: True))
    assert (node.lifecycle.deltas, node.value("vm.swappiness"), node.value("vm.dirty_ratio")) == (deltas, "10", "5")
    asyncio.run(node.lifecycle.look())
    assert drift(node) == []
    asyncio.run(node.lifecycle.restore(deltas, lambda: True))
    assert (node.lifecycle.deltas, len(entries(node, "converged"))) == (deltas, 1)
    asyncio.run(node.restarted().start("boot-2"))
    assert not node.declared.is_new


# -- what may not happen


@pytest.fixture
def network(node: Recording, tmp_path: Path) -> Settings:
    """The node's links, beside its settings."""
    made = Settings(tmp_path / "net", "network")
    made.set("link:eth0", "state=up mtu=1500")
    node.also.append(made)
    asyncio.run(node.restarted().start("boot-1"))
    return made


def of(version: int, dimension: str, **values: str) -> Overlay:
    return Overlay("ml-training", version, {dimension: {f"link:{key}": value for key, value in values.items()}})


def test_an_overlay_that_cuts_the_node_off_is_put_back(node: Recording, network: Settings) -> None:
    node.reaches = False
    take(node, of(1, "network", eth0="state=down"))
    assert network.value("link:eth0") == "state=up mtu=1500"
    assert body_of(entries(node, "overlay.failed")[0])["reasons"] == ["network: the journal does not answer any more"]
    take(node, overlay(2, vm__swappiness="10"))
    assert node.value("vm.swappiness") == "10", "what is no matter of the network asks nobody"
    node.reaches = True
    take(node, of(3, "network", eth0="mtu=9000"))
    assert network.value("link:eth0") == "state=up mtu=9000"


def test_what_an_overlay_names_is_nobodys_to_change_while_the_node_boots_either(node: Recording) -> None:
    take(node, overlay(1, vm__swappiness="10"))
    node.clock.pass_s(-900)  # 100 s after a boot
    for _ in range(3):
        change(node, "vm.swappiness", "77")
    assert (drift(node), entries(node, "drift.adopted")) == ([("vm.swappiness", "10", "77")], [])
    asyncio.run(node.lifecycle.rollback(ALICE))
    take(node, overlay(2))
    assert node.value("vm.swappiness") == "60"


def test_one_that_has_to_wait_stops_no_window(node: Recording, network: Settings) -> None:
    change(node, "vm.swappiness", "33")
    network.broken = True
    node.lifecycle.overlay_arrived(of(1, "network", eth0="state=up"))
    node.clock.pass_s(2000)
    with pytest.raises(PactError, match="network can't be read"):
        asyncio.run(node.lifecycle.tick())
    assert (node.value("vm.swappiness"), drift(node)) == ("60", [])
    network.broken = False
    asyncio.run(node.lifecycle.tick())
    assert len(entries(node, "overlay.applied")) == 1, "it has waited"


def test_until_the_journal_has_told_what_was_committed_it_is_asked(node: Recording) -> None:
    assert node.declared.is_new
    asyncio.run(node.restarted().start("boot-1"))
    assert node.declared.is_new, "it did not answer before this restart"
    asyncio.run(node.lifecycle.restore((), lambda: True))
    asyncio.run(node.restarted().start("boot-1"))
    assert not node.declared.is_new


def test_what_the_overlay_says_is_not_restored_over_it(node: Recording) -> None:
    change(node, "vm.swappiness", "10")
    commit(node)
    change(node, "vm.dirty_ratio", "5")
    commit(node)
    deltas = node.lifecycle.deltas
    asyncio.run(node.lifecycle.rollback(ALICE, to=1))
    take(node, overlay(1, {"node042": ("kernel:vm.dirty_ratio",)}, vm__swappiness="10", vm__dirty_ratio="9"))
    assert not asyncio.run(node.lifecycle.restore(deltas, lambda: False))  # something was written since
    assert (node.declared.is_new, node.lifecycle.deltas) == (True, ())
    assert asyncio.run(node.lifecycle.restore(deltas, lambda: True))
    assert (node.lifecycle.deltas, node.value("vm.swappiness"), node.value("vm.dirty_ratio")) == ((), "10", "9")


def test_an_overlay_that_takes_the_node_down_twice_is_not_tried_again(node: Recording) -> None:
    wanted = overlay(1, vm__swappiness="10")
    for boot in ("boot-2", "boot-3"):
        work = Applying(wanted, (Change("kernel", "vm.swappiness", "10", "60"),))
        asyncio.run(node.declared.step(msgspec.structs.replace(node.declared.now, applying=work, failing=None)))
        asyncio.run(node.restarted().start(boot))
        assert node.declared.now.applying is None
        assert node.value("vm.swappiness") == "60", "a boot has undone it, and it comes again with the journal"
    (entry,) = entries(node, "overlay.failed")
    assert "went down twice" in body_of(entry)["reasons"][0]
    for boot in ("boot-4", "boot-5"):
        asyncio.run(node.restarted().start(boot))
        take(node, wanted)
        assert node.value("vm.swappiness") == "60"
    take(node, overlay(2, vm__swappiness="11"))
    assert node.value("vm.swappiness") == "11"


def test_whoever_has_changed_what_it_declares_is_told_and_nobody_else(node: Recording) -> None:
    with node.lifecycle.acting("alice@org", "kernel"):
        change(node, "vm.swappiness", "10")
        change(node, "net.ipv4.tcp_rmem", "3\t3\t3")
    take(node, overlay(1, vm__swappiness="33", vm__dirty_ratio="5"))
    assert node.value("vm.swappiness") == "10", "hers until her window ends"
    said = "kernel:vm.swappiness, which you changed to 10, is declared as 33"
    end = "what you do not commit becomes what is declared"
    assert node.told_each == [("alice@org", f"version 1 of the overlay: {said}; {end}")]
    take(node, overlay(1, vm__swappiness="33", vm__dirty_ratio="5"))
    take(node, overlay(2, vm__swappiness="33", vm__dirty_ratio="6"))
    assert len(node.told_each) == 1, "said once"
    take(node, overlay(3, vm__swappiness="10"))
    assert node.told_each[1:] == [
        ("alice@org", "version 3 of the overlay: kernel:vm.swappiness is declared as you have it")
    ]


def test_of_an_overlay_that_is_put_back_nobody_is_told_more_than_that(node: Recording) -> None:
    with node.lifecycle.acting("alice@org", "kernel"):
        change(node, "vm.swappiness", "10")
    take(node, overlay(1, vm__swappiness="33", no__such="1"))
    assert node.told_each == []
