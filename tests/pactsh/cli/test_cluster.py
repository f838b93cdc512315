"""`pact cluster` against a real journal and the tests' lattice: both, and each without the other."""

from __future__ import annotations

import json
from pathlib import Path

import grpc
import pytest

from pactsh import __version__
from pactsh.delegates.lattice import admin_pb2 as admin
from tests.lattice import LatticeServer
from tests.pactsh.cli.conftest import RunningJournal
from tests.pactsh.cli.program import run_pact
from tests.pactsh.cli.silent import Silent

NOBODY = "127.0.0.1:9"


def parts(text: str) -> tuple[dict[str, str], dict[str, str]]:
    """What is said of the journal, and of lattice, by name; what has no name is under ""."""
    found: list[dict[str, str]] = []
    for line in text.splitlines():
        if line.startswith("==="):
            found.append({})
        elif line:
            name, colon, value = line.partition(":")
            found[-1][name if colon and value.startswith("  ") else ""] = value.strip() if value else line
    first, second = found
    return first, second


def test_both_sides(tmp_path: Path, seeded: RunningJournal) -> None:
    with LatticeServer() as lattice:
        env = seeded.env() | {"PACT_LATTICE_ENDPOINT": lattice.endpoint}
        done = run_pact(tmp_path, "cluster", env=env)
        told = json.loads(run_pact(tmp_path, "cluster", "--output", "json", env=env).stdout)
        assert {sent["x-lattice-user"] for _, sent in lattice.calls} == {"alice@org"}
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0] == "=== Pact Journal ==="
    assert "\n=== Lattice Scheduler ===\n" in done.stdout
    journal, scheduler = parts(done.stdout)
    assert journal["Version"].startswith(f"{__version__}, up for ")
    assert journal["Store"] == "sqlite (one file, one member: nothing is replicated)"
    assert journal["Head"].startswith("seq:")
    assert (journal["Nodes"], journal["Approvals"], journal["Calls"]) == ("0 of 1 present", "0 open", "no other system")
    assert scheduler["Leader"] == "1"
    assert (scheduler["Term"], scheduler["Applied"]) == ("3", "41 of 42 (1 behind)")
    assert scheduler["Members"] == "lattice does not say"
    assert told["journal"]["last_seq"] >= told["journal"]["signed_seq"]
    assert told["lattice"]["behind"] == 1


def test_members_and_a_quorum_without_a_leader(tmp_path: Path, seeded: RunningJournal) -> None:
    with LatticeServer() as lattice:
        lattice.leader = 0
        lattice.members = [
            admin.RaftMemberStatus(node_id=2, address="b:9000", role="follower", match_index=40),
            admin.RaftMemberStatus(node_id=1, address="a:9000\x1b[2J", role="learner", match_index=41),
        ]
        env = seeded.env() | {"PACT_LATTICE_ENDPOINT": lattice.endpoint}
        done = run_pact(tmp_path, "cluster", env=env)
        told = json.loads(run_pact(tmp_path, "cluster", "--output", "json", env=env).stdout)
    assert "Leader:      none known" in done.stdout.splitlines()
    assert [line.split() for line in done.stdout.splitlines()[-2:]] == [
        ["1", "a:9000\\x1b[2J", "learner", "41", "never"], ["2", "b:9000", "follower", "40", "never"],
    ]  # fmt: skip
    assert told["lattice"]["leader"] is None
    assert [member["id"] for member in told["lattice"]["members"]] == [1, 2]


def test_without_lattice_there_is_pacts_part(tmp_path: Path, seeded: RunningJournal) -> None:
    done = run_pact(tmp_path, "cluster", env=seeded.env())
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1].startswith("not configured: ")
    assert json.loads(run_pact(tmp_path, "cluster", "--output", "json", env=seeded.env()).stdout)["lattice"] is None


def test_one_side_down_leaves_the_other(tmp_path: Path, seeded: RunningJournal) -> None:
    done = run_pact(tmp_path, "cluster", env=seeded.env() | {"PACT_LATTICE_ENDPOINT": NOBODY})
    assert done.returncode == 5
    assert "Store:       sqlite" in done.stdout
    assert f"lattice at {NOBODY} can't be reached: Connection refused" in done.stdout.splitlines()
    with LatticeServer() as lattice:
        env = seeded.env() | {"PACT_LATTICE_ENDPOINT": lattice.endpoint, "PACT_ENDPOINT": NOBODY}
        done = run_pact(tmp_path, "cluster", env=env)
        told = json.loads(run_pact(tmp_path, "cluster", "--output", "json", env=env).stdout)
        assert "x-lattice-user" not in lattice.calls[0][1]  # there was nobody to say for whom
    assert done.returncode == 5
    assert f"the journal at {NOBODY} can't be reached: Connection refused" in done.stdout.splitlines()
    assert "Leader:      1" in done.stdout.splitlines()
    assert (told["journal"]["error"]["kind"], told["lattice"]["leader"]) == ("timeout", 1)


def test_both_down_it_ends_in_time(tmp_path: Path, seeded: RunningJournal) -> None:
    with Silent() as silent:
        env = seeded.env() | {
            "PACT_LATTICE_ENDPOINT": silent.endpoint,
            "PACT_ENDPOINT": silent.endpoint,
            "PACT_TIMEOUT": "1",
        }
        done = run_pact(tmp_path, "cluster", env=env)
    assert (done.returncode, done.stderr) == (5, "")
    assert done.stdout.count("did not answer within 1 s") == 2


@pytest.mark.parametrize(
    ("code", "status"), [(grpc.StatusCode.INTERNAL, 1), (grpc.StatusCode.PERMISSION_DENIED, 2)], ids=str
)
def test_a_lattice_that_does_not_say(
    tmp_path: Path, seeded: RunningJournal, code: grpc.StatusCode, status: int
) -> None:
    with LatticeServer() as lattice:
        lattice.fail["AdminService/GetRaftStatus"] = (code, "no \x1b[2J")
        done = run_pact(tmp_path, "cluster", env=seeded.env() | {"PACT_LATTICE_ENDPOINT": lattice.endpoint})
    assert done.returncode == status
    assert "no \\x1b[2J" in done.stdout


def test_who_is_not_signed_in_is_told_so(tmp_path: Path, seeded: RunningJournal) -> None:
    done = run_pact(tmp_path, "cluster", env=seeded.env() | {"PACT_TOKEN": ""})
    assert (done.returncode, done.stdout) == (2, "")
