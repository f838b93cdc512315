"""Two persons, on a whole system: verbs and lines wait, and are done once, whoever has gone meanwhile."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pexpect
import pytest

from tests.e2e.outside import Outside, outside_of
from tests.pact_agent.localnode import BIN

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]
VC = "sensitive-compute"
KEY = "net.core.somaxconn"
LIMIT_S = 60.0
Person = dict[str, str]


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    for system in outside_of(tmp_path_factory, "node042", vcluster=VC):
        keys = ("enforcement_mode=enforce", "two_person_approval=true")
        done = system.pact("group", "set-policy", VC, *(w for key in keys for w in ("--set", key)))
        assert done.returncode == 0, done.stderr
        yield system


@pytest.fixture
def people(outside: Outside) -> tuple[Person, Person]:
    return person(outside, "alice@org"), person(outside, "bob@org")


def person(outside: Outside, name: str, role: str = f"pact-ops-{VC}") -> Person:
    words = ["dev", "token", "--dir", str(outside.directory), "--principal", name, "--role", role]
    token = outside.pact(*words).stdout.strip()
    assert token
    home = outside.home / name
    home.mkdir(exist_ok=True)
    return {"PACT_TOKEN": token, "HOME": str(home)}


def until(check: Callable[[], bool]) -> None:
    end = time.monotonic() + LIMIT_S
    while not check():
        assert time.monotonic() < end
        time.sleep(0.1)


def listed(outside: Outside, who: Person, *words: str) -> list[dict[str, object]]:
    shown = outside.pact("approve", "list", *words, "--output", "json", env=who)
    assert shown.returncode == 0, shown.stderr
    found = json.loads(shown.stdout)
    assert isinstance(found, list)
    return found


def only(outside: Outside, who: Person) -> str:
    """The one that is open, once it is."""
    until(lambda: len(listed(outside, who)) == 1)
    return str(listed(outside, who)[0]["id"])


def value(outside: Outside, who: Person) -> str:
    return outside.pact("exec", "node042", "--", "sysctl", "-n", KEY, env=who).stdout.strip()


def start(outside: Outside, who: Person, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [str(BIN / "pact"), *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=outside.env | who,
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=LIMIT_S)
    return process.returncode, out, err


def test_a_line_and_its_commit_wait_for_somebody_else(outside: Outside, people: tuple[Person, Person]) -> None:
    alice, bob = people
    assert outside.pact("exec", "node042", "--", "uptime", env=alice).returncode == 0, "reading waits for nobody"
    line = start(outside, alice, "exec", "node042", "--", "sysctl", "-w", f"{KEY}=999")
    id_ = only(outside, bob)
    assert value(outside, bob) != "999"
    refused = outside.pact("approve", id_, env=alice)
    assert (refused.returncode, "your own request" in refused.stderr) == (2, True)
    assert value(outside, bob) != "999"
    approved = outside.pact("approve", id_, env=bob)
    assert approved.returncode == 0, approved.stderr
    status, out, err = ended(line)
    assert (status, out) == (0, f"{KEY} = 999\n"), err
    for text in (f"two-person policy on vcluster: {VC}", f"Pending approval: {id_} (expires in 30 min)", "by bob@org"):
        assert text in err
    assert value(outside, bob) == "999"

    commit = start(outside, alice, "commit", "--node", "node042", "-m", "for training")
    id_ = only(outside, bob)
    (item,) = listed(outside, bob)
    assert (item["summary"], item["action"], item["node"]) == ("for training", "commit", "node042")
    line_ = outside.pact("approve", "list", env=bob).stdout
    assert line_.startswith(f'{id_}  {VC}  "for training"  by alice@org  ')
    whole = outside.pact("approve", "show", id_, env=bob).stdout
    assert f"  kernel:{KEY} = 999\n" in whole
    approved = outside.pact("approve", id_, env=bob)
    assert approved.stdout == "Approved. Commit applied on node042.\n", approved.stderr
    status, out, err = ended(commit)
    assert (status, out) == (0, "Approved by bob@org. Commit applied on node042.\n"), err
    assert f"kernel: {KEY} = 999" in outside.pact("diff", "--committed", "node042", env=alice).stdout
    again = outside.pact("approve", id_, env=bob)
    assert (again.returncode, "already" in again.stderr) == (4, True)


def test_denied_it_is_not_done_and_says_by_whom(outside: Outside, people: tuple[Person, Person]) -> None:
    alice, bob = people
    line = start(outside, alice, "exec", "node042", "--", "sysctl", "-w", f"{KEY}=777")
    id_ = only(outside, bob)
    assert outside.pact("approve", "deny", id_, env=bob).returncode == 1, "a denial says why"
    assert outside.pact("approve", "deny", id_, "-m", "not today", env=bob).stdout.startswith(f"Denied: {id_}")
    status, _, err = ended(line)
    assert (status, f"{id_}: denied by bob@org: not today" in err) == (3, True), err
    assert value(outside, bob) != "777"


def test_it_is_done_though_its_requester_is_gone(outside: Outside, people: tuple[Person, Person]) -> None:
    alice, bob = people
    line = start(outside, alice, "exec", "node042", "--", "sysctl", "-w", f"{KEY}=888")
    id_ = only(outside, bob)
    line.send_signal(signal.SIGKILL)
    line.communicate()
    approved = outside.pact("approve", id_, env=bob)
    assert approved.returncode == 0, approved.stderr
    until(lambda: value(outside, bob) == "888")
    entries = outside.entries("--type", "intent")
    lines = [e for e in entries if str(e["body"]["line"]).endswith("=888'")]  # type: ignore[index]
    assert [(e["author"]["principal"], e["body"]["approval"]) for e in lines] == [("alice@org", id_)]  # type: ignore[index]


def test_at_the_prompt_one_goes_on_and_it_is_done_later(outside: Outside, people: tuple[Person, Person]) -> None:
    alice, bob = people
    env = outside.env | alice | {"TERM": "dumb"}
    session = pexpect.spawn(str(BIN / "pact"), ["shell", "node042"], env=env, encoding="utf-8", timeout=60)
    session.expect_exact("pact:node042> ")
    session.sendline(f"sysctl -w {KEY}=666")
    session.expect_exact("Waiting for approval... (Ctrl-C to background)")
    session.sendintr()
    session.expect("(ap-[0-9a-f]+) stays pending")
    assert isinstance(session.match, re.Match)
    id_ = session.match.group(1)
    session.expect_exact("pact:node042> ")
    session.sendline("echo $?")
    session.expect_exact("0")
    session.sendline("pact rollback")
    session.expect_exact("Waiting for approval... (Ctrl-C to background)")
    session.sendintr()
    session.expect("(ap-[0-9a-f]+) stays pending")
    session.expect_exact("pact:node042> ")
    ids = {str(item["id"]) for item in listed(outside, bob)}
    assert id_ in ids
    assert len(ids) == 2
    for each in sorted(ids - {id_}):
        assert outside.pact("approve", "deny", each, "-m", "no", env=bob).returncode == 0
    assert outside.pact("approve", id_, env=bob).returncode == 0
    until(lambda: value(outside, bob) == "666")
    session.sendline("exit")
    session.expect(pexpect.EOF)


def test_the_policy_itself_waits_and_an_emergency_too(outside: Outside, people: tuple[Person, Person]) -> None:
    alice, bob = people
    second = person(outside, "root2@org", "pact-platform-admin")
    change = start(outside, {}, "group", "set-policy", VC, "--set", "two_person_approval=false")
    id_ = only(outside, second)
    assert "~ two_person_approval: true -> false" in outside.pact("approve", "show", id_, env=second).stdout
    assert "two_person_approval = true" in outside.pact("group", "show", VC).stdout
    assert outside.pact("approve", "deny", id_, "-m", "keep it", env=second).returncode == 0
    assert ended(change)[0] == 3
    emergency = start(outside, alice, "emergency", "--reason", "disk died", "--node", "node042")
    id_ = only(outside, bob)
    assert outside.pact("approve", id_, env=bob).stdout == "Approved. Emergency begun on node042.\n"
    assert ended(emergency)[0] == 0
    until(lambda: "EMERGENCY" in outside.pact("status", "node042", env=bob).stdout)
    end = start(outside, alice, "emergency", "--end", "--rollback", "--node", "node042")
    assert outside.pact("approve", only(outside, bob), env=bob).returncode == 0
    assert ended(end)[0] == 0


def test_a_request_outlives_the_journal(outside: Outside, people: tuple[Person, Person]) -> None:
    alice, bob = people
    commit = start(outside, alice, "exec", "node042", "--", "sysctl", "-w", f"{KEY}=555")
    id_ = only(outside, bob)
    state = json.loads((outside.directory / "state.json").read_text())
    pid = next(p["pid"] for name, p in state["processes"].items() if name == "journal")
    subprocess.run(["kill", "-9", str(pid)], check=True)
    until(lambda: outside.pact("approve", id_, env=bob).returncode == 0)
    until(lambda: value(outside, bob) == "555")
    commit.kill()
    commit.communicate()
    intents = [e for e in outside.entries("--type", "intent") if str(e["body"]["line"]).endswith("=555'")]  # type: ignore[index]
    assert len(intents) == 1


def test_nobody_decides_in_time(outside: Outside, people: tuple[Person, Person]) -> None:
    """What was to be committed is rolled back then. (A minute is the shortest time that a policy gives.)"""
    alice, bob = people
    second = person(outside, "root2@org", "pact-platform-admin")
    change = start(outside, {}, "group", "set-policy", VC, "--set", "approval_timeout_seconds=60")
    assert outside.pact("approve", only(outside, second), env=second).returncode == 0
    assert ended(change)[0] == 0
    before = value(outside, bob)
    line = start(outside, alice, "exec", "node042", "--", "sysctl", "-w", f"{KEY}=444")
    assert outside.pact("approve", only(outside, bob), env=bob).returncode == 0
    ended(line)
    commit = start(outside, alice, "commit", "--node", "node042", "-m", "x")
    only(outside, bob)
    out, err = commit.communicate(timeout=150)
    assert (commit.returncode, out) == (3, ""), err
    assert "nobody approved" in err
    until(lambda: value(outside, bob) != "444")
    assert value(outside, bob) in {before, "999", "4096"}


def test_a_line_that_waits_is_decided_anew(outside: Outside, people: tuple[Person, Person], tmp_path: Path) -> None:
    """Its command was taken away while it waited."""
    alice, bob = people
    line = start(outside, alice, "exec", "node042", "--", "sysctl", "-w", f"{KEY}=667")
    waiting = only(outside, bob)
    policy = tmp_path / "policy.toml"
    shown = outside.pact("group", "show", VC).stdout
    policy.write_text("\n".join(row for row in shown.splitlines() if not row.startswith("version")) + "\n")
    with policy.open("a") as file:
        file.write('[commands]\nremove = ["sysctl"]\n')
    change = start(outside, {}, "group", "set-policy", VC, "--file", str(policy))
    until(lambda: len(listed(outside, bob)) == 2)
    (other,) = {str(item["id"]) for item in listed(outside, bob)} - {waiting}
    root = person(outside, "root2@org", "pact-platform-admin")
    assert outside.pact("approve", other, env=root).returncode == 0
    assert ended(change)[0] == 0
    until(lambda: outside.pact("exec", "node042", "--", "sysctl", "-n", KEY, env=bob).returncode == 6)
    approved = outside.pact("approve", waiting, env=bob)
    assert (approved.returncode, "is approved, and failed" in approved.stderr) == (6, True), approved.stderr
    assert ended(line)[0] == 6
    read = outside.pact("exec", "node042", "--", "cat", "/proc/sys/net/core/somaxconn", env=bob)
    assert (read.returncode, read.stdout.strip() == "667") == (0, False)
