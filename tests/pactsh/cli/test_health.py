"""`pact health` against a real journal, agent and the tests' lattice and OpenCHAMI: well, ill, and dead."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pactsh import __version__
from tests.lattice import LatticeServer
from tests.openchami import Openchami
from tests.pact_agent.localnode import LocalNode
from tests.pactsh.cli.conftest import RunningJournal, serving
from tests.pactsh.cli.program import run_pact
from tests.pactsh.cli.reporting import report
from tests.pactsh.cli.silent import Silent


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningJournal]:
    """A journal without nodes."""
    with serving(tmp_path_factory.mktemp("j")) as journal:
        yield journal


def lines(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """State and what is said, by part; hints are left out."""
    found = (line.split(maxsplit=1) for line in done.stdout.splitlines() if not line.startswith(" "))
    return {part: re.sub(r" +", " ", rest) for part, rest in found}


def test_all_well(tmp_path: Path, quiet: RunningJournal) -> None:
    with LatticeServer(token="t0ken") as lattice, Openchami() as chami:
        env = quiet.env() | {
            "PACT_LATTICE_ENDPOINT": lattice.endpoint,
            "PACT_LATTICE_TOKEN": "t0ken",
            "PACT_OPENCHAMI_SMD_URL": chami.url,
        }
        done = run_pact(tmp_path, "health", env=env)
        told = json.loads(run_pact(tmp_path, "health", "--output", "json", env=env).stdout)
    assert (done.returncode, done.stderr) == (0, "")
    found = lines(done)
    assert list(found) == ["journal", "nodes", "lattice", "SMD", "PCS", "BSS"]
    assert {rest.split()[0] for rest in found.values()} == {"ok"}
    assert found["journal"].startswith(f"ok {__version__} at {quiet.endpoint}, up for ")
    assert "GiB free" in found["journal"]
    assert found["nodes"] == "ok there are none"
    assert found["lattice"].startswith(f"ok healthy, version 2026.1.0, at {lattice.endpoint} (")
    assert found["PCS"].startswith(f"ok ready, at {chami.url}/power-control/v1 (")
    parts = {part["part"]: part for part in told["parts"]}
    assert parts["journal"]["facts"]["store"] == "sqlite"
    assert (parts["SMD"]["facts"]["status"], parts["SMD"]["ms"] > 0) == (200, True)


def test_without_others_only_pact_is_asked(tmp_path: Path, quiet: RunningJournal) -> None:
    assert list(lines(run_pact(tmp_path, "health", env=quiet.env()))) == ["journal", "nodes"]


def test_nodes_that_are_absent_or_ill_are_named(tmp_path: Path, journal: RunningJournal) -> None:
    report(journal, ["n1", "n2", "n3", "n4"], silent=["n3", "n4"])
    report(journal, ["n5"], emergency=True)
    report(journal, ["n6"], degraded=True)
    assert run_pact(tmp_path, "revoke", "node", "n4", "-m", "gone", env=journal.env()).returncode == 0
    done = run_pact(tmp_path, "health", env=journal.env())
    assert done.returncode == 1
    assert lines(done)["nodes"] == "degraded 4 of 5 present; absent: n3; in an emergency: n5; degraded: n6"
    told = json.loads(run_pact(tmp_path, "health", "--output", "json", env=journal.env()).stdout)
    (nodes,) = [part for part in told["parts"] if part["part"] == "nodes"]
    assert nodes["facts"] == {"nodes": 5, "present": 4, "absent": ["n3"], "emergency": ["n5"], "degraded": ["n6"]}
    assert nodes["hint"]


def test_who_is_dead_is_named_and_delays_nobody(tmp_path: Path, quiet: RunningJournal) -> None:
    with Silent() as silent, Openchami() as chami:
        chami.trouble = {"pcs": "slow", "bss": "html404"}
        env = quiet.env() | {
            "PACT_LATTICE_ENDPOINT": silent.endpoint,
            "PACT_OPENCHAMI_SMD_URL": chami.url,
            "PACT_TIMEOUT": "1.5",
        }
        done = run_pact(tmp_path, "health", env=env)
    found = lines(done)
    assert (done.returncode, done.stderr) == (5, "")
    assert found["lattice"] == f"down lattice at {silent.endpoint} did not answer within 1.5 s"
    assert found["PCS"].startswith("down ")
    assert found["BSS"].startswith("down boot script service not reachable at ")
    assert [found[part].split()[0] for part in ("journal", "nodes", "SMD")] == ["ok"] * 3
    assert done.stdout.count("hint: ") == 3


def test_with_all_of_them_dead_it_ends_all_the_same(tmp_path: Path, quiet: RunningJournal) -> None:
    with Silent() as silent:
        env = quiet.env() | {
            "PACT_ENDPOINT": silent.endpoint,
            "PACT_LATTICE_ENDPOINT": silent.endpoint,
            "PACT_OPENCHAMI_SMD_URL": f"http://{silent.endpoint}",
            "PACT_TIMEOUT": "1",
        }
        done = run_pact(tmp_path, "health", env=env)
    found = lines(done)
    assert (done.returncode, done.stderr) == (5, "")
    assert {part: rest.split()[0] for part, rest in found.items()} == {
        "journal": "down", "nodes": "unknown", "lattice": "down", "SMD": "down", "PCS": "down", "BSS": "down",
    }  # fmt: skip


def test_one_that_answers_but_is_not_well(tmp_path: Path, quiet: RunningJournal) -> None:
    with LatticeServer(token="t0ken") as lattice, Openchami() as chami:
        chami.unready = {"smd", "pcs"}
        chami.trouble = {"bss": "garbage"}
        env = quiet.env() | {"PACT_LATTICE_ENDPOINT": lattice.endpoint, "PACT_OPENCHAMI_SMD_URL": chami.url}
        done = run_pact(tmp_path, "health", env=env)
        lattice.token, lattice.raw = None, {"NodeService/Health": b"\x0a\x04\x1b[2J"}
        word = lines(run_pact(tmp_path, "health", env=env))["lattice"]
    found = lines(done)
    assert (done.returncode, done.stderr) == (1, "")
    assert f"degraded lattice at {lattice.endpoint} wants a token" in found["lattice"]
    assert found["SMD"].startswith(f"degraded not ready, at {chami.url}/hsm/v2: no database (")
    assert found["PCS"].startswith(f"degraded not ready, at {chami.url}/power-control/v1 (")
    assert found["BSS"].startswith("degraded boot script service at ")
    assert word.startswith("degraded \\x1b[2J, version unknown")


def test_a_gateway_in_the_place_of_the_service_is_no_answer(tmp_path: Path, quiet: RunningJournal) -> None:
    with Openchami() as chami:
        chami.trouble = {"smd": "html503", "pcs": "problem500"}
        done = run_pact(tmp_path, "health", env=quiet.env() | {"PACT_OPENCHAMI_SMD_URL": chami.url})
    found = lines(done)
    assert done.returncode == 5
    assert found["SMD"].startswith(f"down SMD not reachable at {chami.url}/hsm/v2 (HTTP status 503)")
    assert found["PCS"].startswith("degraded ")


def test_redfish_needs_no_pcs(tmp_path: Path, quiet: RunningJournal) -> None:
    with Openchami() as chami:
        env = quiet.env() | {"PACT_OPENCHAMI_SMD_URL": chami.url, "PACT_OPENCHAMI_BACKEND": "redfish"}
        done = run_pact(tmp_path, "health", env=env)
    assert (done.returncode, "PCS" in done.stdout) == (0, False)


def test_who_is_not_signed_in_hears_whether_there_is_a_journal(tmp_path: Path, quiet: RunningJournal) -> None:
    env = quiet.env() | {"PACT_TOKEN": ""}
    done = run_pact(tmp_path, "health", env=env)
    assert done.returncode == 1
    assert lines(done)["journal"].startswith(f"degraded answers at {quiet.endpoint}; who asks is not signed in there")
    assert "hint: pact login, or set PACT_TOKEN" in done.stdout
    done = run_pact(tmp_path, "health", env=env | {"PACT_ENDPOINT": "127.0.0.1:9"})
    assert (done.returncode, lines(done)["nodes"]) == (5, "unknown not known without the journal")


def test_on_a_node_its_agent_says_how_it_is_and_the_journal(tmp_path: Path, node: LocalNode) -> None:
    here = {"PACT_AGENT_SOCKET": str(node.socket)}
    done = run_pact(tmp_path, "health", env=here)
    found = lines(done)
    assert (done.returncode, list(found)) == (5, ["journal", "agent"])
    assert found["journal"].startswith("down node042 can't reach it since ")
    assert found["agent"].startswith(f"degraded {__version__} on node042, OBSERVE_ONLY, without the journal since ")


def test_on_a_node_without_its_agent(tmp_path: Path, quiet: RunningJournal) -> None:
    done = run_pact(tmp_path, "health", env=quiet.env() | {"PACT_AGENT_SOCKET": str(tmp_path / "no-agent")})
    found = lines(done)
    assert (done.returncode, found["journal"].split()[0]) == (5, "ok")
    assert found["agent"] == f"down agent: {tmp_path}/no-agent: No such file or directory"
