"""Committing and undoing through a real agent, whose dimensions are this machine's own."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pactsh.errors import UsageError
from tests.pact_agent.localnode import DEADLINE_S, IS_ROOT, LocalNode, body_of
from tests.pact_agent.recording import ALICE, Settings, caller, config_calls, recording

MakeNode = Callable[..., LocalNode]
needs_root = pytest.mark.skipif(not IS_ROOT, reason="the kernel's settings are root's: run the tests as root")
# A rollback undoes what any test changes on this machine meanwhile.
alone = pytest.mark.serial
# One that nothing else here looks at.
KEY, PATH = "net.ipv4.tcp_keepalive_probes", Path("/proc/sys/net/ipv4/tcp_keepalive_probes")


@pytest.fixture
def probes() -> Iterator[str]:
    before = PATH.read_text().strip()
    yield before
    PATH.write_text(before)


@alone
@needs_root
def test_what_is_committed_is_put_back_by_the_next_agent(make_node: MakeNode, probes: str) -> None:
    node = make_node()
    assert node.line(f"sysctl -w {KEY}=7").returncode == 0
    assert f"kernel: {KEY} declared={probes} actual=7 (alice@example.org, " in node.line("pact diff").stdout
    done = node.line("pact commit --no-wait -m 'for A' --only kernel:" + KEY)
    assert (done.stdout, done.returncode) == (
        "Committed on node042 (1 change); the journal has not numbered it yet\n",
        0,
    )
    node.stop(9)
    PATH.write_text(probes)
    node.start()
    assert PATH.read_text().strip() == "7"
    assert f"kernel: {KEY} = 7 (committed not yet in the journal, " in node.line("pact diff --committed").stdout
    node.stop()
    assert [c["key"] for c in body_of(node.entries("converged")[0])["undone"]] == [KEY]


@alone
@needs_root
def test_what_is_not_is_undone_when_asked(make_node: MakeNode, probes: str) -> None:
    node = make_node()
    node.line(f"sysctl -w {KEY}=6")
    assert f"kernel: {KEY} 6 -> {probes}\n" in node.line("pact rollback --dry-run").stdout
    assert PATH.read_text().strip() == "6"
    assert node.line("pact rollback").returncode == 0
    assert PATH.read_text().strip() == probes
    node.stop()
    (entry,) = node.entries("rollback")
    assert (entry.author.principal, bool(entry.session)) == ("alice@example.org", True)


@alone
@needs_root
def test_a_mount_and_a_file_are_seen_at_once_and_undone(make_node: MakeNode) -> None:
    node = make_node()
    place, file = Path(f"/srv/pact-test-{os.getpid()}"), Path(f"/etc/pact-test-{os.getpid()}")
    place.mkdir()
    try:
        assert node.line(f"bypass mount -t tmpfs pact-test {place}").returncode == 0
        file.write_text("by an editor\n")
        shown = node.line("pact diff").stdout
        assert f"mounts: {place} declared=(none) actual=type=tmpfs source=pact-test " in shown
        assert f"files: {file} declared=(none) actual=file mode=" in shown
        assert "(unattributed, " in next(line for line in shown.splitlines() if str(file) in line)
        assert node.line("pact rollback").returncode == 0
        assert (os.path.ismount(place), file.exists()) == (False, False)
    finally:
        file.unlink(missing_ok=True)
        if os.path.ismount(place):
            subprocess.run(["umount", str(place)], check=True, timeout=20)
        place.rmdir()


@pytest.mark.parametrize(
    ("method", "params", "says"),
    [
        ("commit", {"message": ""}, "say what it is for"),
        ("commit", {"message": "x", "only": "kernel:a"}, "expected a list"),
        ("commit", {"message": "x", "ttl": True}, "expected a number"),
        ("rollback", {"to": -1}, "expected a number"),
        ("rollback", {"to": "x"}, "expected a number"),
        ("extend", {}, "expected a number"),
        ("extend", {"minutes": 0}, "between 1 and 1440"),
    ],
)
def test_what_makes_no_sense_is_an_error_and_no_end_of_the_connection(
    node: LocalNode, method: str, params: dict[str, object], says: str
) -> None:
    with node.connect() as wire:
        wire.send({"op": "call", "method": method, "params": params})
        error = wire.until("error")
        assert (error["code"], says in error["message"]) == (1, True), error
        wire.send({"op": "call", "method": "whoami", "params": {}})
        assert wire.until("item", "error")["op"] == "item"


@pytest.mark.parametrize("method", ["commit", "rollback", "extend"])
def test_viewers_look_and_do_no_more(make_node: MakeNode, method: str) -> None:
    node = make_node(roles='"pact-viewer-ml-training"')
    with node.connect() as wire:
        wire.send({"op": "call", "method": method, "params": {"message": "x", "minutes": 5}})
        assert wire.until("item", "error")["kind"] == "forbidden"
        wire.send({"op": "call", "method": "diff", "params": {}})
        assert wire.until("item", "error")["op"] == "item"


def test_a_disk_that_keeps_no_state_does_not_stop_the_agent(make_node: MakeNode) -> None:
    """Who mends the node needs it: lines go on being decided and recorded."""
    node = make_node()
    node.stop()
    config = node.directory / "state" / "config"
    for name in ("state.json", "baseline.json"):
        (config / name).unlink()
        (config / f"{name}.new").mkdir()  # what is written before it takes its place
    node.start()
    assert "what is declared of this node can't be kept" in node.log()
    assert node.line("echo hello").stdout == "hello\n"
    node.stop()
    assert [entry.type for entry in node.entries("intent", "outcome")] == ["intent", "outcome"]


def test_who_hangs_up_has_it_done_all_the_same(tmp_path: Path) -> None:
    """The rollback may be what cuts the line."""
    with recording(tmp_path) as node:
        node.set("vm.swappiness", "60")
        asyncio.run(node.lifecycle.start("boot-1"))
        node.set("vm.swappiness", "10")
        asyncio.run(node.lifecycle.look())

        async def go() -> None:
            node.disk.waiting.clear()
            node.disk.slow.clear()
            asking = asyncio.create_task(config_calls(node).answer(caller(ALICE), "rollback", {}))
            await asyncio.to_thread(node.disk.waiting.wait, DEADLINE_S)
            asking.cancel()
            await asyncio.wait({asking})
            node.disk.slow.set()
            async with asyncio.timeout(DEADLINE_S):
                while node.lifecycle.drift:
                    await asyncio.sleep(0.01)

        asyncio.run(go())
        assert node.value("vm.swappiness") == "60"
        assert [e.type for e in node.entries()][-2:] == ["rollback.begun", "rollback"]


def test_a_node_that_is_slow_to_become_as_declared_lets_people_in(make_node: MakeNode, tmp_path: Path) -> None:
    """A committed mount whose server is gone, say."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "sitecustomize.py").write_text(
        "import sys\n"
        "class Slow:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'pact_agent.agent':\n"
        "            import asyncio\n"
        "            from pact_agent.lifecycle import Lifecycle\n"
        "            async def hang(*_): await asyncio.sleep(1000)\n"
        "            Lifecycle.start = hang\n"
        "sys.meta_path.insert(0, Slow())\n"
    )
    node = make_node(environment={"PYTHONPATH": str(tmp_path / "code")})
    assert "the node is not as declared yet" in node.log()
    assert node.line("echo hello").stdout == "hello\n"
    assert node.stop() == 0


def test_an_emergency_ends_with_a_rollback_though_a_package_stays(tmp_path: Path) -> None:
    """Its end must not wait for what pact can't do."""
    with recording(tmp_path) as node:
        node.set("vm.swappiness", "60")
        packages = Settings(node.directory / "packages", "packages", lasting=True)
        packages.set("vim", "9.0")
        packages.refuses.add("vim")
        node.also.append(packages)
        asyncio.run(node.restarted().start("boot-1"))
        packages.set("vim", "9.1")
        node.set("vm.swappiness", "10")
        asyncio.run(config_calls(node).settle(caller(ALICE), {"rollback": True}))
        assert (node.value("vm.swappiness"), [i.change.name for i in node.lifecycle.drift]) == ("60", ["packages:vim"])
        asyncio.run(config_calls(node).settle(caller(ALICE), {"rollback": True}))
        with pytest.raises(UsageError, match="1 change not committed"):
            asyncio.run(config_calls(node).settle(caller(ALICE), {}))
