"""The life of a change, on a whole system: seen, committed, put back, undone, held."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pexpect
import pytest

from tests.e2e.outside import Outside, outside_of
from tests.pact_agent.localnode import BIN

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
LIMIT_S = 60.0
SETTING = "net.core.somaxconn"


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    for outside in outside_of(tmp_path_factory, "node042"):
        enforce(outside, 900)
        yield outside


def enforce(outside: Outside, base_s: int) -> None:
    values = ("enforcement_mode=enforce", f"base_commit_window_seconds={base_s}")
    words = [word for value in values for word in ("--set", value)]
    done = outside.pact("group", "set-policy", "ml-training", *words)
    assert "is now version" in done.stdout, done.stderr
    version = re.search(r"version (\d+)", done.stdout)
    assert version is not None
    wait(lambda: f"ml-training:{version[1]}" in policy_in_force(outside))


def policy_in_force(outside: Outside) -> str:
    """The policy that the agent's newest entry was made under."""
    assert run(outside, "true").returncode == 0
    return str(outside.entries("--type", "intent")[0]["policy"])


def wait(check: Callable[[], bool]) -> None:
    ends = time.monotonic() + LIMIT_S
    while not check():
        assert time.monotonic() < ends


def run(outside: Outside, *argv: str) -> subprocess.CompletedProcess[str]:
    return outside.pact("exec", "node042", "--", *argv)


def value(outside: Outside) -> str:
    return run(outside, "sysctl", "-n", SETTING).stdout.strip()


def test_from_a_change_to_its_commit_and_back(outside: Outside) -> None:
    before = value(outside)
    assert outside.pact("diff", "node042").stdout == "(no drift)\n"
    assert run(outside, "sysctl", "-w", f"{SETTING}=999").returncode == 0
    shown = outside.pact("diff", "node042").stdout
    assert re.match(rf"kernel: {SETTING} declared={before} actual=999 \(admin@dev, \d+ s ago\)\n", shown)
    assert re.search(r"Commit window: \d:\d\d left, then it is rolled back", shown)
    wait(lambda: "State: DRIFTED" in outside.pact("status", "node042").stdout)
    done = outside.pact("commit", "-m", "more connections", "--node", "node042")
    number = re.fullmatch(r"Committed seq:(\d+) on node042 \(1 change\)\n", done.stdout)
    assert number is not None, done.stdout + done.stderr
    (entry,) = outside.entries("--type", "commit")
    assert (entry["seq"], entry["message"]) == (int(number[1]), "more connections")
    committed = outside.pact("diff", "--committed", "node042").stdout
    assert re.fullmatch(rf"kernel: {SETTING} = 999 \(committed seq:{number[1]}, \d+ s ago\)\n", committed)
    again = outside.pact("commit", "-m", "again", "--node", "node042")
    assert again.returncode == 4
    assert f"admin@dev committed kernel:{SETTING} (seq:{number[1]}): more connections" in again.stderr
    done = outside.pact("rollback", str(int(number[1]) - 1), "--node", "node042")
    assert done.stdout == f"Rolled back node042 to seq:{int(number[1]) - 1} (1 change undone)\n"
    assert value(outside) == before
    assert outside.pact("diff", "--committed", "node042").stdout == "(no committed node deltas)\n"


def test_the_shell_counts_down_and_warns_who_leaves(outside: Outside) -> None:
    session = pexpect.spawn(
        str(BIN / "pact"), ["shell", "node042"], env=outside.env, encoding="utf-8", timeout=60, dimensions=(24, 120)
    )
    session.expect_exact("pact:node042> ")
    session.send(f"sysctl -w {SETTING}=998\r")
    session.expect(rf"drift: kernel:{SETTING} \d+ -> 998; committed within 3:5\d min, or undone")
    session.expect(r"drift 1")
    session.expect(r"window 3:\d\d")
    session.send("pact rollback\r")
    session.expect_exact("Rolled back node042 (1 change undone)")
    session.expect(r"COMMITTED")
    session.send("exit\r")
    session.expect(pexpect.EOF)
    session.close()


def test_a_mount_that_somebody_stands_in_is_held_and_all_else_is_undone(outside: Outside) -> None:
    before = value(outside)
    made = outside.pact("exec", "--bypass", "node042", "--", "mount", "-t", "tmpfs", "pact-test", "/srv")
    assert made.returncode == 0, made.stderr
    assert run(outside, "sysctl", "-w", f"{SETTING}=997").returncode == 0
    shown = outside.pact("diff", "node042").stdout
    assert "mounts: /srv declared=(none) actual=type=tmpfs source=pact-test " in shown
    sitting = outside.start("exec", "--bypass", "node042", "--", "env", "-C", "/srv", "sleep", "311")
    wait(lambda: "sleep 311" in run(outside, "ps", "-eo", "args").stdout)
    held = outside.pact("rollback", "--node", "node042")
    assert held.returncode == 10, held.stdout
    assert re.search(r"mounts:/srv: /srv is in use: sleep \(pid \d+\) holds /srv", held.stderr)
    assert value(outside) == before
    body = outside.entries("--type", "rollback")[0]["body"]
    assert isinstance(body, dict)
    (failed,) = body["failed"]
    assert [h["command"] for h in failed["holders"]] == ["sleep"]
    sitting.terminate()
    sitting.communicate(timeout=30)
    wait(lambda: "sleep 311" not in run(outside, "ps", "-eo", "args").stdout)
    done = outside.pact("rollback", "--node", "node042")
    assert done.stdout == "Rolled back node042 (1 change undone)\n", done.stderr
    assert outside.pact("diff", "node042").stdout == "(no drift)\n"


def test_what_nobody_commits_is_rolled_back_at_the_windows_end(outside: Outside) -> None:
    """The shortest window there is: a minute."""
    before = value(outside)
    enforce(outside, 60)
    try:
        run(outside, "sysctl", "-w", f"{SETTING}=996")
        assert value(outside) == "996"
        time.sleep(50)  # nothing may happen for as long
        assert value(outside) == "996"
        wait(lambda: value(outside) == before)
        entry = outside.entries("--type", "rollback")[0]
        assert isinstance(entry["body"], dict)
        assert entry["body"]["reason"] == "expired"
    finally:
        enforce(outside, 900)


def test_a_pattern_of_the_vcluster_or_the_node_is_in_force_at_once(outside: Outside) -> None:
    run(outside, "sysctl", "-w", "net.ipv4.ip_default_ttl=65")
    assert "net.ipv4.ip_default_ttl" in outside.pact("diff", "node042").stdout
    done = outside.pact("blacklist", "add", "kernel:net.ipv4.ip_default_ttl", "--node", "node042")
    assert done.stdout == "Blacklisted on node042: kernel:net.ipv4.ip_default_ttl (1 change no drift any more)\n"
    assert outside.pact("diff", "node042").stdout == "(no drift)\n"
    shown = outside.pact("blacklist", "--node", "node042").stdout.splitlines()
    assert "node      kernel:net.ipv4.ip_default_ttl" in shown
    assert "built-in  /tmp/**" in shown
    assert outside.pact("blacklist", "add", "kernel:net.ipv4.ip_default_ttl", "--node", "node042").returncode == 4
    done = outside.pact("blacklist", "remove", "kernel:net.ipv4.ip_default_ttl", "--node", "node042")
    assert done.stdout == "No longer blacklisted on node042: kernel:net.ipv4.ip_default_ttl\n"
    assert "net.ipv4.ip_default_ttl" in outside.pact("diff", "node042").stdout
    done = outside.pact("blacklist", "add", "kernel:net.ipv4.ip_default_ttl", "--vcluster", "ml-training")
    assert done.stdout == "Blacklisted on vcluster ml-training: kernel:net.ipv4.ip_default_ttl\n", done.stderr
    wait(lambda: outside.pact("diff", "node042").stdout == "(no drift)\n")
    listed = outside.pact("blacklist", "list", "--vcluster", "ml-training").stdout
    assert listed == "kernel:net.ipv4.ip_default_ttl\n"
    outside.pact("blacklist", "remove", "kernel:net.ipv4.ip_default_ttl", "--vcluster", "ml-training")
    wait(lambda: "net.ipv4.ip_default_ttl" in outside.pact("diff", "node042").stdout)
    assert outside.pact("rollback", "--node", "node042").returncode == 0
    (entry, *_) = outside.entries("--type", "blacklist.removed")
    assert (entry["message"], entry["author"]["principal"]) == ("kernel:net.ipv4.ip_default_ttl", "admin@dev")  # type: ignore[index]
    bad = outside.pact("blacklist", "add", "/etc/*.bak", "--node", "node042")
    assert (bad.returncode, "stands for a whole name" in bad.stderr) == (1, True)


def test_who_changes_something_is_told_when_it_is_declared_anew_and_before_the_window_ends(
    outside: Outside, tmp_path: Path
) -> None:
    """In the prompt, above the line that is being typed; somebody else in theirs is not."""
    enforce(outside, 60)
    place = ("--dir", str(outside.directory))
    token = outside.pact("dev", "token", "--principal", "bob@dev", "--role", "pact-ops-ml-training", *place).stdout
    spec = tmp_path / "spec.toml"
    spec.write_text(f'[vcluster.ml-training.sysctl]\n"{SETTING}" = "777"\n')
    home = tmp_path / "bob"
    home.mkdir()
    alice, bob = (
        pexpect.spawn(
            str(BIN / "pact"), ["shell", "node042"], env=env, encoding="utf-8", timeout=90, dimensions=(24, 200)
        )
        for env in (outside.env, outside.env | {"PACT_TOKEN": token.strip(), "HOME": str(home)})
    )
    for session in (alice, bob):
        session.expect_exact("pact:node042> ")
    alice.send(f"sysctl -w {SETTING}=555\r")
    alice.expect(r"committed within [01]:\d\d min, or undone")
    alice.send("echo 'one'")  # printed without the quotes, and not before the end of the line
    assert outside.pact("apply", str(spec)).returncode == 0
    alice.expect_exact(
        f"kernel:{SETTING}, which you changed to 555, is declared as 777; what you do not commit becomes"
    )
    alice.expect(rf"1 change of yours \(kernel:{SETTING}\) not committed: rolled back in \d+ s")
    alice.send("'two'\r")
    alice.expect_exact("onetwo")
    assert outside.pact("rollback", "--node", "node042").returncode == 0
    assert value(outside) == "777"
    said = []
    for session in (alice, bob):
        session.send("exit\r")
        session.expect(pexpect.EOF)
        session.close()
        said.append(str(session.before))
    assert "the overlay of ml-training, version 1, is applied" in said[1]
    assert "yours" not in said[1]
    assert "which you changed" not in said[1]
