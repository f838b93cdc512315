"""`pact revoke` on a real journal: what it says, who may, and that it works."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.pactsh.cli.conftest import ADMIN, NODE, RunningJournal, draft
from tests.pactsh.cli.program import run_pact

ROLE = "pact-platform-admin"


def revoke(
    home: Path, journal: RunningJournal, *args: str, who: str = ADMIN, role: str = ROLE
) -> subprocess.CompletedProcess[str]:
    return run_pact(home, "revoke", *args, env=journal.env(who, (role,)))


def listed(home: Path, journal: RunningJournal) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(revoke(home, journal, "list", "--output", "json").stdout)
    return found


def test_a_persons_token_counts_no_more(tmp_path: Path, journal: RunningJournal) -> None:
    assert revoke(tmp_path, journal, "list").stdout == "(nothing was revoked)\n"
    bob = journal.env("bob@org", ("pact-ops-ml-training",))
    assert run_pact(tmp_path, "ssh-config", env=bob).returncode == 0
    done = revoke(tmp_path, journal, "person", "bob@org", "-m", "laptop  stolen")
    assert (done.returncode, done.stderr) == (0, "")
    (row,) = listed(tmp_path, journal)
    assert done.stdout == (
        f"Revoked: bob@org. What was issued before {row['before']} counts no more (seq:{row['seq']}).\n"
    )
    assert (row["kind"], row["subject"], row["by"], row["message"]) == ("person", "bob@org", ADMIN, "laptop stolen")
    refused = run_pact(tmp_path, "status", "--vcluster", "ml-training", env=bob)
    assert refused.returncode == 2
    assert refused.stderr.startswith(f"pact: bob@org was revoked by {ADMIN} at 2")
    assert refused.stderr.endswith("hint: pact login\n")
    assert run_pact(tmp_path, "whoami", env=bob).returncode == 2, "a certificate was kept"
    (line,) = revoke(tmp_path, journal, "list").stdout.splitlines()
    assert line.startswith(f"person  bob@org  by {ADMIN}  ")
    assert line.endswith(f' ago  "laptop stolen"  (issued before {row["before"]})')
    shown = run_pact(tmp_path, "log", "--type", "revoke", env=journal.env()).stdout
    assert "person bob@org: laptop stolen" in shown


def test_a_node_is_known_or_named_as_unknown(tmp_path: Path, journal: RunningJournal) -> None:
    journal.append(draft(1))
    unknown = revoke(tmp_path, journal, "node", "node043", "-m", "sold")
    assert (unknown.returncode, "no node 'node043'" in unknown.stderr) == (1, True)
    done = revoke(tmp_path, journal, "node", NODE, "-m", "sold", "--output", "json")
    told = json.loads(done.stdout)
    assert (told["kind"], told["subject"], told["known"]) == ("node", NODE, True)
    assert "REVOKED" in run_pact(tmp_path, "status", "--vcluster", "ml-training", env=journal.env()).stdout.upper()


def test_a_name_that_nobody_has_used_is_revoked_and_asked_about(tmp_path: Path, journal: RunningJournal) -> None:
    done = revoke(tmp_path, journal, "person", "alcie@org", "-m", "laptop stolen", "--output", "json")
    assert (done.returncode, json.loads(done.stdout)["known"]) == (0, False)
    assert "no entry by alcie@org" in done.stderr


@pytest.mark.parametrize("role", ["pact-viewer-ml-training", "pact-ops-ml-training", "pact-service-ai"])
def test_nobody_else_may(tmp_path: Path, journal: RunningJournal, role: str) -> None:
    for args in (("person", ADMIN), ("node", NODE)):
        refused = revoke(tmp_path, journal, *args, "-m", "x", who="vera@org", role=role)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert "a platform admin" in refused.stderr
    assert listed(tmp_path, journal) == []
    assert revoke(tmp_path, journal, "list", who="vera@org", role=role).returncode == 0


@pytest.mark.parametrize(
    ("args", "status", "words"),
    [
        (("person", "bob@org"), 1, "message"),
        (("person", "bob@org", "-m", " "), 1, "say why"),
        (("person", "role=pact-ops-ml", "-m", "x"), 2, "not a usable principal"),
        (("node", "NODE042", "-m", "x"), 1, "expected a node name"),
    ],
)
def test_wrong_usage(tmp_path: Path, journal: RunningJournal, args: tuple[str, ...], status: int, words: str) -> None:
    done = revoke(tmp_path, journal, *args)
    assert (done.returncode, done.stdout) == (status, "")
    assert words in done.stderr
