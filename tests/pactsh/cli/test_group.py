"""`pact group` on a real journal: what it shows, what it changes, who may, and who was first."""

from __future__ import annotations

import json
import subprocess
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pexpect
import pytest

from tests.pact_agent.localnode import LocalNode
from tests.pactsh.cli.conftest import ADMIN, RunningJournal, draft, session_drafts
from tests.pactsh.cli.program import PACT, clean_environment, run_pact

ML = "ml-training"


def group(
    home: Path, journal: RunningJournal, *args: str, role: str = "pact-platform-admin", **env: str
) -> subprocess.CompletedProcess[str]:
    who = ADMIN if role == "pact-platform-admin" else "vera@org"
    return run_pact(home, "group", *args, env=journal.env(who, (role,)) | env)


def policies(home: Path, journal: RunningJournal) -> list[dict[str, Any]]:
    shown = run_pact(home, "log", "--type", "policy.updated", "--output", "json", env=journal.env())
    entries: list[dict[str, Any]] = json.loads(shown.stdout)["entries"]
    return entries


def written(home: Path, text: str) -> str:
    path = home / "p.toml"
    path.write_text(text)
    return str(path)


def test_a_change_is_shown_journaled_and_counted(tmp_path: Path, journal: RunningJournal) -> None:
    path = written(tmp_path, 'audit = "strict"\ncommands.remove = ["dmesg"]\n')
    done = group(tmp_path, journal, "set-policy", ML, "--file", path)
    assert done.returncode == 0
    assert done.stderr.startswith("pact: the first policy of ml-training: its containment, required, takes the place")
    assert done.stdout.splitlines() == [
        '~ audit: "normal" -> "strict"',
        '+ commands.remove dmesg: "dmesg"',
        "Policy of ml-training is now version 1 (seq:2)",
    ]
    again = group(tmp_path, journal, "set-policy", ML, "--file", path)
    assert (again.returncode, again.stdout, again.stderr) == (0, "(no difference)\n", "")
    (entry,) = policies(tmp_path, journal)
    assert (entry["scope"], entry["author"]["principal"]) == (f"vcluster:{ML}", ADMIN)
    assert entry["message"] == 'version 1: audit: "normal" -> "strict", +commands.remove dmesg'
    assert (entry["body"]["policy"]["version"], entry["body"]["policy"]["commands"]) == (1, {"remove": ["dmesg"]})


def test_keys_are_set_one_by_one(tmp_path: Path, journal: RunningJournal) -> None:
    sets = ["--set", "audit=strict", "--set", "bypass_allowed=false", "--set", 'commands.remove=["dmesg", "ps"]']
    done = group(tmp_path, journal, "set-policy", ML, *sets, "--output", "json")
    told = json.loads(done.stdout)
    assert (told["version"], told["seq"]) == (1, 2)
    assert {c["key"]: c["new"] for c in told["changes"]} == {
        "audit": '"strict"',
        "bypass_allowed": "false",
        "commands.remove dmesg": '"dmesg"',
        "commands.remove ps": '"ps"',
    }
    done = group(tmp_path, journal, "set-policy", ML, "--set", "commands.remove=[]", "--set", "audit=normal")
    assert done.stdout.splitlines()[-1].startswith("Policy of ml-training is now version 2 (seq:")
    assert group(tmp_path, journal, "set-policy", ML, "--set", "audit=normal").stdout == "(no difference)\n"


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--set", "audit=off"], "--set: audit: Invalid enum value 'off'"),
        (["--set", "audits=1"], "--set: audits: Object contains unknown field `audits`"),
        (["--set", "emergency_window_seconds=2"], "hint: not in this version"),
        (["--set", "version=7"], "--set version: is not to be set"),
        (["--set", "audit.x=7"], "--set audit.x: audit has no keys of its own"),
        (["--set", "audit"], "--set audit: expected KEY=VALUE"),
        (["--set", 'commands.remove=["exit"]'], "--set: commands.remove[0]: exit is part of the shell"),
        ([], "group set-policy: give either --file or --set"),
        (["--set", "audit=strict", "--file", "x"], "group set-policy: give either --file or --set"),
        (["--file", "/nonexistent"], "/nonexistent: No such file"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_written(
    tmp_path: Path, seeded: RunningJournal, args: list[str], words: str
) -> None:
    done = group(tmp_path, seeded, "set-policy", ML, *args)
    assert (done.returncode, done.stdout) == (1, "")
    assert words in done.stderr
    assert policies(tmp_path, seeded) == []


def test_an_error_in_a_file_names_file_line_and_key(tmp_path: Path, seeded: RunningJournal) -> None:
    path = written(tmp_path, 'audit = "strict"\n\n[commands]\nremove = [\n  "lss",\n]\n')
    done = group(tmp_path, seeded, "set-policy", ML, "--file", path)
    assert done.returncode == 1
    assert done.stderr.startswith(f"pact: {path}: line 5: commands.remove[0]: there is no command 'lss'")


def test_only_platform_admins_change_a_policy(tmp_path: Path, seeded: RunningJournal) -> None:
    for role in ("pact-ops-ml-training", "pact-viewer-ml-training"):
        for more in ([], ["--dry-run"]):
            done = group(tmp_path, seeded, "set-policy", ML, "--set", "audit=strict", *more, role=role)
            assert (done.returncode, done.stdout) == (2, "")
            assert "vera@org may not change the policy of ml-training" in done.stderr
    assert policies(tmp_path, seeded) == []


def test_a_dry_run_changes_nothing(tmp_path: Path, seeded: RunningJournal) -> None:
    done = group(tmp_path, seeded, "set-policy", ML, "--set", "regulated=true", "--dry-run")
    assert done.stdout.splitlines() == [
        "~ regulated: false -> true",
        "Nothing was changed: the policy of ml-training stays at version 0",
    ]
    assert policies(tmp_path, seeded) == []


def test_what_is_shown_is_read_back(tmp_path: Path, journal: RunningJournal) -> None:
    assert group(tmp_path, journal, "set-policy", ML, "--set", "audit=strict").returncode == 0
    shown = group(tmp_path, journal, "show", ML)
    assert tomllib.loads(shown.stdout)["audit"] == "strict"
    same = group(tmp_path, journal, "set-policy", ML, "--file", written(tmp_path, shown.stdout))
    assert (same.returncode, same.stdout) == (0, "(no difference)\n")
    told = json.loads(group(tmp_path, journal, "show", ML, "--output", "json").stdout)
    assert (told["version"], told["policy"]["audit"], told["proposals"]) == (1, "strict", [])
    assert tomllib.loads(told["toml"]) == told["policy"]


def test_a_file_made_from_an_older_version_is_a_conflict(tmp_path: Path, journal: RunningJournal) -> None:
    assert group(tmp_path, journal, "set-policy", ML, "--set", "audit=strict").returncode == 0
    path = written(tmp_path, group(tmp_path, journal, "show", ML).stdout + "\n")
    assert group(tmp_path, journal, "set-policy", ML, "--set", "regulated=true").returncode == 0
    done = group(tmp_path, journal, "set-policy", ML, "--file", path)
    assert (done.returncode, done.stdout) == (4, "")
    assert "was made from version 1, the policy of ml-training is at version 2" in done.stderr
    assert len(policies(tmp_path, journal)) == 2


def test_no_change_is_lost_to_another_made_at_once(tmp_path: Path, journal: RunningJournal) -> None:
    """Each says version N+1 or exits 4, and what those who succeeded set is all there at the end."""
    names = ["dmesg", "ps", "free", "df", "uptime", "w"]
    homes = [tmp_path / name for name in names]
    for home in homes:
        home.mkdir()

    def change(name: str) -> int:
        text = f'[[commands.narrow]]\ncommand = "{name}"\noptions = ["--help"]\n'
        return group(tmp_path / name, journal, "set-policy", ML, "--file", written(tmp_path / name, text)).returncode

    with ThreadPoolExecutor(len(names)) as pool:
        statuses = list(pool.map(change, names))
    kept = policies(tmp_path, journal)
    assert set(statuses) <= {0, 4}
    assert len(kept) == statuses.count(0) >= 1
    assert [e["body"]["policy"]["version"] for e in reversed(kept)] == list(range(1, len(kept) + 1))


def test_on_a_terminal_it_asks_first_and_colours_the_difference(tmp_path: Path, journal: RunningJournal) -> None:
    env = clean_environment(tmp_path, journal.env()) | {"TERM": "xterm"}
    args = ["group", "set-policy", ML, "--set", "audit=strict"]
    child = pexpect.spawn(str(PACT), args, env=env, encoding="utf-8", timeout=60)
    child.expect_exact('\x1b[33m~ audit:\x1b[0m \x1b[31m"normal"\x1b[0m -> \x1b[32m"strict"\x1b[0m')
    child.expect_exact("Change the policy of ml-training?")
    child.sendline("n")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 1
    assert policies(tmp_path, journal) == []
    child = pexpect.spawn(str(PACT), [*args, "--yes"], env=env, encoding="utf-8", timeout=60)
    child.expect_exact("Policy of ml-training is now version 1")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0


def test_list_has_nodes_and_policies(tmp_path: Path, journal: RunningJournal) -> None:
    assert group(tmp_path, journal, "list").stdout == "(no vClusters)\n"
    journal.append(*session_drafts()[:1])
    assert group(tmp_path, journal, "set-policy", "hpc", "--set", "whitelist_mode=learning").returncode == 0
    rows = [line.split() for line in group(tmp_path, journal, "list").stdout.splitlines()]
    assert rows == [
        ["VCLUSTER", "NODES", "POLICY", "MODE", "WHITELIST", "2PA"],
        ["hpc", "0", "1", "observe", "learning", "no"],
        ["ml-training", "1", "0", "observe", "strict", "no"],
    ]
    told = json.loads(group(tmp_path, journal, "list", "--output", "json").stdout)
    assert told["vclusters"][1] == {
        "vcluster": "ml-training",
        "nodes": 1,
        "version": 0,
        "mode": "observe",
        "whitelist": "strict",
        "two_person_approval": False,
    }


def refusal(number: int, *argv: str, path: str | None = None, **fields: Any) -> Any:
    learn = {"name": argv[0], "argv": list(argv), "path": path}
    body = {"line": " ".join(argv), "status": 6, "code": "unknown-command", "reason": "no", "learn": learn}
    return draft(number, "refusal", body=body, time="2099-01-31T12:00:00.000000Z", **fields)


def test_learning_proposes_what_can_be_pasted(tmp_path: Path, journal: RunningJournal) -> None:
    assert group(tmp_path, journal, "set-policy", ML, "--set", "whitelist_mode=learning").returncode == 0
    journal.append(
        refusal(1, "zztool", "-a", "/var/log/x", path="/usr/bin/zztool"),
        refusal(2, "bash", "-c", "x", path="/usr/bin/bash"),
        draft(3, "refusal", body={"line": "rm", "status": 6, "code": "unknown-command", "reason": "no"}),
        draft(4, "refusal", body={"line": "rm", "learn": "nonsense"}, time="2099-01-31T12:00:00.000000Z"),
    )
    shown = group(tmp_path, journal, "show", ML).stdout
    assert "2 lines refused by the whitelist" in shown
    assert '#| name = "zztool"' in shown
    assert "# not proposed: it is a shell" in shown
    unchanged = group(tmp_path, journal, "set-policy", ML, "--file", written(tmp_path, shown))
    assert unchanged.stdout == "(no difference)\n"
    pasted = shown + group(tmp_path, journal, "show", ML, "--proposals").stdout
    done = group(tmp_path, journal, "set-policy", ML, "--file", written(tmp_path, pasted))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith('+ commands.add zztool: { name = "zztool"')
    viewer = group(tmp_path, journal, "show", ML, role="pact-viewer-ml-training")
    assert (viewer.returncode, tomllib.loads(viewer.stdout)["version"]) == (0, 2)


def test_without_learning_nothing_is_proposed(tmp_path: Path, seeded: RunningJournal) -> None:
    shown = group(tmp_path, seeded, "show", ML).stdout
    assert shown.startswith("# The policy of ml-training: the built-in one.\n")
    assert shown.endswith('# No proposals: whitelist_mode is "strict", so nothing is collected.\n')


def test_without_a_token_and_out_of_reach(tmp_path: Path, seeded: RunningJournal) -> None:
    env = seeded.env()
    env.pop("PACT_TOKEN")
    assert run_pact(tmp_path, "group", "show", ML, env=env).returncode == 2
    other = group(tmp_path, seeded, "show", ML, role="pact-viewer-other")
    assert (other.returncode, other.stdout) == (2, "")


def test_on_a_node_without_a_journal_it_is_unreachable(tmp_path: Path, node: LocalNode) -> None:
    done = run_pact(tmp_path, "group", "show", ML, env={"PACT_AGENT_SOCKET": str(node.socket)})
    assert (done.returncode, done.stdout) == (5, "")
