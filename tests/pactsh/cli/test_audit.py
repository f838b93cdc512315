"""`pact audit`: entries of a real journal and of the tests' lattice, merged; and each without the other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pactsh.delegates.lattice import admin_pb2 as admin
from tests.lattice import LatticeServer
from tests.pact_agent.localnode import LocalNode
from tests.pactsh.cli.conftest import RunningJournal, draft, serving, session_drafts
from tests.pactsh.cli.program import run_pact
from tests.pactsh.cli.silent import Silent

NOBODY = "127.0.0.1:9"
NONE = "pact: audit: lattice has recorded none, which is not to say that nothing was done there"


def audit_entry(second: int, action: str, user: str = "bob", **fields: Any) -> admin.AuditEntryProto:
    """One of lattice's, of the minute that `session_drafts` are of."""
    entry = admin.AuditEntryProto(
        id=f"{second:08}-aaaa-4bbb-8ccc-000000000000", action=action, user_id=user, tenant_id="physics", **fields
    )
    entry.timestamp.FromJsonString(f"2026-01-31T12:00:{second:02}Z")
    return entry


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningJournal]:
    """A journal with a session, and with what an auditor asks for."""
    with serving(tmp_path_factory.mktemp("j")) as journal:
        journal.append(
            *session_drafts(),
            draft(20, "emergency.start", message="fire", body={"reason": "fire"}),
            draft(22, "blacklist.added", body={"pattern": "kernel:x"}, author=draft(1).author),
        )
        yield journal


@pytest.fixture
def lattice() -> Iterator[LatticeServer]:
    with LatticeServer() as server:
        yield server


def with_lattice(journal: RunningJournal, lattice: LatticeServer, **more: str) -> dict[str, str]:
    return {**journal.env(), "PACT_LATTICE_ENDPOINT": lattice.endpoint, **more}


def rows(text: str) -> list[tuple[str, str]]:
    """Source and type of each line."""
    return [(line.split()[1], line.split()[3]) for line in text.splitlines()]


def test_both_are_merged_newest_first(tmp_path: Path, kept: RunningJournal, lattice: LatticeServer) -> None:
    lattice.audit = [audit_entry(21, "node.drain"), audit_entry(5, "job.cancel", details="job \x1b[2J1")]
    env = with_lattice(kept, lattice)
    done = run_pact(tmp_path, "audit", env=env)
    assert (done.returncode, done.stderr) == (0, "")
    assert rows(done.stdout) == [
        ("pact", "cert.signed"), ("pact", "node.enrolled"),  # of now; the rest is of long ago
        ("pact", "blacklist.added"), ("lattice", "node.drain"), ("pact", "emergency.start"), ("pact", "refusal"),
        ("lattice", "job.cancel"),
    ]  # fmt: skip
    assert done.stdout.splitlines()[-1].endswith("physics  bob  job \\x1b[2J1")
    assert "rm -rf /  refused (6)" in done.stdout
    assert {sent["x-lattice-user"] for _, sent in lattice.calls} == {"alice@org"}
    told = json.loads(run_pact(tmp_path, "audit", "-n", "4", "--output", "json", env=env).stdout)
    assert [entry["source"] for entry in told["entries"]] == ["pact", "pact", "pact", "lattice"]
    assert (told["entries"][3]["id"], told["entries"][3]["entry"]["tenant"], told["errors"]) == (
        "00000021-aaaa-4bbb-8ccc-000000000000", "physics", {},
    )  # fmt: skip
    assert told["entries"][2]["entry"]["body"] == {"pattern": "kernel:x"}


def test_filters_hold_on_both_sides(tmp_path: Path, kept: RunningJournal, lattice: LatticeServer) -> None:
    lattice.audit = [audit_entry(21, "node.drain", "alice@org"), audit_entry(5, "job.cancel", "alice@org")]
    lattice.audit.append(audit_entry(22, "backup.create", "carol@org"))
    env = with_lattice(kept, lattice)
    done = run_pact(tmp_path, "audit", "--author", "alice@org", "--since", "2026-01-31T12:00:10Z", env=env)
    assert rows(done.stdout) == [("pact", "blacklist.added"), ("lattice", "node.drain"), ("pact", "emergency.start")]
    done = run_pact(tmp_path, "audit", "--source", "lattice", "-n", "1", env=env)
    assert rows(done.stdout) == [("lattice", "backup.create")]
    calls = len(lattice.calls)
    done = run_pact(tmp_path, "audit", "--source", "pact", "--author", "alice@org", env=env)
    assert rows(done.stdout) == [("pact", "blacklist.added"), ("pact", "emergency.start"), ("pact", "refusal")]
    assert len(lattice.calls) == calls


def test_that_lattice_recorded_none_is_said(tmp_path: Path, kept: RunningJournal, lattice: LatticeServer) -> None:
    env = with_lattice(kept, lattice)
    done = run_pact(tmp_path, "audit", "-n", "3", env=env)
    assert (done.returncode, len(rows(done.stdout))) == (0, 3)
    assert done.stderr.startswith(NONE)
    done = run_pact(tmp_path, "audit", "--source", "lattice", env=env)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith(NONE)


def test_without_lattice_pacts_are_shown(tmp_path: Path, kept: RunningJournal) -> None:
    for words in ([], ["--source", "all"]):
        done = run_pact(tmp_path, "audit", "--author", "alice@org", *words, env=kept.env())
        assert (done.returncode, done.stderr, len(rows(done.stdout))) == (0, "", 3)
    done = run_pact(tmp_path, "audit", "--source", "lattice", env=kept.env())
    assert (done.returncode, done.stdout) == (1, "")
    assert "hint: set PACT_LATTICE_ENDPOINT, or lattice_endpoint in cli.toml" in done.stderr


def test_one_source_down_leaves_the_other(tmp_path: Path, kept: RunningJournal, lattice: LatticeServer) -> None:
    lattice.audit = [audit_entry(21, "node.drain")]
    done = run_pact(tmp_path, "audit", "--author", "alice@org", env=with_lattice(kept, lattice, PACT_ENDPOINT=NOBODY))
    assert (done.returncode, rows(done.stdout)) == (5, [])  # who drained was bob
    done = run_pact(tmp_path, "audit", env=with_lattice(kept, lattice, PACT_ENDPOINT=NOBODY))
    assert (done.returncode, rows(done.stdout)) == (5, [("lattice", "node.drain")])
    assert done.stderr.startswith(f"pact: audit: the journal at {NOBODY} can't be reached")
    lattice.stop()
    done = run_pact(tmp_path, "audit", "--author", "alice@org", env=with_lattice(kept, lattice))
    assert (done.returncode, len(rows(done.stdout))) == (5, 3)
    assert done.stderr.startswith(f"pact: audit: lattice at {lattice.endpoint} can't be reached")
    lattice.start()


def test_both_down_is_said_of_both(tmp_path: Path, kept: RunningJournal) -> None:
    with Silent() as silent:
        env = kept.env() | {"PACT_ENDPOINT": silent.endpoint, "PACT_LATTICE_ENDPOINT": silent.endpoint}
        done = run_pact(tmp_path, "audit", "--output", "json", env=env | {"PACT_TIMEOUT": "1"})
    told = json.loads(done.stdout)
    assert (done.returncode, told["entries"], sorted(told["errors"])) == (5, [], ["lattice", "pact"])
    assert done.stderr.count("did not answer within 1 s") == 2


def test_a_lattice_that_refuses_or_talks_nonsense(tmp_path: Path, kept: RunningJournal, lattice: LatticeServer) -> None:
    lattice.token = "t0ken"
    done = run_pact(tmp_path, "audit", "-n", "1", env=with_lattice(kept, lattice))
    assert (done.returncode, len(rows(done.stdout))) == (2, 1)
    assert "wants a token" in done.stderr
    lattice.token, lattice.raw = None, {"AdminService/QueryAudit": b"\xff\xff\x1b[2J"}
    done = run_pact(tmp_path, "audit", "-n", "1", env=with_lattice(kept, lattice))
    assert (done.returncode, len(rows(done.stdout))) == (1, 1)
    assert "\x1b" not in done.stderr
    lattice.raw = {}
    lattice.audit = [admin.AuditEntryProto(id="1", action="x")]  # without a time, a user, anything
    done = run_pact(tmp_path, "audit", "--source", "lattice", env=with_lattice(kept, lattice))
    assert done.stdout.split() == ["-" * 20, "lattice", "1", "x", "-", "-", "-"]
    done = run_pact(tmp_path, "audit", "--source", "lattice", "--since", "1h", env=with_lattice(kept, lattice))
    assert done.stdout == ""


def test_what_one_may_not_read_is_not_there(tmp_path: Path, kept: RunningJournal) -> None:
    done = run_pact(tmp_path, "audit", env=kept.env("v@org", ["pact-viewer-hpc"]))
    assert (done.returncode, done.stdout) == (0, "")
    done = run_pact(tmp_path, "audit", env=kept.env() | {"PACT_TOKEN": ""})
    assert (done.returncode, done.stdout) == (2, "")


def test_lattices_audit_is_for_who_may_read_everything(
    tmp_path: Path, kept: RunningJournal, lattice: LatticeServer
) -> None:
    lattice.audit = [audit_entry(21, "node.drain")]
    env = with_lattice(kept, lattice) | kept.env("v@org", ["pact-viewer-ml-training"])
    done = run_pact(tmp_path, "audit", "--author", "alice@org", env=env)
    assert (done.returncode, {source for source, _ in rows(done.stdout)}) == (2, {"pact"})
    assert done.stderr.startswith("pact: audit: v@org may not read lattice's audit, which is of all vClusters\n")
    done = run_pact(tmp_path, "audit", "--source", "lattice", env=env)
    assert (done.returncode, done.stdout, lattice.calls) == (2, "", [])


def test_on_a_node_its_agent_is_asked(
    tmp_path: Path, node: LocalNode, kept: RunningJournal, lattice: LatticeServer
) -> None:
    lattice.audit = [audit_entry(21, "node.drain")]
    env = with_lattice(kept, lattice, PACT_AGENT_SOCKET=str(node.socket))
    done = run_pact(tmp_path, "audit", env=env)
    assert (done.returncode, rows(done.stdout)) == (5, [("lattice", "node.drain")])
    assert "pact: audit: no journal is configured on this node" in done.stderr
