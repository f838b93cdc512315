"""`pact status` with a lattice beside the journal: well, down, slow, talking nonsense, refusing."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import grpc
import pexpect
import pyte
import pytest

from tests.lattice import LatticeServer
from tests.pact_agent.localnode import LocalNode
from tests.pactsh.cli.conftest import VCLUSTER, RunningJournal, serving
from tests.pactsh.cli.program import PACT, clean_environment, run_pact
from tests.pactsh.cli.reporting import report
from tests.pactsh.cli.silent import Silent

NODES = ("node001", "node002", "node003", "node004")


class Both(NamedTuple):
    """A journal with nodes, and a lattice that has them too."""

    journal: RunningJournal
    lattice: LatticeServer

    def env(self, *roles: str, **more: str) -> dict[str, str]:
        """An environment of a platform admin, or of who has these roles."""
        given = self.journal.env("v@org", roles) if roles else self.journal.env()
        return {**given, "PACT_LATTICE_ENDPOINT": self.lattice.endpoint, **more}


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningJournal]:
    with serving(tmp_path_factory.mktemp("j")) as journal:
        report(journal, NODES, silent=["node004"])
        report(journal, ["hpc1"], vcluster="hpc")
        yield journal


@pytest.fixture
def both(filled: RunningJournal) -> Iterator[Both]:
    with LatticeServer() as lattice:
        for name in (*NODES, "hpc1"):
            lattice.add_node(name)
        yield Both(filled, lattice)


def rows(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """The column of lattice by node."""
    header, *lines = done.stdout.splitlines()
    start, end = header.index("LATTICE"), header.index("VERSION")
    return {line.split()[0]: line[start:end].strip() for line in lines if line[0] not in "[0123456789"}


def warned(done: subprocess.CompletedProcess[str]) -> list[str]:
    return [line.removeprefix("[WARN] ") for line in done.stdout.splitlines() if line.startswith("[WARN]")]


def test_a_vcluster_has_lattices_state_in_a_column(tmp_path: Path, both: Both) -> None:
    both.lattice.nodes["node002"].state = "draining"
    both.lattice.add_job(nodes=["node001", "node002"])
    both.lattice.add_job(nodes=["node002"])
    both.lattice.add_job(nodes=["node003"], state="completed")
    done = run_pact(tmp_path, "status", "--vcluster", VCLUSTER, env=both.env())
    assert (done.returncode, done.stderr) == (0, "")
    wanted = {"node001": "ready, 1 job", "node002": "draining, 2 jobs", "node003": "ready", "node004": "ready"}
    assert rows(done) == wanted
    assert warned(done) == [
        "node004: does not report here, but lattice has it ready: jobs may start there (pact cordon node004)"
    ]
    assert {sent["x-lattice-user"] for _, sent in both.lattice.calls} == {"alice@org"}
    assert sorted(both.lattice.called()) == ["List", "ListNodes"]


def test_one_node_has_a_line_and_json_an_object(tmp_path: Path, both: Both) -> None:
    both.lattice.nodes["node001"].state, both.lattice.nodes["node001"].state_reason = "down", "fan \x1b[2Jbroken"
    done = run_pact(tmp_path, "status", "node001", env=both.env())
    assert "Lattice:     down (fan \\x1b[2Jbroken), no jobs" in done.stdout.splitlines()
    told = json.loads(run_pact(tmp_path, "status", "node001", env=both.env(PACT_OUTPUT="json")).stdout)
    assert told["lattice"] == {"state": "down", "reason": "fan \x1b[2Jbroken", "jobs": 0}
    del both.lattice.nodes["node001"]
    done = run_pact(tmp_path, "status", "node001", env=both.env())
    assert "Lattice:     has no node of this name" in done.stdout.splitlines()


def test_without_lattice_nothing_is_said_of_it(tmp_path: Path, both: Both) -> None:
    env = both.journal.env()
    assert "LATTICE" not in run_pact(tmp_path, "status", "--vcluster", VCLUSTER, env=env).stdout
    told = json.loads(run_pact(tmp_path, "status", "@*", "--output", "json", env=env).stdout)
    assert (told["lattice"], {node["lattice"] for node in told["nodes"]}) == (None, {None})


def test_nodes_that_only_one_of_them_has_are_told(tmp_path: Path, both: Both) -> None:
    del both.lattice.nodes["node001"]
    both.lattice.add_node("ghost1", owner_vcluster=f"physics/{VCLUSTER}")
    both.lattice.add_node("ghost2")
    done = run_pact(tmp_path, "status", "--vcluster", VCLUSTER, env=both.env())
    assert warned(done)[:2] == [
        f"ghost1: lattice has it in {VCLUSTER}, pact does not", "node001: lattice has no node of this name",
    ]  # fmt: skip
    assert rows(done)["node001"] == "-"
    done = run_pact(tmp_path, "status", "@*", env=both.env())
    assert warned(done)[0] == "ghost[1-2]: lattice has it, pact does not"
    done = run_pact(tmp_path, "status", "node002,ghost2", env=both.env())
    assert done.returncode == 1
    assert warned(done) == ["ghost2: no such node", "ghost2: lattice has it, pact does not"]
    told = json.loads(run_pact(tmp_path, "status", "@*", "--output", "json", env=both.env()).stdout)
    assert told["lattice"] == {
        "vcluster": "",
        "only_lattice": ["ghost1", "ghost2"],
        "only_pact": ["node001"],
        "error": None,
    }


def test_who_may_not_read_all_sees_what_is_theirs(tmp_path: Path, both: Both) -> None:
    both.lattice.add_node("ghost1")
    env = both.env("pact-viewer-hpc")
    for words in (["@*"], ["--vcluster", "hpc"], ["node00*,hpc1"]):
        done = run_pact(tmp_path, "status", *words, env=env)
        assert rows(done) == {"hpc1": "ready"}, words
        assert "ghost1" not in done.stdout
    assert "Lattice:     ready, no jobs" in run_pact(tmp_path, "status", "hpc1", env=env).stdout
    both.lattice.calls.clear()
    done = run_pact(tmp_path, "status", "hpc1", env=both.env("pact-service-agent"))  # which may read status, no more
    assert done.returncode == 2
    assert "Warning:     v@org may not lattice read" in done.stdout
    assert both.lattice.calls == []


def test_lattice_down_leaves_the_table_and_ends_with_5(tmp_path: Path, both: Both) -> None:
    both.lattice.stop()
    done = run_pact(tmp_path, "status", "--vcluster", VCLUSTER, env=both.env())
    assert (done.returncode, done.stderr) == (5, "")
    assert "LATTICE" not in done.stdout
    assert [line.split()[0] for line in done.stdout.splitlines()[1:5]] == ["node004", "node001", "node002", "node003"]
    assert warned(done) == [f"lattice at {both.lattice.endpoint} can't be reached: Connection refused"]
    done = run_pact(tmp_path, "status", "node001", "--output", "json", env=both.env())
    assert done.returncode == 5
    assert json.loads(done.stdout)["lattice"]["error"]["kind"] == "timeout"


@pytest.mark.parametrize("says", [b"", b"HTTP/1.1 200 OK\r\n\r\n\x1b[2J\n"], ids=["nothing", "nonsense"])
def test_who_is_no_lattice_holds_nothing_up(tmp_path: Path, both: Both, says: bytes) -> None:
    with Silent(says) as silent:
        env = both.env(PACT_LATTICE_ENDPOINT=silent.endpoint, PACT_TIMEOUT="1")
        done = run_pact(tmp_path, "status", "--vcluster", VCLUSTER, env=env)
    assert done.returncode == 5
    assert done.stdout.startswith("NODE ")
    (warning, *_rest) = warned(done)
    assert warning.startswith(f"lattice at {silent.endpoint} ")
    assert "\x1b" not in done.stdout


def test_a_slow_lattice_is_waited_for_no_longer_than_it_may_take(tmp_path: Path, both: Both) -> None:
    both.lattice.delay_s = 3
    done = run_pact(tmp_path, "status", "node001", env=both.env(PACT_TIMEOUT="1"))
    assert done.returncode == 5
    assert f"Warning:     lattice at {both.lattice.endpoint} did not answer within 1 s" in done.stdout
    both.lattice.delay_s = 0.2
    assert run_pact(tmp_path, "status", "node001", env=both.env()).returncode == 0


def test_one_that_refuses_the_token_or_answers_badly(tmp_path: Path, both: Both) -> None:
    both.lattice.token = "s3cret"
    done = run_pact(tmp_path, "status", "node001", env=both.env(PACT_LATTICE_TOKEN="wrong"))
    assert done.returncode == 2
    assert "refuses the token" in done.stdout
    assert run_pact(tmp_path, "status", "node001", env=both.env(PACT_LATTICE_TOKEN="s3cret")).returncode == 0
    both.lattice.token = None
    both.lattice.raw["NodeService/ListNodes"] = b"\xff\xff\xff\x1b[2J"
    done = run_pact(tmp_path, "status", "@*", env=both.env())
    assert done.returncode == 1
    assert warned(done)[0].startswith(f"lattice at {both.lattice.endpoint}")
    assert (done.stderr, "\x1b" in done.stdout) == ("", False)


def test_what_it_says_of_nodes_counts_without_its_jobs(tmp_path: Path, both: Both) -> None:
    both.lattice.fail["AllocationService/List"] = (grpc.StatusCode.INTERNAL, "broken")
    done = run_pact(tmp_path, "status", "node001", env=both.env())
    assert (done.returncode, "Lattice:     ready" in done.stdout.splitlines()) == (0, True)


def test_on_a_node_its_agent_tells_and_lattice_who_signed_in_there(tmp_path: Path, node: LocalNode, both: Both) -> None:
    here = {"PACT_AGENT_SOCKET": str(node.socket)}
    both.lattice.add_node("node042", "drained")
    done = run_pact(tmp_path, "status", env=both.env() | here)
    assert (done.returncode, "Lattice:     drained, no jobs" in done.stdout.splitlines()) == (0, True)
    without = {"PACT_LATTICE_ENDPOINT": both.lattice.endpoint}
    done = run_pact(tmp_path, "status", env=without | here)
    assert (done.returncode, "Lattice" in done.stdout) == (0, False)


@pytest.mark.e2e
def test_watching_goes_on_while_lattice_is_away_and_back(tmp_path: Path, both: Both) -> None:
    env = clean_environment(tmp_path, both.env(TERM="xterm"))
    child = pexpect.spawn(
        str(PACT), ["status", "--watch", "0.5", "@*"], env=env, dimensions=(30, 110), encoding="utf-8", timeout=60
    )
    screen = pyte.Screen(110, 30)
    stream = pyte.Stream(screen)

    def shows(text: str, *, absent: str = "\0") -> None:
        while True:
            stream.feed(child.read_nonblocking(65_536, timeout=60))
            page = "\n".join(screen.display)
            if text in page and absent not in page:
                return

    try:
        shows("LATTICE")
        both.lattice.stop()
        shows("can't be reached: Connection refused", absent="LATTICE")
        both.lattice.start()
        shows("LATTICE", absent="can't be reached")
    finally:
        child.sendintr()
        child.expect(pexpect.EOF)
        child.close()
    assert child.exitstatus == 130
