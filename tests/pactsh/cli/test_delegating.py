"""Deeds as they are typed: nobody is called before the journal has said so, and what came of it is on record."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from tests.pactsh.cli.conftest import ADMIN
from tests.pactsh.cli.delegated import OPS, VIEWER, Site, site, wait_for

BOB = ("bob@org", ("pact-platform-admin",))


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path) as made:
        yield made


def test_what_was_done_is_told_and_on_record_before_and_after(here: Site) -> None:
    done = here.pact("cordon", "node042", "--reason", "flaky link", who=OPS)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "Cordoned: node042 removed from lattice scheduling (via lattice API)\n"
    assert (here.lattice.node("node042").state, here.lattice.node("node042").state_reason) == ("down", "flaky link")
    (begun,), (ended,) = here.entries("delegation.begun"), here.entries("delegation.done")
    assert (begun["by"], begun["scope"], begun["reason"]) == ("olga@org", "node:node042", "flaky link")
    assert (begun["system"], begun["jobs"]) == ("lattice", [])
    assert (ended["status"], ended["message"]) == (0, done.stdout.strip())
    users = {sent.get("x-lattice-user") for _, sent in here.lattice.calls}
    assert users == {"olga@org"}


def test_who_may_not_is_refused_before_lattice_hears_of_it(here: Site) -> None:
    for verb in ("drain", "undrain", "cordon", "uncordon"):
        done = here.pact(verb, "node042", who=VIEWER)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == f"pact: vera@org may not {verb} on vcluster ml-training\nhint: pact whoami\n"
    assert here.lattice.calls == []
    assert here.begun() == []


def test_without_a_journal_nothing_is_done(here: Site) -> None:
    here.journal.stop()
    done = here.pact("--timeout", "3", "undrain", "node042")
    assert (done.returncode, done.stdout, here.lattice.calls) == (5, "", [])
    assert done.stderr.startswith(f"pact: the journal at {here.journal.endpoint} can't be reached")


def test_without_lattice_nothing_is_begun(here: Site) -> None:
    here.lattice.stop()
    done = here.pact("drain", "node042", "--yes")
    assert (done.returncode, done.stdout, here.begun()) == (5, "", [])
    assert f"lattice at {here.lattice.endpoint} can't be reached" in done.stderr
    assert here.pact("undrain", "node042").returncode == 5
    assert here.ended() == {("undrain", "node042"): 5}


def test_tls_and_plain_mixed_up_is_said(here: Site) -> None:
    here.more = {"PACT_LATTICE_ENDPOINT": f"https://{here.lattice.endpoint}"}
    done = here.pact("uncordon", "node042")
    assert done.stderr.splitlines()[0] == f"pact: lattice at {here.lattice.endpoint} does not speak TLS"
    assert (done.returncode, here.ended()) == (2, {("uncordon", "node042"): 2})
    here.more = {"PACT_LATTICE_ENDPOINT": f"http://{here.journal.endpoint}"}  # which speaks TLS
    done = here.pact("uncordon", "node042")
    assert done.returncode == 5
    assert "hint: it may speak TLS" in done.stderr


def test_lattice_that_is_slow_is_waited_for_as_long_as_said(here: Site) -> None:
    here.lattice.delay_s = 3
    done = here.pact("--timeout", "1", "undrain", "node042")
    assert (done.returncode, done.stdout) == (5, "")
    assert "did not answer within 1 s" in done.stderr
    assert here.ended() == {("undrain", "node042"): 5}


def test_a_node_that_lattice_does_not_know(here: Site) -> None:
    done = here.pact("drain", "node900")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[0] == "pact: node900: lattice does not know this node"
    told = json.loads(here.pact("--output", "json", "drain", "node900").stderr)
    assert told["error"]["kind"] == "not-found"
    assert here.ended() == {("drain", "node900"): 1}


def test_a_node_that_pact_does_not_know_is_for_platform_admins(here: Site) -> None:
    assert here.pact("drain", "node043").returncode == 0
    done = here.pact("undrain", "node043", who=OPS)
    assert (done.returncode, here.lattice.node("node043").state) == (2, "drained")


@pytest.mark.parametrize("nodes", ["node[", "node042 node043", "@nobody", "../x", ""])
def test_what_is_no_nodeset(here: Site, nodes: str) -> None:
    done = here.pact("drain", nodes)
    assert (done.returncode, done.stdout, here.lattice.calls, here.begun()) == (1, "", [], [])


def test_of_several_each_is_told_and_the_worst_counts(here: Site) -> None:
    here.lattice.node("node044").state = "failed"
    done = here.pact("drain", "node[040-049],node900", "--reason", "power")
    assert done.returncode == 1
    assert sorted(line.split()[1] for line in done.stdout.splitlines()) == [
        f"node{number:03}" for number in range(40, 50) if number != 44
    ]
    assert "pact: drain: node044 is failed: it can't be drained\n" in done.stderr
    assert "pact: drain: node900: lattice does not know this node\n" in done.stderr
    statuses = here.ended()
    assert len(statuses) == 11
    assert {target for (_, target), status in statuses.items() if status} == {"node044", "node900"}


@pytest.mark.e2e
def test_where_lattice_limits_calls_it_is_asked_again(here: Site) -> None:
    too_often = (grpc.StatusCode.RESOURCE_EXHAUSTED, "rate limit exceeded")
    here.lattice.fail_once |= {"NodeService/GetNode": too_often, "NodeService/DrainNode": too_often}
    done = here.pact("drain", "node042")
    assert (done.returncode, done.stderr) == (0, "")
    assert here.ended() == {("drain", "node042"): 0}


def test_json_is_one_document(here: Site) -> None:
    done = here.pact("--output", "json", "drain", "node042,node900")
    assert (done.returncode, done.stderr) == (1, "")
    good, bad = sorted(json.loads(done.stdout)["results"], key=lambda result: str(result["target"]))
    assert (good["result"], good["status"], good["details"]) == ("done", 0, {"before": "ready", "jobs": 0})
    assert (bad["result"], bad["status"], bad["kind"]) == ("failed", 1, "not-found")
    assert bad["hint"]
    (one,) = json.loads(here.pact("--output", "json", "undrain", "node042").stdout)["results"]
    assert (one["action"], one["target"], one["recorded"]) == ("undrain", "node042", True)


def test_dry_run_decides_and_does_nothing(here: Site) -> None:
    id_ = here.lattice.add_job(nodes=["node042"], user="carl")
    done = here.pact("drain", "node042", "--dry-run")
    assert (done.returncode, done.stdout) == (0, "Would drain node042 (lattice: NodeService/DrainNode)\n")
    assert id_ in done.stderr
    (would,) = json.loads(here.pact("--output", "json", "drain", "node042", "--dry-run").stdout)["results"]
    assert would["details"]["jobs"] == [{"id": id_, "user": "carl", "node": "node042", "state": "running"}]
    assert here.pact("drain", "node042", "--dry-run", who=VIEWER).returncode == 2
    assert (here.lattice.called("DrainNode"), here.begun()) == ([], [])


def test_what_is_said_by_lattice_moves_no_cursor(here: Site) -> None:
    here.lattice.fail["NodeService/EnableNode"] = (grpc.StatusCode.INTERNAL, "bad\x1b[2J\nthing")
    here.lattice.node("node042").state = "down"
    done = here.pact("uncordon", "node042")
    assert done.returncode == 1
    assert "\x1b" not in done.stderr
    assert "bad" in done.stderr


def test_an_outcome_that_cannot_be_put_on_record_is_told_loudly(here: Site) -> None:
    here.lattice.delay_s = 1
    running = here.start("--timeout", "2", "undrain", "node042")
    wait_for(lambda: here.lattice.calls)
    here.journal.stop()
    out, err = running.communicate(timeout=60)
    assert running.returncode == 5
    assert out == "Undrained: node042 was in service already (via lattice API)\n"
    assert "NOT ON RECORD" in err
    assert "node042" in err


def test_interrupted_in_the_middle_what_is_open_is_on_record_as_that(here: Site) -> None:
    here.lattice.delay_s = 20
    running = here.start("undrain", "node[040-049]")
    wait_for(lambda: len(here.lattice.calls) == 8)  # so many at a time
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert (running.returncode, out) == (130, "")
    assert "pact: undrain: node040: interrupted: what came of it is not known\n" in err
    assert "pact: undrain: node049: not begun: interrupted\n" in err
    messages = {entry["target"]: (entry["status"], entry["message"]) for entry in here.entries("delegation.done")}
    assert messages["node040"] == (130, "interrupted: what came of it is not known")
    assert messages["node049"] == (130, "not begun: interrupted")
    assert len(messages) == 10


def test_who_reads_the_output_no_more_leaves_nothing_open(here: Site) -> None:
    running = here.start("drain", "node[040-049]")
    assert running.stdout is not None
    running.stdout.close()
    running.stdout = None
    running.communicate(timeout=60)
    assert running.returncode == 141
    assert len(here.ended()) == len(here.begun()) == 10


def test_a_second_person_agrees_and_it_is_done_here(here: Site) -> None:
    here.set_policy(two_person_approval=True)
    here.lattice.add_job(nodes=["node042"], user="carl")
    running = here.start("drain", "node042", "--yes", "--reason", "fan")
    wait_for(lambda: here.entries("approval.requested"))
    assert here.lattice.called("DrainNode") == []
    listed = here.pact("approve", "list", who=BOB).stdout
    assert '"drain node042: fan"' in listed
    assert listed.endswith("(drain)\n")
    id_ = listed.split()[0]
    assert here.pact("approve", id_, who=BOB).returncode == 0
    out, err = running.communicate(timeout=60)
    assert running.returncode == 0, err
    assert err.splitlines()[-4:] == [
        "Approval required (two-person policy on vcluster: ml-training)",
        f"Pending approval: {id_} (expires in 30 min)",
        "Waiting for approval... (Ctrl-C to background)",
        "Approved by bob@org",
    ]
    assert out.startswith("Draining: node042 ")
    (begun,) = here.entries("delegation.begun")
    assert (begun["approval"], begun["approved_by"], begun["by"]) == (id_, "bob@org", ADMIN)


def test_a_second_person_says_no(here: Site) -> None:
    here.set_policy(two_person_approval=True)
    running = here.start("cordon", "node042")
    wait_for(lambda: here.entries("approval.requested"))
    id_ = here.entries("approval.requested")[0]["id"]
    assert here.pact("approve", "deny", id_, "-m", "not now", who=BOB).returncode == 0
    _, err = running.communicate(timeout=60)
    assert running.returncode == 3
    assert err.splitlines()[-1] == f"pact: cordon: {id_} was denied by bob@org: not now"
    assert (here.lattice.called("DisableNode"), here.begun()) == ([], [])


def test_who_waits_no_longer_comes_back_for_it(here: Site) -> None:
    here.set_policy(two_person_approval=True)
    running = here.start("cordon", "node042", "--reason", "fan")
    assert running.stderr is not None
    while "Waiting for approval" not in running.stderr.readline():
        pass
    running.send_signal(signal.SIGINT)
    out, _ = running.communicate(timeout=60)
    id_ = here.entries("approval.requested")[0]["id"]
    assert running.returncode == 0
    assert out == f"{id_} stays pending: once somebody has approved it, give the same command again.\n"
    told = json.loads(here.pact("--output", "json", "cordon", "node042", "--reason", "fan").stdout)
    assert (told["approval"], told["state"]) == (id_, "pending")
    assert here.pact("approve", id_, who=BOB).returncode == 0
    done = here.pact("cordon", "node042", "--reason", "fan")
    assert (done.returncode, done.stderr) == (0, f"{id_} asks for this already\nApproved by bob@org\n")
    assert done.stdout.startswith("Cordoned: node042 ")
    assert len(here.entries("approval.requested")) == 1


def test_a_second_person_agrees_and_the_journal_does_it(tmp_path: Path) -> None:
    with site(tmp_path, by_journal=True) as here:
        here.set_policy(two_person_approval=True)
        running = here.start("drain", "node042", "--wait")
        wait_for(lambda: here.entries("approval.requested"))
        id_ = here.entries("approval.requested")[0]["id"]
        assert here.pact("approve", id_, who=BOB).returncode == 0
        out, err = running.communicate(timeout=60)
        assert (running.returncode, err.splitlines()[-1]) == (0, "Approved by bob@org")
        assert out == "Drained: node042 takes no jobs, and has none (via lattice API)\n"
        here.lattice.node("node042").state = "down"
        running = here.start("undrain", "node042")
        wait_for(lambda: len(here.entries("approval.requested")) == 2)
        id_ = here.entries("approval.requested")[1]["id"]
        here.pact("approve", id_, who=BOB)
        out, err = running.communicate(timeout=60)
        assert (running.returncode, out) == (1, "")
        assert err.splitlines()[-2:] == [
            "pact: node042 is down, not drained",
            "hint: pact uncordon node042 puts it back into scheduling",
        ]
        assert here.ended() == {("drain", "node042"): 0, ("undrain", "node042"): 1}


def test_of_two_vclusters_with_two_persons_each_is_asked_for(here: Site) -> None:
    here.set_policy(two_person_approval=True)
    done = here.pact("cordon", "node[042-043]")
    assert (done.returncode, here.begun()) == (1, [])
    assert "hint: ask for each vCluster's own" in done.stderr


def test_the_sites_own_rules_see_the_jobs_and_refuse(tmp_path: Path) -> None:
    rule = 'deny contains "there are jobs" if { input.action == "drain"; count(input.params.jobs) > 0 }'
    with site(tmp_path, rego=rule) as here:
        assert here.pact("drain", "node041").returncode == 0
        here.lattice.add_job(nodes=["node042"])
        done = here.pact("drain", "node042", "--yes")
        assert done.returncode == 3
        assert "there are jobs" in done.stderr
        assert (here.lattice.called("DrainNode"), here.begun()) == (["DrainNode"], [("drain", "node041")])
