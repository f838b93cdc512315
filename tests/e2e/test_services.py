"""Services on a node without systemd, from a workstation: in the commit window, with a second person, whatever happens
to the agent."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.e2e.outside import Outside, outside_of

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]
VC, NODE = "ml-training", "node042"
LIMIT_S = 60.0
ON = ("--node", NODE)
SCRIPT = "n=0; while :; do n=$((n+1)); echo tick $n; sleep 0.2; done"


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    if os.path.isdir("/run/systemd/system"):
        pytest.skip("systemd runs this machine")
    for system in outside_of(tmp_path_factory, NODE, vcluster=VC):
        services = system.directory / "nodes" / NODE / "services"
        services.mkdir()
        (services / "db.toml").write_text('command = ["/bin/sleep", "100000"]\n')
        (services / "web.toml").write_text(f'command = ["/bin/sh", "-c", "{SCRIPT}"]\nrequires = ["db"]\n')
        assert system.pact("service", "start", "web", *ON).returncode == 0
        assert system.pact("group", "set-policy", VC, "--set", "enforcement_mode=enforce").returncode == 0
        assert system.pact("commit", "-m", "services of this node", *ON).returncode == 0
        yield system


def until(check: Callable[[], bool]) -> None:
    end = time.monotonic() + LIMIT_S
    while not check():
        assert time.monotonic() < end
        time.sleep(0.1)


def services(outside: Outside) -> dict[str, dict[str, Any]]:
    done = outside.pact("service", "status", *ON, "--output", "json")
    return {one["name"]: one for one in json.loads(done.stdout)["services"]} if done.returncode == 0 else {}


def agent_pid(outside: Outside) -> int:
    state = json.loads((outside.directory / "state.json").read_text())
    return int(state["processes"][f"agent {NODE}"]["pid"])


def test_what_is_stopped_is_drift_and_a_rollback_starts_it(outside: Outside) -> None:
    done = outside.pact("service", "stop", "db", *ON)
    assert (done.returncode, done.stdout) == (0, "Stopped db on node042\n  and with it: web\n")
    diff = outside.pact("diff", NODE).stdout
    assert re.search(r"services: web declared=state=running \S+ actual=state=stopped \S+ \(admin@dev, ", diff)
    assert "(2 changes undone)" in outside.pact("rollback", *ON).stdout
    assert {one["state"] for one in services(outside).values()} == {"running"}
    found = [(e["type"], e["message"]) for e in outside.entries("--type", "service.done")]
    assert found[0] == ("service.done", "stop db: done")


def test_an_agent_that_is_killed_is_nothing_that_a_service_notices(outside: Outside) -> None:
    before = services(outside)
    killed = agent_pid(outside)
    os.kill(killed, signal.SIGKILL)
    until(lambda: agent_pid(outside) != killed and bool(services(outside)))
    after = services(outside)
    assert {name: one["pid"] for name, one in after.items()} == {name: one["pid"] for name, one in before.items()}
    assert outside.pact("diff", NODE).stdout == "(no drift)\n"


def test_a_log_is_followed_from_elsewhere_until_who_reads_it_leaves(outside: Outside) -> None:
    following = outside.start("service", "logs", "web", "-f", "-n", "1", *ON)
    assert following.stdout is not None
    ticks = [int(following.stdout.readline().rpartition(" ")[2]) for _ in range(4)]
    assert ticks == [*range(ticks[0], ticks[0] + 4)]
    following.send_signal(signal.SIGINT)
    following.communicate(timeout=LIMIT_S)
    assert following.returncode == 130
    last = outside.pact("service", "logs", "web", "-n", "2", *ON, "--output", "json").stdout.splitlines()
    assert [json.loads(line)["service"] for line in last] == ["web", "web"]


def test_errors_come_from_there_with_their_hints(outside: Outside) -> None:
    for verb in ("status", "restart", "logs"):
        done = outside.pact("service", verb, "wbe", *ON)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == "pact: service: wbe: no such service on this node\nhint: did you mean web?\n"


def test_a_viewer_changes_nothing_and_a_second_person_is_asked(outside: Outside) -> None:
    viewer = person(outside, "eve", "viewer")
    alice, bob = person(outside, "alice", "ops"), person(outside, "bob", "ops")
    assert outside.pact("service", "status", *ON, env=viewer).returncode == 0
    done = outside.pact("service", "stop", "web", *ON, env=viewer)
    assert (done.returncode, "may not stop services of a node" in done.stderr) == (2, True)

    outside.pact("group", "set-policy", VC, "--set", "two_person_approval=true", "--yes")
    until(lambda: asked(outside, alice))
    pid = services(outside)["web"]["pid"]
    first = json.loads(outside.pact("approve", "list", "--output", "json", env=bob).stdout)[0]
    assert first["summary"] == "service restart web"
    assert outside.pact("approve", str(first["id"]), env=bob).returncode == 0
    until(lambda: services(outside).get("web", {}).get("pid") not in {None, pid})
    last = outside.entries("--type", "service.done")[0]
    author = last["author"]
    assert isinstance(author, dict)
    assert (last["message"], author["principal"]) == ("restart web: done", "alice")


def person(outside: Outside, name: str, role: str) -> dict[str, str]:
    words = ("dev", "token", "--dir", str(outside.directory), "--principal", name, "--role", f"pact-{role}-{VC}")
    home = outside.home / name
    home.mkdir(exist_ok=True)
    return {"PACT_TOKEN": outside.pact(*words).stdout.strip(), "HOME": str(home)}


def asked(outside: Outside, who: dict[str, str]) -> bool:
    """Whether a restart waits for somebody: once the node knows of the policy."""
    done = outside.pact("service", "restart", "web", *ON, "--output", "json", env=who)
    return "approval" in json.loads(done.stdout)
