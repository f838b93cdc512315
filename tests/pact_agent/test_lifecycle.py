"""From a change on the node to its commit or its end, over real files, a real spool and a clock that a test sets."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pact_agent.contents import Contents
from pact_agent.dimensions.files import MOST_BYTES, Files
from pact_agent.parts import in_items
from pact_agent.saved import Undoing

from pactsh.errors import ConflictError, NotFoundError, PactError, RollbackError, UsageError
from pactsh.model.entry import Author, Draft
from pactsh.policy.model import Policy
from tests.pact_agent.localnode import body_of
from tests.pact_agent.recording import BOB as BOB_HERE
from tests.pact_agent.recording import Recording, caller, config_calls, recording

ALICE = Author("alice@org", ("pact-ops-ml-training",))
BOB = Author("bob@org", ("pact-ops-ml-training",))


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Recording]:
    with recording(tmp_path) as node:
        node.set("vm.swappiness", "60")
        node.set("net.core.somaxconn", "4096")
        node.set("net.ipv4.conf.eth0.forwarding", "0")
        asyncio.run(node.lifecycle.start("boot-1"))
        yield node


def types(node: Recording) -> list[str]:
    return [entry.type for entry in node.entries()]


def last(node: Recording, kind: str) -> Draft:
    return [entry for entry in node.entries() if entry.type == kind][-1]


def change(node: Recording, key: str, value: str, who: Author | None = ALICE) -> None:
    """Set a value as a command of `who` does, None: behind everybody's back; then the agent looks."""

    async def go() -> None:
        if who is None:
            node.set(key, value)
            await node.lifecycle.look()
            return
        with node.lifecycle.acting(who.principal, "kernel"):
            node.set(key, value)
            await node.lifecycle.look()

    asyncio.run(go())


def commit(node: Recording, who: Author = ALICE, **more: Any) -> int:
    """Commit; the journal numbers entries as the spool does."""
    _, number = asyncio.run(node.lifecycle.commit(who, "for A", **more))
    node.declared.sequenced(number, number)
    return number


def tick(node: Recording, seconds: float = 0) -> None:
    node.clock.pass_s(seconds)
    asyncio.run(node.lifecycle.tick())


def drift(node: Recording) -> list[tuple[str, str | None, str | None, str]]:
    return [(d.change.key, d.change.before, d.change.after, d.by) for d in node.lifecycle.drift]


# -- drift


def test_what_is_found_first_is_what_is_declared(node: Recording) -> None:
    assert (drift(node), node.lifecycle.state(), types(node)) == ([], "COMMITTED", [])


def test_a_change_is_drift_of_whoever_made_it_and_opens_a_window(node: Recording) -> None:
    change(node, "vm.swappiness", "10")
    assert drift(node) == [("vm.swappiness", "60", "10", "alice@org")]
    assert node.lifecycle.state() == "DRIFTED"
    # Magnitude: the kernel weighs 2, so sqrt(2); 900 / (1 + sqrt(2) * 2).
    assert node.lifecycle.window_left_s() == 235
    entry = last(node, "drift.detected")
    (item,) = body_of(entry)["changes"]
    assert (item["by"], item["change"]["key"], body_of(entry)["window_s"]) == ("alice@org", "vm.swappiness", 235)
    assert entry.author.principal == "agent:node042"
    assert "vm.swappiness 60 -> 10" in node.told[0]


def test_a_change_that_nobody_is_known_to_have_made_is_unattributed(node: Recording) -> None:
    change(node, "vm.swappiness", "10", None)
    assert drift(node) == [("vm.swappiness", "60", "10", "")]


def test_seen_again_it_is_no_news(node: Recording) -> None:
    change(node, "vm.swappiness", "10")
    before = types(node)
    tick(node, 20)
    change(node, "vm.swappiness", "10", BOB)
    assert (types(node), drift(node)[0][3], len(node.told)) == (before, "alice@org", 1)


def test_put_back_by_hand_it_is_over(node: Recording) -> None:
    change(node, "vm.swappiness", "10")
    change(node, "vm.swappiness", "60")
    assert (drift(node), node.lifecycle.window_left_s(), node.lifecycle.state()) == ([], None, "COMMITTED")
    assert types(node)[-1] == "drift.cleared"


def test_settings_that_come_and_go_with_an_interface_are_nobodys_change(node: Recording) -> None:
    change(node, "net.ipv4.conf.eth1.forwarding", "0")
    (node.settings / "net/ipv4/conf/eth0/forwarding").unlink()
    tick(node, 20)
    assert drift(node) == []
    change(node, "net.ipv4.conf.eth1.forwarding", "1")
    assert drift(node) == [("net.ipv4.conf.eth1.forwarding", "0", "1", "alice@org")]


def test_a_module_that_the_kernel_loads_when_it_needs_it_is_nobodys_change(node: Recording) -> None:
    hold(node)
    tick(node, 20)
    assert (drift(node), types(node)) == ([], ["drift.adopted"])
    assert body_of(last(node, "drift.adopted"))["changes"][0]["key"] == MODULE
    node.modules.write_text("")
    change(node, "vm.swappiness", "60")
    assert drift(node) == [(MODULE, "loaded", None, "alice@org")]


def test_while_a_node_comes_up_what_it_sets_up_is_nobodys_change_either(tmp_path: Path) -> None:
    with recording(tmp_path) as node:
        node.clock.pass_s(-900)  # 100 s after the boot
        node.set("vm.swappiness", "60")
        asyncio.run(node.lifecycle.start("boot-1"))
        change(node, "vm.swappiness", "30", None)
        assert (drift(node), types(node)) == ([], ["drift.adopted"])
        change(node, "vm.swappiness", "10", ALICE)
        assert drift(node) == [("vm.swappiness", "30", "10", "alice@org")]
        node.clock.pass_s(10)
        change(node, "vm.swappiness", "20", None)
        assert drift(node) == [("vm.swappiness", "30", "20", "")], "what somebody has touched is not the system's"
        node.clock.pass_s(300)
        change(node, "vm.swappiness", "30", None)
        change(node, "vm.swappiness", "5", None)
        assert drift(node) == [("vm.swappiness", "30", "5", "")]


def test_more_drift_shortens_the_window_and_never_lengthens_it(node: Recording) -> None:
    change(node, "vm.swappiness", "10")
    tick(node, 200)
    assert node.lifecycle.window_left_s() == 35
    change(node, "net.core.somaxconn", "99")
    assert node.lifecycle.window_left_s() == 35
    change(node, "vm.swappiness", "60")
    change(node, "net.core.somaxconn", "4096")
    change(node, "vm.swappiness", "10")
    assert node.lifecycle.window_left_s() == 235, "a new one"


@pytest.mark.parametrize(("mode", "state", "told"), [("observe", "OBSERVE_ONLY", 0), ("warn", "DRIFTED", 1)])
def test_without_enforcement_it_is_journaled_and_no_window_opens(
    node: Recording, mode: str, state: str, told: int
) -> None:
    node.policy = msgspec.convert({"vcluster": "ml-training", "enforcement_mode": mode}, Policy)
    change(node, "vm.swappiness", "10")
    assert (node.lifecycle.window_left_s(), node.lifecycle.state(), len(node.told)) == (None, state, told)
    tick(node, 10_000)
    assert (node.value("vm.swappiness"), types(node)) == ("10", ["drift.detected"])


def test_what_had_drifted_before_gets_a_window_when_the_policy_begins_to_enforce(node: Recording) -> None:
    enforcing, node.policy = node.policy, Policy("ml-training")
    change(node, "vm.swappiness", "10")
    tick(node, 5000)
    assert node.lifecycle.window_left_s() is None
    node.policy = enforcing
    tick(node)
    assert node.lifecycle.window_left_s() == 235
    assert "vm.swappiness 60 -> 10" in node.told[-1]
    tick(node, 240)
    assert node.value("vm.swappiness") == "60"


def test_where_it_no_longer_does_nothing_is_undone(node: Recording) -> None:
    change(node, "vm.swappiness", "10")
    node.policy = Policy("ml-training")
    tick(node, 1000)
    assert (node.value("vm.swappiness"), node.lifecycle.window_left_s()) == ("10", None)


# -- commit


def test_committed_it_is_declared_with_who_what_and_why_on_record(node: Recording) -> None:
    change(node, "vm.swappiness", "10")
    commit(node, session="s1")
    assert (drift(node), node.lifecycle.window_left_s(), node.lifecycle.state()) == ([], None, "COMMITTED")
    entry = last(node, "commit")
    assert (entry.author.principal, entry.message, entry.session) == ("alice@org", "for A", "s1")
    assert entry.delta is not None
    assert entry.delta["changes"] == [{"dimension": "kernel", "key": "vm.swappiness", "before": "60", "after": "10"}]
    tick(node, 10_000)
    assert node.value("vm.swappiness") == "10"
    change(node, "vm.swappiness", "60")
    assert drift(node) == [("vm.swappiness", "10", "60", "alice@org")]


def test_some_of_it_can_be_committed_and_the_rest_stays_in_the_window(node: Recording) -> None:
    change(node, "vm.swappiness", "10")
    change(node, "net.core.somaxconn", "99")
    commit(node, only=["kernel:vm.swappiness"])
    assert drift(node) == [("net.core.somaxconn", "4096", "99", "alice@org")]
    tick(node, 1000)
    assert (node.value("vm.swappiness"), node.value("net.core.somaxconn")) == ("10", "4096")


def test_of_two_who_commit_the_same_the_second_hears_of_the_first(node: Recording) -> None:
    change(node, "vm.swappiness", "10")
    change(node, "net.core.somaxconn", "99")
    number = commit(node, ALICE, only=["kernel:vm.swappiness"])
    with pytest.raises(ConflictError, match=rf"alice@org committed kernel:vm.swappiness \(seq:{number}\): for A"):
        commit(node, BOB, only=["kernel:vm.swappiness"])
    commit(node, BOB, only=["kernel:net.core.somaxconn"])
    assert types(node).count("commit") == 2
    with pytest.raises(ConflictError, match="bob@org committed"):
        commit(node, ALICE)
    node.clock.pass_s(1000)
    with pytest.raises(NotFoundError, match="nothing has drifted"):
        commit(node, ALICE)


@pytest.mark.parametrize(
    ("more", "error", "says"),
    [
        ({}, NotFoundError, "nothing has drifted"),
        ({"only": ["kernel:vm.nonsense"]}, NotFoundError, "kernel:vm.nonsense has not drifted"),
        ({"ttl": 899}, UsageError, "between 900 and 864000"),
        ({"ttl": 864_001}, UsageError, "between 900 and 864000"),
    ],
)
def test_a_commit_that_makes_no_sense_says_why(
    node: Recording, more: dict[str, Any], error: type[PactError], says: str
) -> None:
    with pytest.raises(error, match=says):
        commit(node, **more)
    assert types(node) == []


@pytest.mark.parametrize("message", ["", "  ", "x" * 1001, "a\x1b[2J"])
def test_it_needs_a_message_that_can_be_read(node: Recording, message: str) -> None:
    change(node, "vm.swappiness", "10")
    with pytest.raises(UsageError, match=r"say what it is for|a message of 1001 characters: at most 1000"):
        asyncio.run(node.lifecycle.commit(ALICE, message))
    assert len(drift(node)) == 1


def test_what_cannot_be_recorded_is_not_committed(node: Recording) -> None:
    change(node, "vm.swappiness", "10")
    node.disk.fails = True
    with pytest.raises(PactError, match="spool"):
        commit(node)
    node.disk.fails = False
    assert (len(drift(node)), node.lifecycle.deltas, node.declared.now.unsent) == (1, (), ())


# -- rollback and expiry


def test_a_rollback_puts_back_what_nobody_committed(node: Recording) -> None:
    change(node, "vm.swappiness", "10")
    commit(node)
    change(node, "vm.swappiness", "20")
    change(node, "net.core.somaxconn", "99", BOB)
    undone = asyncio.run(node.lifecycle.rollback(BOB, session="s2"))
    assert {c.key for c in undone.done} == {"vm.swappiness", "net.core.somaxconn"}
    assert (node.value("vm.swappiness"), node.value("net.core.somaxconn"), drift(node)) == ("10", "4096", [])
    begun, ended = last(node, "rollback.begun"), last(node, "rollback")
    assert (begun.author.principal, begun.session, body_of(begun)["id"]) == ("bob@org", "s2", body_of(ended)["id"])
    assert len(body_of(ended)["undone"]) == 2


def test_to_an_entry_it_undoes_what_was_committed_since(node: Recording) -> None:
    change(node, "vm.swappiness", "10")
    first = commit(node)
    change(node, "vm.swappiness", "20")
    commit(node)
    change(node, "net.core.somaxconn", "99")
    asyncio.run(node.lifecycle.rollback(BOB, to=first))
    assert (node.value("vm.swappiness"), node.value("net.core.somaxconn"), drift(node)) == ("10", "4096", [])
    assert [delta.seq for delta in node.lifecycle.deltas] == [first]
    asyncio.run(node.lifecycle.rollback(BOB, to=1))
    assert (node.value("vm.swappiness"), node.lifecycle.deltas) == ("60", ())
    with pytest.raises(NotFoundError, match="nothing to undo"):
        asyncio.run(node.lifecycle.rollback(BOB, to=1))


MODULE = "module:pact_no_such_module"


def hold(node: Recording) -> None:
    """Have a module loaded that another one uses."""
    node.modules.write_text("pact_no_such_module 16384 1 pact_its_user, Live 0x0000000000000000\n")


def test_what_is_held_is_named_with_its_holder_and_the_rest_is_undone(node: Recording) -> None:
    hold(node)
    change(node, "net.core.somaxconn", "99")
    with pytest.raises(RollbackError, match=r"module pact_no_such_module is in use: pact_its_user holds"):
        asyncio.run(node.lifecycle.rollback(BOB))
    assert node.value("net.core.somaxconn") == "4096"
    body = body_of(last(node, "rollback"))
    assert [c["key"] for c in body["undone"]] == ["net.core.somaxconn"]
    assert [f["change"]["key"] for f in body["failed"]] == [MODULE]
    assert [h["command"] for h in body["failed"][0]["holders"]] == ["pact_its_user"]
    assert [d[0] for d in drift(node)] == [MODULE]


def test_at_the_end_of_the_window_it_is_rolled_back(node: Recording) -> None:
    change(node, "vm.swappiness", "10")
    tick(node, 234)
    assert node.value("vm.swappiness") == "10"
    tick(node, 2)
    assert (node.value("vm.swappiness"), drift(node), node.lifecycle.state()) == ("60", [], "COMMITTED")
    entry = last(node, "rollback")
    assert (entry.author.principal, body_of(entry)["reason"]) == ("agent:node042", "expired")
    assert "rolled back: 1 change undone (expired)" in node.told


def test_what_is_held_then_is_tried_again_until_it_is_let_go(node: Recording) -> None:
    hold(node)
    change(node, "vm.swappiness", "10")
    tick(node, 300)
    assert (node.lifecycle.state(), node.value("vm.swappiness")) == ("CONVERGING", "60")
    for _ in range(3):
        tick(node, 20)
    assert types(node).count("rollback") == 1, "tries that change nothing are no entries"
    node.modules.write_text("")
    tick(node, 20)
    assert (drift(node), node.lifecycle.state()) == ([], "COMMITTED")
    assert [len(body_of(e)["failed"]) for e in node.entries() if e.type == "rollback"] == [1, 0]


def test_what_is_committed_meanwhile_is_undone_no_more(node: Recording) -> None:
    hold(node)
    change(node, "vm.swappiness", "60")
    tick(node, 300)
    assert node.lifecycle.state() == "CONVERGING"
    commit(node)
    assert node.lifecycle.state() == "COMMITTED"
    node.modules.write_text(node.modules.read_text().replace(" pact_its_user,", " -"))
    tick(node, 60)
    assert (types(node)[-1], drift(node)) == ("commit", [])


def test_before_the_end_each_is_told_of_what_is_theirs_and_of_what_is_nobodys(node: Recording) -> None:
    node.policy = Policy("ml-training", enforcement_mode="enforce", base_commit_window_seconds=3600)
    change(node, "vm.swappiness", "10")
    left = node.lifecycle.window_left_s()
    assert left == 940
    tick(node, left - 301)
    assert node.told_each == []
    for _ in range(3):
        tick(node, 1)
    alices = "1 change of yours (kernel:vm.swappiness) not committed: rolled back in 5 min"
    assert node.told_each == [("alice@org", alices)]
    asyncio.run(node.restarted().start("boot-1"))
    tick(node, 1)
    assert len(node.told_each) == 1, "what was told once is not told by the next agent"
    node.told_each.clear()
    node.clock.pass_s(10)  # longer ago than what a command of hers may still bring about
    change(node, "net.core.somaxconn", "5", None)
    tick(node, 230)
    assert node.told_each == [
        ("alice@org", "1 change of yours (kernel:vm.swappiness) not committed: rolled back in 1 min"),
        ("bob@org", "1 change by nobody known (kernel:net.core.somaxconn) not committed: rolled back in 1 min"),
    ]


def test_the_end_of_a_short_window_is_told_of_too_but_not_while_it_is_held_off(node: Recording) -> None:
    node.policy = Policy("ml-training", enforcement_mode="enforce", base_commit_window_seconds=60)
    change(node, "vm.swappiness", "10")
    tick(node, 29)
    assert node.told_each == []
    tick(node, 1)
    assert [text.rpartition(" in ")[2] for _, text in node.told_each] == ["30 s"]
    node.emergency = True
    tick(node, 25)
    assert len(node.told_each) == 1
    node.emergency = False
    tick(node, 0)
    assert [text.rpartition(" in ")[2] for _, text in node.told_each] == ["30 s", "6 s"]


def test_it_can_be_extended_while_it_is_open(node: Recording) -> None:
    with pytest.raises(ConflictError, match="no commit window is open"):
        asyncio.run(node.lifecycle.extend(ALICE, 15))
    change(node, "vm.swappiness", "10")
    assert asyncio.run(node.lifecycle.extend(ALICE, 15)) == 235 + 900
    for minutes in (0, -5, 1441):
        with pytest.raises(UsageError, match="between 1 and 1440"):
            asyncio.run(node.lifecycle.extend(ALICE, minutes))
    tick(node, 1000)
    assert node.value("vm.swappiness") == "10"
    assert body_of(last(node, "window.extended")) == {"minutes": 15, "left_s": 1135}


def test_in_an_emergency_nothing_is_rolled_back_by_itself(node: Recording) -> None:
    change(node, "vm.swappiness", "10")
    node.emergency = True
    tick(node, 1000)
    assert node.value("vm.swappiness") == "10"
    node.emergency = False
    tick(node)
    assert node.value("vm.swappiness") == "60"


@pytest.mark.parametrize("again", [False, True])
def test_a_delta_ends_when_its_time_is_over(node: Recording, again: bool) -> None:
    change(node, "vm.swappiness", "10")
    commit(node, ttl=900)
    change(node, "net.core.somaxconn", "99")
    commit(node)
    tick(node, 899)
    assert node.value("vm.swappiness") == "10"
    if again:  # somebody is at it: that is drift of its own, with a window of its own
        change(node, "vm.swappiness", "20", BOB)
    tick(node, 2)
    assert (node.value("vm.swappiness"), node.value("net.core.somaxconn")) == ("20" if again else "60", "99")
    assert drift(node) == ([("vm.swappiness", "60", "20", "bob@org")] if again else [])
    assert [delta.changes[0].key for delta in node.lifecycle.deltas] == ["net.core.somaxconn"]
    assert (body_of(last(node, "rollback"))["reason"], last(node, "commit").ttl) == ("ttl", None)
    assert [entry.ttl for entry in node.entries() if entry.type == "commit"] == [900, None]


def test_it_ends_too_when_the_agent_was_not_there(node: Recording) -> None:
    change(node, "vm.swappiness", "10")
    commit(node, ttl=900)
    node.clock.pass_s(5000)
    restart(node)
    tick(node)
    assert (node.value("vm.swappiness"), node.lifecycle.deltas) == ("60", ())


# -- the agent's own end


def restart(node: Recording, boot: str = "boot-1") -> None:
    asyncio.run(node.restarted().start(boot))


def test_after_a_restart_the_window_goes_on(node: Recording) -> None:
    change(node, "vm.swappiness", "10")
    tick(node, 100)
    restart(node)
    assert (drift(node), node.lifecycle.window_left_s()) == ([("vm.swappiness", "60", "10", "alice@org")], 135)


def test_after_a_restart_what_is_committed_is_put_back(node: Recording) -> None:
    change(node, "vm.swappiness", "10")
    commit(node)
    node.set("vm.swappiness", "60")
    restart(node)
    assert (node.value("vm.swappiness"), drift(node)) == ("10", [])
    assert [c["after"] for c in body_of(last(node, "converged"))["undone"]] == ["60"]


def test_what_changed_while_no_agent_looked_is_drift(node: Recording) -> None:
    node.set("vm.swappiness", "10")
    restart(node)
    assert drift(node) == [("vm.swappiness", "60", "10", "")]


def test_after_a_boot_the_kernels_values_are_declared_and_deltas_put_back(node: Recording) -> None:
    change(node, "vm.swappiness", "10")
    commit(node)
    change(node, "net.core.somaxconn", "99")
    node.set("vm.swappiness", "60")
    node.set("net.core.somaxconn", "8192")  # another kernel, another default
    restart(node, "boot-2")
    assert (node.value("vm.swappiness"), node.value("net.core.somaxconn"), drift(node)) == ("10", "8192", [])
    assert node.lifecycle.window_left_s() is None


def test_a_rollback_that_was_cut_short_is_finished(node: Recording) -> None:
    """The agent ends after it has said that it will undo, before it has."""
    change(node, "vm.swappiness", "10")
    work = Undoing("x", ALICE, "", "expired", tuple(d.change for d in node.lifecycle.drift))
    asyncio.run(node.declared.step(msgspec.structs.replace(node.declared.now, undoing=work, window=None)))
    restart(node)
    assert (node.value("vm.swappiness"), node.lifecycle.state()) == ("60", "COMMITTED")
    assert body_of(last(node, "rollback"))["id"] == "x"


def test_after_a_boot_it_writes_no_values_of_the_last_one(node: Recording) -> None:
    change(node, "vm.swappiness", "10")
    work = Undoing("x", ALICE, "", "expired", tuple(d.change for d in node.lifecycle.drift))
    asyncio.run(node.declared.step(msgspec.structs.replace(node.declared.now, undoing=work, window=None)))
    node.set("vm.swappiness", "30")
    restart(node, "boot-2")
    assert (node.value("vm.swappiness"), drift(node), node.lifecycle.state()) == ("30", [], "COMMITTED")


def test_a_state_that_cannot_be_read_is_begun_anew_on_record(node: Recording) -> None:
    (node.directory / "config" / "state.json").write_text("{nonsense")
    restart(node)
    assert "state.json" in body_of(last(node, "audit.degraded"))["reason"]
    assert (node.directory / "config" / "state.broken").read_text() == "{nonsense"
    assert drift(node) == []


def test_values_of_any_bytes_are_kept_across_a_restart(node: Recording) -> None:
    """One link to a name that is not UTF-8 must not stop what everybody else does."""
    (node.settings / "vm/swappiness").write_bytes(b"\xff\x1b[2J\n")
    asyncio.run(node.lifecycle.look())
    value = drift(node)[0][2]
    restart(node)
    assert drift(node) == [("vm.swappiness", "60", value, "")]


def test_what_is_learned_while_a_step_fails_is_not_lost(node: Recording) -> None:
    change(node, "vm.swappiness", "10")
    _, number = asyncio.run(node.lifecycle.commit(ALICE, "for A"))
    change(node, "vm.swappiness", "20")

    async def go() -> None:
        node.disk.waiting.clear()
        node.disk.slow.clear()
        failing = asyncio.create_task(node.lifecycle.commit(ALICE, "again"))
        await asyncio.to_thread(node.disk.waiting.wait, 30)
        node.declared.sequenced(number, 77)
        node.disk.fails = True
        node.disk.slow.set()
        with contextlib.suppress(PactError):
            await failing
        node.disk.fails = False

    asyncio.run(go())
    assert node.lifecycle.deltas[0].seq == 77


def test_a_full_disk_does_not_hold_up_what_the_journal_says(node: Recording) -> None:
    change(node, "vm.swappiness", "10")
    _, number = asyncio.run(node.lifecycle.commit(ALICE, "for A"))
    (node.directory / "config" / "state.json.new").mkdir()
    node.declared.sequenced(number, 77)
    assert node.lifecycle.deltas[0].seq == 77


def test_more_than_an_entry_holds_comes_in_parts(tmp_path: Path) -> None:
    """Somebody unpacks a distribution into /etc: it is seen and undone, though no one entry can say all of it."""
    keys = [f"kernel.{'k' * 150}{number:04}" for number in range(500)]
    with recording(tmp_path) as node:
        for key in keys:
            node.set(key, "1")
        asyncio.run(node.lifecycle.start("boot-1"))
        for key in keys:
            node.set(key, "2" * 150)
        asyncio.run(node.lifecycle.look())
        asyncio.run(node.lifecycle.commit(ALICE, "some", only=[f"kernel:{keys[0]}"]))
        (item, *more) = in_items(asyncio.run(config_calls(node).answer(caller(BOB_HERE), "diff", {})))
        assert sum(len(part["drift"]) for part in (item, *more) if isinstance(part["drift"], list)) == 499
        asyncio.run(node.lifecycle.rollback(BOB))
        assert {node.value(key) for key in keys[1:]} == {"1"}
        for kind, field in (("drift.detected", "changes"), ("rollback.begun", "changes"), ("rollback", "undone")):
            bodies = [body_of(entry) for entry in node.entries() if entry.type == kind]
            assert len(bodies) > 1
            assert sum(len(body[field]) for body in bodies) == (500 if kind == "drift.detected" else 499)
        assert len({body["id"] for body in bodies}) == 1


def test_contents_that_nobody_wants_any_more_do_not_pile_up(node: Recording, tmp_path: Path) -> None:
    """A file that is written anew all the time, beside one that is to be put back."""
    etc = tmp_path / "etc"
    etc.mkdir()
    (etc / "wanted").write_text("as it was")
    kept = Contents(tmp_path / "kept")
    files = Files(kept, (str(etc),))
    node.also.append(files)
    asyncio.run(node.restarted().start("boot-1"))
    before = files.snapshot()
    (etc / "wanted").unlink()
    for number in range(66):
        (etc / "busy").write_bytes(bytes([number]) * MOST_BYTES)
        asyncio.run(node.lifecycle.look())
    node.clock.pass_s(10)
    asyncio.run(node.lifecycle.tick())
    assert os.path.getsize(tmp_path / "kept") < 3 * MOST_BYTES
    now = files.snapshot()
    (etc / "busy").write_text("another")
    files.apply(str(etc / "wanted"), before[str(etc / "wanted")])
    files.apply(str(etc / "busy"), now[str(etc / "busy")])
    assert ((etc / "wanted").read_text(), (etc / "busy").read_bytes()[:3]) == ("as it was", bytes([65]) * 3)
    kept.close()
