"""Draining and waiting, rebooting and reimaging, on a real journal, with the tests' lattice and OpenCHAMI."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from tests.openchami import Openchami
from tests.pactsh.cli.delegated import Site, site, wait_for

pytestmark = pytest.mark.e2e  # of agents that end and come back

NODES = ("node042", "node043")


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path) as made:
        yield made


@pytest.fixture
def power(here: Site) -> Iterator[Openchami]:
    with Openchami() as served:
        for number in range(40, 50):
            served.add_node(f"x1000c0s{number}b0n0", nid=number)
        here.more = {"PACT_OPENCHAMI_SMD_URL": served.url, "PACT_OPENCHAMI_NAMES": "nid"}
        yield served


def rebooted(power: Openchami) -> int:
    return len(power.asked("POST"))


def test_a_reboot_waits_until_the_agent_has_started_again(here: Site, power: Openchami) -> None:
    running = here.start("reboot", "node042", "--reason", "kernel")
    wait_for(here.ended)
    here.start_agent()
    out, err = running.communicate(timeout=60)
    assert running.returncode == 0, err
    first, second = out.splitlines()
    assert first.startswith("Rebooted: node042 ")
    assert second.startswith("Back: node042 after ")
    assert rebooted(power) == 1
    (begun,) = here.entries("delegation.begun")
    assert (begun["action"], begun["system"], begun["reason"]) == ("reboot", "openchami", "kernel")


def test_a_start_before_the_reboot_is_no_return(here: Site, power: Openchami) -> None:
    here.start_agent()
    done = here.pact("reboot", "node042", "--wait-timeout", "0.5")
    assert (done.returncode, rebooted(power)) == (5, 1)
    assert done.stdout.startswith("Rebooted: node042 ")
    assert done.stderr.splitlines()[-2:] == [
        "pact: node042 is not back after 0 s",
        "hint: more time: --wait-timeout",
    ]
    told = json.loads(here.pact("--output", "json", "reboot", "node042", "--wait-timeout", "0").stdout)
    assert [(one["action"], one["result"]) for one in told["results"]] == [("reboot", "done"), ("return", "failed")]


def test_a_node_without_an_agent_is_not_waited_for(here: Site, power: Openchami) -> None:
    done = here.pact("reboot", "node043")
    assert done.returncode == 0
    assert done.stderr == "pact: node043: pact has no agent there that could say that it is back\n"


def test_force_reaches_the_hardware_and_the_record(here: Site, power: Openchami) -> None:
    assert here.pact("reboot", "node042", "--force", "--no-wait").returncode == 0
    assert power.asked("POST")[0].body["operation"] == "hard-restart"
    assert here.entries("delegation.begun")[0]["force"] is True


def test_of_several_one_that_fails_is_told_and_the_rest_is_done(here: Site, power: Openchami) -> None:
    done = here.pact("reboot", "node[042-043],node900", "--no-wait")
    assert done.returncode == 1
    assert len(done.stdout.splitlines()) == 2
    assert "pact: reboot: node900: " in done.stderr
    assert rebooted(power) == 2


def test_a_failing_openchami_is_said(here: Site, power: Openchami) -> None:
    power.trouble["pcs"] = "html503"
    done = here.pact("reboot", "node042")
    assert done.returncode in {1, 5}
    assert done.stderr.startswith("pact: ")
    assert "Back:" not in done.stdout
    assert here.ended()["reboot", "node042"] == done.returncode


def test_drained_first_and_undrained_when_it_is_back(here: Site, power: Openchami) -> None:
    id_ = here.lattice.add_job(nodes=["node042"])
    running = here.start("reboot", "node042", "--drain", "--yes", "--reason", "kernel")
    wait_for(lambda: here.lattice.node("node042").state == "draining")
    assert rebooted(power) == 0
    here.lattice.end_job(id_)
    wait_for(lambda: ("reboot", "node042") in here.ended())
    assert here.lattice.node("node042").state == "drained"
    here.start_agent()
    out, err = running.communicate(timeout=60)
    assert running.returncode == 0, err
    assert [line.split(":")[0] for line in out.splitlines()] == [
        "Draining",
        "Drained",
        "Rebooted",
        "Back",
        "Undrained",
    ]
    assert here.lattice.node("node042").state == "ready"
    assert here.begun() == [("drain", "node042"), ("reboot", "node042"), ("undrain", "node042")]
    reasons = [entry["reason"] for entry in here.entries("delegation.begun")]
    assert reasons == ["pact reboot: kernel", "kernel", "after pact reboot: kernel"]


def test_a_node_without_jobs_is_drained_all_the_same(here: Site, power: Openchami) -> None:
    done = here.pact("reimage", "node042", "--drain", "--yes", "--no-wait")
    assert (done.returncode, here.lattice.node("node042").state) == (0, "ready")
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == ["Drained", "Reimaged", "Undrained"]


def test_what_fails_stays_drained_and_what_was_drained_before_as_well(here: Site, power: Openchami) -> None:
    here.pact("drain", "node041")
    power.nodes["x1000c0s42b0n0"].manageable = False
    done = here.pact("reboot", "node[041-042]", "--drain", "--no-wait")
    assert done.returncode == 1
    assert "pact: node041 stays drained, as it was before\n" in done.stderr
    assert "pact: node042 stays drained; to undo it: pact undrain node042\n" in done.stderr
    assert [here.lattice.node(f"node{number:03}").state for number in (41, 42)] == ["drained", "drained"]


def test_a_node_that_can_not_be_drained_is_left_alone(here: Site, power: Openchami) -> None:
    here.lattice.node("node042").state = "failed"
    done = here.pact("reboot", "node042", "--drain", "--no-wait")
    assert (done.returncode, done.stdout, rebooted(power)) == (1, "", 0)
    assert "node042 is failed: it can't be drained" in done.stderr


def test_a_drain_that_does_not_end_is_given_up_and_goes_on(here: Site, power: Openchami) -> None:
    here.lattice.add_job(nodes=["node042"])
    done = here.pact("reboot", "node042", "--drain", "--yes", "--drain-timeout", "0.5")
    assert (done.returncode, rebooted(power)) == (5, 0)
    assert "pact: node042 is draining still after 0 s\n" in done.stderr
    assert "draining still, or drained; to undo it: pact undrain node042" in done.stderr
    assert here.lattice.node("node042").state == "draining"


def test_interrupted_while_draining_it_says_that_it_drains_still(here: Site, power: Openchami) -> None:
    here.lattice.add_job(nodes=["node042"])
    child = here.terminal("reboot", "node042", "--drain", "--yes")
    child.expect_exact("draining node042: 1 job left")
    child.sendintr()
    child.expect_exact("pact: interrupted: node042 is draining still")
    child.expect_exact("pact undrain node042")
    child.expect(pexpect.EOF)
    child.close()
    assert (child.exitstatus, rebooted(power)) == (130, 0)
    assert here.ended() == {("drain", "node042"): 0}


def test_interrupted_while_waiting_for_the_return_it_stays_drained(here: Site, power: Openchami) -> None:
    child = here.terminal("reboot", "node042", "--drain")
    child.expect_exact("waiting until node042 is back")
    child.sendintr()
    child.expect_exact("not waited for node042 any longer")
    child.expect_exact("stays drained; to undo it: pact undrain node042")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 130
    assert here.lattice.node("node042").state == "drained"


def test_drain_without_lattice_is_refused(here: Site, power: Openchami) -> None:
    here.more |= {"PACT_LATTICE_ENDPOINT": ""}
    done = here.pact("reboot", "node042", "--drain", "--yes")
    assert (done.returncode, here.begun()) == (1, [])
    assert done.stderr.startswith("pact: reboot: --drain: no lattice endpoint is configured\nhint: ")


def test_drain_waits_where_that_is_asked_for(here: Site) -> None:
    ids = {node: here.lattice.add_job(nodes=[node]) for node in NODES}
    running = here.start("drain", "node[042-043]", "--wait", "--yes")
    assert running.stderr is not None
    while running.stderr.readline() != "draining node[042-043] (2): 2 jobs left\n":
        pass
    for id_ in ids.values():
        here.lattice.end_job(id_)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 0, err
    lines = out.splitlines()
    assert sorted(lines[2:]) == [f"Drained: {node} has no jobs any more (via lattice API)" for node in NODES]


def test_drain_waits_through_a_lattice_that_goes_away(here: Site) -> None:
    id_ = here.lattice.add_job(nodes=["node042"])
    running = here.start("--timeout", "2", "drain", "node042", "--wait", "--yes")
    wait_for(lambda: "ListNodes" in here.lattice.called())
    here.lattice.stop()
    assert running.stderr is not None
    while "trying again" not in running.stderr.readline():
        pass
    here.lattice.end_job(id_)
    here.lattice.start()
    out, err = running.communicate(timeout=60)
    assert running.returncode == 0, err
    assert out.splitlines()[-1] == "Drained: node042 has no jobs any more (via lattice API)"


def test_somebody_else_ends_the_drain(here: Site) -> None:
    here.lattice.add_job(nodes=["node042"])
    running = here.start("drain", "node042", "--wait", "--yes")
    wait_for(lambda: here.lattice.node("node042").state == "draining")
    here.lattice.node("node042").state = "down"
    _, err = running.communicate(timeout=60)
    assert running.returncode == 4
    assert "pact: node042 was to drain, and is down\n" in err


def test_a_dry_run_names_every_step(here: Site, power: Openchami) -> None:
    done = here.pact("reboot", "node042", "--drain", "--dry-run")
    assert done.stdout.splitlines() == [
        "Would drain node042 (lattice: NodeService/DrainNode)",
        "Would reboot node042 (OpenCHAMI: power)",
        "Would undrain node042 (lattice: NodeService/UndrainNode)",
    ]
    assert (done.returncode, here.begun(), rebooted(power)) == (0, [], 0)
