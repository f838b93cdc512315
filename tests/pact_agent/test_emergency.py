"""Emergency mode, and what it is for: a node whose disk takes no record any more."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pact_agent.emergency import LENGTH_S, Emergency
from pact_agent.lastresort import KMSG, LastResort
from pact_agent.recorder import Recorder

from pactsh.errors import ConflictError, ForbiddenError, PactError, UsageError
from pactsh.model.identity import Identity
from tests.pact_agent.localnode import BIN, LocalNode, body_of
from tests.pact_agent.recording import ALICE, Recording, calls_of, emergency_of, recording

MakeNode = Callable[..., LocalNode]
ROOT = Identity("root@org", ("pact-platform-admin",), "human", "ssh")
OTHER = Identity("other@org", ("pact-platform-admin",), "human", "ssh")
AI = Identity("ai@org", ("pact-platform-admin",), "service", "token")
VIEWER = Identity("vera@org", ("pact-viewer-ml-training",), "human", "ssh")
KERNEL_LOG = pytest.mark.skipif(
    not os.access(KMSG, os.W_OK), reason="no kernel log to write to: run as root where there is one"
)


def begin(emergency: Emergency, who: Identity = ROOT, reason: str = "disk died") -> None:
    asyncio.run(emergency.start(who, reason))


def test_it_lasts_four_hours_by_a_clock_that_cannot_jump(tmp_path: Path) -> None:
    with recording(tmp_path) as node:
        emergency = emergency_of(node)
        assert emergency.active() is None
        begin(emergency)
        node.clock.pass_s(LENGTH_S - 1)
        assert emergency.active() is not None
        node.clock.pass_s(2)
        assert emergency.active() is None
        assert [(e.type, e.message, e.author.principal) for e in node.entries()] == [
            ("emergency.start", "disk died", "root@org")
        ]


@pytest.mark.parametrize("reason", ["", "   ", "x" * 1001, "a\x1b[2Jb", "two\nlines\x00"])
def test_it_needs_a_reason_that_can_be_read(tmp_path: Path, reason: str) -> None:
    with recording(tmp_path) as node:
        emergency = emergency_of(node)
        with pytest.raises(UsageError):
            begin(emergency, reason=reason)
        assert emergency.active() is None
        assert node.entries() == []


def test_there_is_one_at_a_time_and_who_began_it_ends_it(tmp_path: Path) -> None:
    with recording(tmp_path) as node:
        emergency = emergency_of(node)
        with pytest.raises(ConflictError):
            asyncio.run(emergency.end(ROOT, force=True))
        begin(emergency)
        with pytest.raises(ConflictError, match=r"root@org until .*disk died"):
            begin(emergency, OTHER)
        with pytest.raises(ForbiddenError):
            asyncio.run(emergency.end(OTHER, force=True))
        node.clock.pass_s(LENGTH_S + 1)
        with pytest.raises(ForbiddenError):
            asyncio.run(emergency.end(OTHER, force=False))
        with pytest.raises(ConflictError, match="over but not ended"):
            begin(emergency, OTHER)
        asyncio.run(emergency.end(OTHER, force=True))
        assert emergency.active() is None
        assert [e.type for e in node.entries()] == ["emergency.start", "emergency.end"]


def test_of_two_who_begin_at_once_one_is_told(tmp_path: Path) -> None:
    with recording(tmp_path) as node:
        emergency = emergency_of(node)

        async def both() -> list[object]:
            started = (emergency.start(who, "disk died") for who in (ROOT, OTHER))
            return list(await asyncio.gather(*started, return_exceptions=True))

        answers = asyncio.run(both())
        assert sorted(isinstance(answer, ConflictError) for answer in answers) == [False, True]
        assert [e.type for e in node.entries()] == ["emergency.start"]


def test_who_hangs_up_while_it_is_recorded_leaves_it_on_record_and_on(tmp_path: Path) -> None:
    with recording(tmp_path) as node:
        emergency = emergency_of(node)
        node.disk.slow.clear()

        async def hang_up() -> None:
            starting = asyncio.create_task(emergency.start(ROOT, "disk died"))
            await asyncio.to_thread(node.disk.waiting.wait, 30)
            starting.cancel()
            await asyncio.wait({starting})
            node.disk.slow.set()
            async with asyncio.timeout(30):
                while emergency.active() is None:
                    await asyncio.sleep(0.01)

        asyncio.run(hang_up())
        assert [e.type for e in node.entries()] == ["emergency.start"]


def test_it_outlives_the_agent_and_a_boot_for_as_long_as_it_had_left(tmp_path: Path) -> None:
    with recording(tmp_path) as node:
        begin(emergency_of(node))
        node.clock.pass_s(LENGTH_S - 100)
        for boot in ("boot-1", "boot-2"):
            node.restarted()
            emergency = emergency_of(node, boot)
            active = emergency.active()
            assert active is not None
            assert (active.principal, active.reason) == ("root@org", "disk died")
        node.clock.pass_s(101)
        assert (emergency.active(), emergency.begun() is not None) == (None, True)
        asyncio.run(emergency.end(ROOT, force=False))
        node.restarted()
        assert emergency_of(node).begun() is None


def test_when_its_time_has_run_out_it_is_said_once(tmp_path: Path) -> None:
    with recording(tmp_path) as node:
        emergency = emergency_of(node)
        begin(emergency)
        asyncio.run(emergency.check())
        node.clock.pass_s(LENGTH_S + 1)
        for _ in range(3):
            asyncio.run(emergency.check())
        node.restarted()
        asyncio.run(emergency_of(node).check())
        assert [e.type for e in node.entries()] == ["emergency.start", "emergency.stale"]
        assert body_of(node.entries()[1])["began_by"] == "root@org"
        assert node.told == ["the emergency that root@org began is over its time: end it, with --force if need be"]


def test_a_disk_that_keeps_nothing_does_not_stop_one(tmp_path: Path) -> None:
    with recording(tmp_path) as node:
        emergency = emergency_of(node)
        (tmp_path / "config").rename(tmp_path / "gone")
        begin(emergency)
        assert emergency.active() is not None


def ended(node: Recording, emergency: Emergency, who: Identity = ROOT, **params: Any) -> list[str]:
    """End it as `pact emergency --end` does; the entries that there are then."""
    calls = calls_of(node, emergency=emergency)

    async def ask() -> None:
        async for _ in calls.answer(who, "emergency_end", params, "s1"):
            pass

    asyncio.run(ask())
    return [entry.type for entry in node.entries()]


def drifted(node: Recording) -> Emergency:
    """An emergency in which a setting was changed."""
    node.set("vm.swappiness", "60")
    asyncio.run(node.lifecycle.start("boot-1"))
    emergency = emergency_of(node)
    begin(emergency)
    node.set("vm.swappiness", "10")
    return emergency


def test_who_ends_it_says_what_becomes_of_what_has_drifted(tmp_path: Path) -> None:
    with recording(tmp_path) as node:
        emergency = drifted(node)
        unclear: list[dict[str, Any]] = [{}, {"commit": "x", "rollback": True}]
        for params in unclear:
            with pytest.raises(UsageError, match="1 change not committed: say what becomes of it"):
                ended(node, emergency, **params)
        with pytest.raises(ForbiddenError):
            ended(node, emergency, OTHER, rollback=True)
        assert (emergency.begun() is not None, node.value("vm.swappiness")) == (True, "10")


@pytest.mark.parametrize(
    ("params", "value", "types"),
    [
        ({"commit": "mended"}, "10", ["commit", "emergency.end"]),
        ({"rollback": True}, "60", ["rollback.begun", "rollback", "emergency.end"]),
    ],
)
def test_it_ends_with_a_commit_or_a_rollback(
    tmp_path: Path, params: dict[str, Any], value: str, types: list[str]
) -> None:
    with recording(tmp_path) as node:
        emergency = drifted(node)
        assert ended(node, emergency, **params)[-len(types) :] == types
        assert (emergency.begun(), node.value("vm.swappiness"), node.lifecycle.drift) == (None, value, ())
        assert node.entries()[-len(types)].session == "s1"


def test_where_nothing_has_drifted_it_just_ends(tmp_path: Path) -> None:
    with recording(tmp_path) as node:
        ways: list[dict[str, Any]] = [{}, {"commit": "x"}, {"rollback": True}]
        for params in ways:
            emergency = emergency_of(node)
            begin(emergency)
            assert ended(node, emergency, **params)[-1] == "emergency.end"


@pytest.mark.parametrize("who", [VIEWER, AI], ids=["viewer", "machine"])
@pytest.mark.parametrize("method", ["emergency_start", "emergency_end"])
def test_viewers_and_machines_neither_begin_nor_end_one(tmp_path: Path, who: Identity, method: str) -> None:
    with recording(tmp_path) as node:
        emergency = emergency_of(node)
        calls = calls_of(node, emergency=emergency)

        async def ask() -> None:
            async for _ in calls.answer(who, method, {"reason": "x"}):
                pass

        with pytest.raises(ForbiddenError, match=r"an emergency on a node of vCluster ml-training"):
            asyncio.run(ask())


# -- a disk that takes nothing


def recorder_with(node: Recording, log: Path) -> Recorder:
    log.touch()
    return Recorder(node.spool, "node042", node.clock, LastResort("node042", str(log)))


def test_what_happened_meanwhile_follows_in_order_with_its_own_time(tmp_path: Path) -> None:
    with recording(tmp_path / "spool") as node:
        recorder = recorder_with(node, tmp_path / "log")

        async def go() -> None:
            assert await recorder.write("intent", ROOT, {"line": "before"}) == 1
            node.disk.fails = True
            assert await recorder.write("intent", ROOT, {"line": "first"}) == 0
            node.clock.pass_s(60)
            assert await recorder.write("intent", ROOT, {"line": "second"}) == 0
            node.clock.pass_s(60)
            node.disk.fails = False
            await recorder.write("intent", ROOT, {"line": "after"})

        asyncio.run(go())
        entries = node.entries()
        assert [body_of(e)["line"] for e in entries] == ["before", "first", "second", "after"]
        assert [body_of(e).get("recorded") for e in entries] == [None, "kernel-log", "kernel-log", None]
        assert [e.time[11:19] for e in entries] == ["12:00:00", "12:00:00", "12:01:00", "12:02:00"]


def test_who_hangs_up_meanwhile_has_nothing_written_twice(tmp_path: Path) -> None:
    with recording(tmp_path / "spool") as node:
        recorder = recorder_with(node, tmp_path / "log")

        async def go() -> None:
            node.disk.fails = True
            for line in ("first", "second"):
                await recorder.write("intent", ROOT, {"line": line})
            node.disk.fails = False
            node.disk.waiting.clear()
            node.disk.slow.clear()
            one = asyncio.create_task(recorder.write("intent", ROOT, {"line": "hung up"}))
            await asyncio.to_thread(node.disk.waiting.wait, 30)
            other = asyncio.create_task(recorder.write("intent", ALICE, {"line": "after"}))
            one.cancel()
            await asyncio.wait({one})
            node.disk.slow.set()
            await other

        asyncio.run(go())
        assert [body_of(e)["line"] for e in node.entries()] == ["first", "second", "after"]


def test_an_entry_that_the_spool_would_never_take_is_refused_and_stops_nobody_later(tmp_path: Path) -> None:
    with recording(tmp_path / "spool") as node:
        recorder = recorder_with(node, tmp_path / "log")

        async def go() -> None:
            node.disk.fails = True
            assert await recorder.write("intent", ROOT, {"line": "first"}) == 0
            with pytest.raises(PactError, match="too many for the kernel's log"):
                await recorder.write("intent", ROOT, {"line": "x" * 400_000})
            node.disk.fails = False
            await recorder.write("intent", ALICE, {"line": "after"})

        asyncio.run(go())
        assert [body_of(e)["line"] for e in node.entries()] == ["first", "after"]


def test_nobody_else_is_recorded_there(tmp_path: Path) -> None:
    with recording(tmp_path / "spool") as node:
        recorder = recorder_with(node, tmp_path / "log")
        node.disk.fails = True
        for who in (ALICE, VIEWER, AI):
            with pytest.raises(PactError, match="can't write the spool"):
                asyncio.run(recorder.write("intent", who, {}))
        assert (tmp_path / "log").read_text() == ""


FULL = "[limits]\nspool_bytes = 1048576"


def fill(node: LocalNode) -> None:
    """Use the spool up: it has no journal that would take anything."""
    script = "true\n" * 1500
    done = node.pactsh(stdin=script)
    assert "the audit spool is nearly full" in node.line("sysctl -w vm.swappiness=60").stderr or done.returncode
    assert "takes no record" in done.stderr or "spool is full" in done.stderr


@KERNEL_LOG
def test_on_a_full_spool_a_platform_admin_goes_on_in_an_emergency_alone(make_node: MakeNode) -> None:
    node = make_node(FULL)
    fill(node)
    refused = node.line("uname -n")
    assert (refused.returncode, refused.stdout) == (3, "")
    assert "pact emergency --reason" in refused.stderr
    assert node.line("pact whoami").returncode == 0
    began = node.line("pact emergency --reason 'the journal is gone'")
    assert began.stdout.startswith("EMERGENCY on node042 until ")
    assert began.returncode == 0
    done = node.line("uname -n")
    assert (done.returncode, done.stdout) == (0, os.uname().nodename + "\n")
    assert "kernel's log" in done.stderr
    assert node.line("rm -rf /tmp/x").returncode == 6, "the whitelist is unchanged"
    log = subprocess.run(["dmesg"], capture_output=True, text=True, check=True).stdout
    assert '"line":"uname -n"' in log
    assert "the journal is gone" in log
    # Should another test have changed this machine meanwhile, that is committed: nothing of it is undone.
    assert node.line("pact emergency --end --commit -m 'nothing of ours'").returncode == 0
    assert node.line("uname -n").returncode == 3


@KERNEL_LOG
def test_on_a_full_spool_others_run_nothing_in_or_out_of_an_emergency(make_node: MakeNode) -> None:
    node = make_node(FULL, roles='"pact-ops-ml-training"')
    fill(node)
    for line in ("uname -n", "pact emergency --reason 'let me'", "true"):
        done = node.line(line)
        assert done.returncode != 0, line
        assert done.stdout == "", line


def test_the_verb_says_what_it_needs(make_node: MakeNode) -> None:
    node = make_node()
    env = {"PACT_AGENT_SOCKET": str(node.socket), "PATH": os.environ["PATH"]}
    wrong: tuple[tuple[str, ...], ...] = ((), ("--reason", "x", "--end"), ("--force",))
    for words in wrong:
        done = subprocess.run(
            [str(BIN / "pact"), "emergency", *words], capture_output=True, text=True, env=env, timeout=60
        )
        assert done.returncode == 1, words
        assert "pact: emergency: " in done.stderr
    done = subprocess.run([BIN / "pact", "emergency", "--end"], capture_output=True, text=True, env=env, timeout=60)
    assert done.returncode == 4
    again = [str(BIN / "pact"), "--output", "json", "emergency", "--reason", "test"]
    assert subprocess.run(again, capture_output=True, text=True, env=env, timeout=60).returncode == 0
    status = subprocess.run([BIN / "pact", "status"], capture_output=True, text=True, env=env, timeout=60)
    assert "EMERGENCY" in status.stdout
