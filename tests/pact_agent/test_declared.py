"""Killed at every step of a commit, a rollback, an overlay, an expiry: after the next start one of two right states,
and the journal says which.

A step is each moment before and after something is written: a setting, the node's state, an entry. The agent's parts
run in a child that SIGKILL ends there; what is left is what a power cut would leave, less the disk's own.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pact_agent.dimensions.kernel import Kernel
from pact_agent.saved import StateFiles
from pact_agent.spool import Spool

from pactsh.errors import PactError
from pactsh.model.entry import Author
from pactsh.model.overlay import Overlay
from tests.pact_agent.localnode import body_of
from tests.pact_agent.recording import Recording, recording

ALICE = Author("alice@org", ("pact-ops-ml-training",))
SETTINGS = {"vm.swappiness": "60", "vm.dirty_ratio": "20", "kernel.panic": "0"}
DRIFT = {"vm.swappiness": "10", "vm.dirty_ratio": "5"}
WRITES = ((Kernel, "apply"), (StateFiles, "save"), (StateFiles, "save_baseline"), (Spool, "append"))


class Steps:
    """Counts what is written; ends this process before or after the `last`th step."""

    def __init__(self, last: int) -> None:
        self._last, self._count = last, 0

    def __call__(self) -> None:
        self._count += 1
        if self._count == self._last:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, owner: type, name: str) -> None:
        inner: Callable[..., Any] = getattr(owner, name)

        def plain(*args: Any) -> Any:
            self()
            value = inner(*args)
            self()
            return value

        async def waiting(*args: Any) -> Any:
            self()
            value = await inner(*args)
            self()
            return value

        setattr(owner, name, waiting if inspect.iscoroutinefunction(inner) else plain)


def killed_at(step: int, directory: Path, act: Callable[[Recording], None]) -> bool:
    """Whether `act` was cut short at that step, in a process of its own; False: it had come to its end before."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            steps = Steps(step)
            with recording(directory) as node:
                asyncio.run(node.lifecycle.start("boot-1"))
                for owner, name in WRITES:
                    steps.around(owner, name)
                act(node)
                os._exit(0)
        finally:
            os._exit(status)
    ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert ended in {0, -signal.SIGKILL}
    return ended != 0


def prepare(directory: Path, drift: dict[str, str]) -> None:
    with recording(directory) as node:
        for key, value in SETTINGS.items():
            node.set(key, value)
        asyncio.run(node.lifecycle.start("boot-1"))
        for key, value in drift.items():
            node.set(key, value)
        asyncio.run(node.lifecycle.look())


def values(node: Recording) -> dict[str, str]:
    return {key: node.value(key) for key in SETTINGS}


def counts(node: Recording) -> Counter[str]:
    return Counter(entry.type for entry in node.entries())


def at_each_step(
    tmp_path: Path, drift: dict[str, str], act: Callable[[Recording], None], check: Callable[[Recording], str]
) -> Counter[str]:
    """Kill `act` at its first step, its second, ... and `check` what the next start makes of it, which must be the same
    after one more; returns how often it was what."""
    found: Counter[str] = Counter()
    for step in range(1, 200):
        directory = tmp_path / str(step)
        prepare(directory, drift)
        cut = killed_at(step, directory, act)
        with recording(directory) as node:
            asyncio.run(node.lifecycle.start("boot-1"))
            first = (check(node), values(node), counts(node))
            assert node.declared.now.unsent == ()
            node.lifecycle = node.restarted()
            asyncio.run(node.lifecycle.start("boot-1"))
            assert (check(node), values(node), counts(node)) == first, step
        found[first[0]] += 1
        if not cut:
            assert step > 4, "nothing was written"
            return found
    raise AssertionError("it does not end")


def drifted(node: Recording) -> dict[str, str | None]:
    return {item.change.key: item.change.after for item in node.lifecycle.drift}


def test_a_commit_is_made_or_it_is_not(tmp_path: Path) -> None:
    def act(node: Recording) -> None:
        asyncio.run(node.lifecycle.commit(ALICE, "for A"))

    def check(node: Recording) -> str:
        assert values(node) == SETTINGS | DRIFT, "a commit changes nothing on the node"
        if counts(node)["commit"] == 0:
            assert (node.lifecycle.deltas, drifted(node)) == ((), DRIFT)
            return "before"
        (delta,) = node.lifecycle.deltas
        assert counts(node)["commit"] == 1
        assert {change.key: change.after for change in delta.changes} == DRIFT
        assert drifted(node) == {}
        return "after"

    assert set(at_each_step(tmp_path, DRIFT, act, check)) == {"before", "after"}


def test_a_rollback_that_was_begun_is_finished(tmp_path: Path) -> None:
    def act(node: Recording) -> None:
        asyncio.run(node.lifecycle.rollback(ALICE))

    def check(node: Recording) -> str:
        seen = counts(node)
        if seen["rollback.begun"] == 0:
            assert (values(node), drifted(node), seen["rollback"]) == (SETTINGS | DRIFT, DRIFT, 0)
            return "before"
        assert (values(node), drifted(node)) == (SETTINGS, {})
        assert (seen["rollback.begun"], seen["rollback"]) == (1, 1)
        (entry,) = (body_of(entry) for entry in node.entries() if entry.type == "rollback")
        assert sorted(change["key"] for change in entry["undone"]) == sorted(DRIFT)
        return "after"

    assert set(at_each_step(tmp_path, DRIFT, act, check)) == {"before", "after"}


def gone_back(node: Recording) -> str:
    seen = counts(node)
    if seen["rollback.begun"] == 0:
        assert values(node) == SETTINGS | DRIFT
        return f"{seen['commit']} commits"
    assert (values(node), drifted(node), node.lifecycle.deltas) == (SETTINGS, {}, ())
    assert (seen["commit"], seen["rollback"]) == (1, 1)
    return "after"


def test_going_back_behind_a_commit_is_finished(tmp_path: Path) -> None:
    def act(node: Recording) -> None:
        _, number = asyncio.run(node.lifecycle.commit(ALICE, "for A"))
        node.declared.sequenced(number, number)
        asyncio.run(node.lifecycle.rollback(ALICE, to=number - 1))

    assert set(at_each_step(tmp_path, DRIFT, act, gone_back)) == {"0 commits", "1 commits", "after"}


def test_the_end_of_a_window_is_finished(tmp_path: Path) -> None:
    def act(node: Recording) -> None:
        node.clock.pass_s(1000)
        asyncio.run(node.lifecycle.tick())

    def check(node: Recording) -> str:
        seen = counts(node)
        if seen["rollback.begun"] == 0:
            assert (values(node), drifted(node)) == (SETTINGS | DRIFT, DRIFT)
            assert node.lifecycle.window_left_s() is not None
            return "before"
        assert (values(node), drifted(node), node.lifecycle.window_left_s()) == (SETTINGS, {}, None)
        assert (seen["rollback.begun"], seen["rollback"]) == (1, 1)
        return "after"

    assert set(at_each_step(tmp_path, DRIFT, act, check)) == {"before", "after"}


@pytest.mark.parametrize("good", [True, False])
def test_an_overlay_is_applied_or_put_back(tmp_path: Path, good: bool) -> None:
    wanted = {**DRIFT, "kernel.panic": "30"} | ({} if good else {"no.such": "1"})

    def act(node: Recording) -> None:
        node.lifecycle.overlay_arrived(Overlay("ml-training", 1, {"kernel": wanted}))
        asyncio.run(node.lifecycle.tick())

    def check(node: Recording) -> str:
        seen = counts(node)
        assert drifted(node) == {}
        assert node.declared.now.applying is None
        if seen["overlay.begun"] == 0:
            assert values(node) == SETTINGS
            return "before"
        assert seen["overlay.begun"] == 1
        assert (seen["overlay.applied"], seen["overlay.failed"]) == ((1, 0) if good else (0, 1))
        assert values(node) == ({**DRIFT, "kernel.panic": "30"} if good else SETTINGS)
        return "after"

    assert set(at_each_step(tmp_path, {}, act, check)) == {"before", "after"}


def test_a_delta_whose_time_is_over_is_undone(tmp_path: Path) -> None:
    def act(node: Recording) -> None:
        asyncio.run(node.lifecycle.commit(ALICE, "for A", ttl=900))
        node.clock.pass_s(1000)
        asyncio.run(node.lifecycle.tick())

    assert set(at_each_step(tmp_path, DRIFT, act, gone_back)) == {"0 commits", "1 commits", "after"}


def committing_fails(node: Recording, *, also_files: bool) -> None:
    """A commit whose entry the disk does not take; nor the node's files from then on."""
    node.set("vm.swappiness", "10")
    asyncio.run(node.lifecycle.look())
    node.disk.slow.clear()

    async def go() -> None:
        node.disk.waiting.clear()
        committing = asyncio.create_task(node.lifecycle.commit(ALICE, "x"))
        await asyncio.to_thread(node.disk.waiting.wait, 30)
        if also_files:
            (node.directory / "config").rename(node.directory / "away")
        node.disk.fails = True
        node.disk.slow.set()
        with pytest.raises(PactError):
            await committing

    asyncio.run(go())
    node.disk.fails = False
    if also_files:
        (node.directory / "away").rename(node.directory / "config")


@pytest.mark.parametrize("also_files", [False, True], ids=["entries", "files too"])
def test_what_was_refused_for_the_disk_is_not_so(tmp_path: Path, also_files: bool) -> None:
    with recording(tmp_path) as node:
        node.set("vm.swappiness", "60")
        asyncio.run(node.lifecycle.start("boot-1"))
        committing_fails(node, also_files=also_files)
        assert (node.lifecycle.deltas, len(node.lifecycle.drift)) == ((), 1)
        asyncio.run(node.lifecycle.commit(ALICE, "again"))
        assert [e.message for e in node.entries() if e.type == "commit"] == ["again"]
        asyncio.run(node.restarted().start("boot-1"))
        assert [e.message for e in node.entries() if e.type == "commit"] == ["again"]


def test_what_the_end_of_the_agent_cut_short_is_recorded_by_the_next_start(tmp_path: Path) -> None:
    """Cancelled, as everything is at the end, while the disk takes its time."""
    with recording(tmp_path) as node:
        node.set("vm.swappiness", "60")
        asyncio.run(node.lifecycle.start("boot-1"))
        node.set("vm.swappiness", "10")
        asyncio.run(node.lifecycle.look())
        node.disk.slow.clear()

        async def go() -> None:
            node.disk.waiting.clear()
            committing = asyncio.create_task(node.lifecycle.commit(ALICE, "x"))
            await asyncio.to_thread(node.disk.waiting.wait, 30)
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()
            await asyncio.wait({committing})
            node.disk.fails = True
            node.disk.slow.set()

        asyncio.run(go())
        node.disk.fails = False
        asyncio.run(node.restarted().start("boot-1"))
        assert [delta.message for delta in node.lifecycle.deltas] == ["x"]
        assert [e.message for e in node.entries() if e.type == "commit"] == ["x"]


def test_what_was_refused_is_not_recorded_by_the_next_start(tmp_path: Path) -> None:
    with recording(tmp_path) as node:
        node.set("vm.swappiness", "60")
        asyncio.run(node.lifecycle.start("boot-1"))
        committing_fails(node, also_files=False)
        asyncio.run(node.restarted().start("boot-1"))
        assert (node.lifecycle.deltas, len(node.lifecycle.drift)) == ((), 1)
        assert [e.message for e in node.entries() if e.type == "commit"] == []
