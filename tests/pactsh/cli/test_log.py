"""`pact log` against a real journal."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import pytest

from tests.pactsh.cli.conftest import RunningJournal, draft, session_drafts
from tests.pactsh.cli.program import PACT, clean_environment, run_pact


def seqs(output: str) -> list[int]:
    return [int(line.split()[0]) for line in output.splitlines()]


def test_newest_first_with_what_matters_on_a_line(tmp_path: Path, seeded: RunningJournal) -> None:
    done = run_pact(tmp_path, "log", "--scope", "node:node042", env=seeded.env())
    assert (done.returncode, done.stderr) == (0, "")
    said = [line.split(maxsplit=5) for line in done.stdout.splitlines()]
    assert [(e[2], e[3], e[4], e[5]) for e in said if e[4] == "alice@org"] == [
        (type_, "node:node042", "alice@org", text)
        for type_, text in (
            ("session.end", "status 0, exit, 3 lines after 60.0 s"),
            ("refusal", "rm -rf /  refused (6): rm is not known"),
            ("outcome", "status 1 after 1.5 s"),
            ("intent", "systemctl restart sshd  [change services]"),
            ("outcome", "status 0 after 12 ms"),
            ("intent", "uname -n"),
            ("session.start", "interactive session by ssh from 10.0.0.9"),
        )
    ]
    assert said[0][1] == "2026-01-31T12:00:07Z"
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize(
    ("args", "types"),
    [
        (["--type", "refusal"], ["refusal"]),
        (["--author", "alice@org", "-n", "2"], ["session.end", "refusal"]),
        (["--author", "bob@org"], []),
        (["--scope", "vc:ml-training"], []),
        (["--since", "2026-01-31T12:00:06Z", "--author", "alice@org"], ["session.end", "refusal"]),
        (["--since", "2026-01-31T13:00:06+01:00", "--author", "alice@org"], ["session.end", "refusal"]),
    ],
)
def test_filters(tmp_path: Path, seeded: RunningJournal, args: list[str], types: list[str]) -> None:
    done = run_pact(tmp_path, "log", *args, env=seeded.env())
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split()[2] for line in done.stdout.splitlines()] == types


def test_json_is_one_document_with_whole_entries(tmp_path: Path, seeded: RunningJournal) -> None:
    done = run_pact(tmp_path, "log", "-n", "1", "--output", "json", env=seeded.env())
    (entry,) = json.loads(done.stdout)["entries"]
    assert entry["type"] == "session.end"
    assert entry["author"] == {"principal": "alice@org", "roles": ["pact-platform-admin"], "kind": "human"}
    assert entry["body"]["lines"] == 3
    assert len(entry["hash"]) == 64


def test_what_an_entry_says_cannot_reach_the_terminal(tmp_path: Path, journal: RunningJournal) -> None:
    line = "ls \x1b]0;owned\x07\r\n999999 forged \udcff\u202e"
    journal.append(draft(1, body={"line": line, "class": "read"}))
    done = run_pact(tmp_path, "log", "-n", "1", env=journal.env())
    assert done.stdout.rstrip("\n").endswith("ls \\x1b]0;owned\\x07\\r\\n999999 forged \\xff\\u202e")
    assert len(done.stdout.splitlines()) == 1
    told = run_pact(tmp_path, "log", "-n", "1", "--output", "json", env=journal.env())
    assert json.loads(told.stdout)["entries"][0]["body"]["line"] == line


def test_without_the_role_it_is_status_2(tmp_path: Path, seeded: RunningJournal) -> None:
    done = run_pact(tmp_path, "log", env=seeded.env("eve@org", ()))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("pact: ")


def test_a_forged_token_is_status_2_and_never_shown(tmp_path: Path, seeded: RunningJournal) -> None:
    token = seeded.token()[:-8] + "AAAAAAAA"
    done = run_pact(tmp_path, "log", env=seeded.env() | {"PACT_TOKEN": token})
    assert (done.returncode, done.stdout) == (2, "")
    assert token not in done.stderr


def test_follow_goes_on_oldest_first_until_ctrl_c(tmp_path: Path, journal: RunningJournal) -> None:
    first = session_drafts()
    journal.append(*first[:3])
    env = clean_environment(tmp_path, journal.env())
    command: list[str | Path] = [PACT, "log", "--follow", "-n", "2", "--author", "alice@org", "--output", "json"]
    with subprocess.Popen(command, stdout=-1, stderr=-1, env=env, text=True) as process:
        assert process.stdout is not None
        seen = [json.loads(process.stdout.readline()) for _ in range(2)]
        journal.append(*first[3:])
        seen += [json.loads(process.stdout.readline()) for _ in range(4)]
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=60)
    assert [entry["type"] for entry in seen] == [d.type for d in first[1:]]
    assert [e["seq"] for e in seen] == sorted({e["seq"] for e in seen})
    assert (process.returncode, rest, errors) == (130, "", "")
