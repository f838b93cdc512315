"""What disturbs jobs shows them first and asks: at a terminal, and where there is none."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import grpc
import pexpect
import pytest

from tests.openchami import Openchami
from tests.pactsh.cli.delegated import OPS, VIEWER, Site, site
from tests.pactsh.cli.program import PACT, clean_environment


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


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def test_the_jobs_are_shown_and_the_answer_counts(here: Site) -> None:
    id_ = here.lattice.add_job(nodes=["node042", "node043", "node099"], user="carl", age_s=4000, walltime_s=174_600)
    ended = here.lattice.add_job(nodes=["node042"], user="dora", state="completed")
    child = here.terminal("drain", "node[042-043]")
    child.expect_exact("Go on? [y/N] ")
    seen = child.before or ""
    assert "pact: drain: 1 job on node[042-043] (2)" in seen
    assert ended not in seen
    (row,) = [plain(line).split() for line in seen.splitlines() if id_ in line]
    assert row == [id_, "carl", "running", "1", "h", "1", "day", "23", "h", "node[042-043]", "(2)"]
    child.sendline("n")
    child.expect_exact("pact: drain: nothing was done")
    child.expect(pexpect.EOF)
    child.close()
    assert (child.exitstatus, here.begun(), here.lattice.called("DrainNode")) == (1, [], [])
    child = here.terminal("drain", "node042")
    child.expect_exact("Go on? [y/N] ")
    child.sendline("y")
    child.expect_exact("Draining: node042 takes no new jobs, 1 job still there (via lattice API)")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    (begun,) = here.entries("delegation.begun")
    assert begun["jobs"] == [{"id": id_, "user": "carl", "node": "node042", "state": "running"}]


def test_interrupted_at_the_question_nothing_is_done(here: Site) -> None:
    here.lattice.add_job(nodes=["node042"])
    child = here.terminal("cordon", "node042")
    child.expect_exact("Go on? [y/N] ")
    child.sendintr()
    child.expect(pexpect.EOF)
    child.close()
    assert (child.exitstatus, here.begun()) == (130, [])


def test_where_nobody_is_there_to_answer_it_takes_yes(here: Site) -> None:
    id_ = here.lattice.add_job(nodes=["node042"])
    done = here.pact("cordon", "node042")
    assert (done.returncode, done.stdout, here.begun()) == (1, "", [])
    assert id_ in done.stderr
    assert done.stderr.splitlines()[-2:] == [
        "pact: cordon: 1 job on node042, and nobody is there to be asked",
        "hint: --yes goes on all the same",
    ]
    done = here.pact("cordon", "node042", "--yes")
    assert done.returncode == 0
    assert id_ in done.stderr
    done = here.pact("--output", "json", "uncordon", "node042")
    assert done.stderr == ""
    done = here.pact("--output", "json", "drain", "node042", "--yes")
    assert done.stderr == ""


def test_a_terminal_for_output_alone_is_nobody_there(here: Site) -> None:
    here.lattice.add_job(nodes=["node042"])
    env = clean_environment(here.home, here.env() | {"TERM": "xterm"})
    child = pexpect.spawn(
        "/bin/sh",
        ["-c", f"{PACT} cordon node042 </dev/null"],
        env=env,
        encoding="utf-8",
        timeout=30,
    )
    child.expect_exact("nobody is there to be asked")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 1


def test_no_jobs_no_question(here: Site) -> None:
    here.lattice.add_job(nodes=["node041"])
    child = here.terminal("cordon", "node042")
    child.expect_exact("Cordoned: node042")
    child.expect(pexpect.EOF)
    child.close()
    assert (child.exitstatus, child.before) == (0, " removed from lattice scheduling (via lattice API)\r\n")


def test_of_many_jobs_the_first_are_shown_and_kept(here: Site) -> None:
    for _ in range(230):
        here.lattice.add_job(nodes=["node042"])
    done = here.pact("cordon", "node042", "--yes")
    lines = done.stderr.splitlines()
    assert lines[0] == "pact: cordon: 230 jobs on node042"
    assert len(lines) == 1 + 1 + 20 + 1
    assert lines[-1] == "  and 210 more jobs"
    (begun,) = here.entries("delegation.begun")
    assert (len(begun["jobs"]), begun["jobs_left_out"]) == (200, 30)


def test_where_lattice_refuses_to_tell_that_is_asked_about(here: Site) -> None:
    here.lattice.fail["AllocationService/List"] = (grpc.StatusCode.PERMISSION_DENIED, "no")
    done = here.pact("drain", "node042")
    assert (done.returncode, here.begun()) == (1, [])
    assert "what runs on node042 is not known: lattice at" in done.stderr
    child = here.terminal("drain", "node042")
    child.expect_exact("what runs on node042 is not known")
    child.expect_exact("Go on? [y/N] ")
    child.sendline("y")
    child.expect_exact("Drained: node042")
    child.expect(pexpect.EOF)
    child.close()
    assert "jobs_not_known" in here.entries("delegation.begun")[0]


def test_a_reboot_without_lattice_is_asked_about(here: Site, power: Openchami) -> None:
    here.more |= {"PACT_LATTICE_ENDPOINT": ""}
    done = here.pact("reboot", "node042", "--no-wait")
    assert (done.returncode, here.begun(), power.asked("POST")) == (1, [], [])
    told = "pact: reboot: what runs on node042 is not known: no lattice is configured"
    assert done.stderr.splitlines()[0] == told
    done = here.pact("reboot", "node042", "--no-wait", "--yes", who=OPS)
    assert (done.returncode, done.stderr) == (0, told + "\n")
    assert here.begun() == [("reboot", "node042")]


def test_with_lattice_down_a_reboot_is_asked_about(here: Site, power: Openchami) -> None:
    here.lattice.stop()
    done = here.pact("reboot", "node042", "--no-wait")
    assert (done.returncode, here.begun(), power.asked("POST")) == (1, [], [])
    assert "can't be reached" in done.stderr
    assert here.pact("reboot", "node042", "--no-wait", "--yes").returncode == 0


def test_a_reimage_is_always_asked_about(here: Site, power: Openchami) -> None:
    done = here.pact("reimage", "node042", "--no-wait")
    assert (done.returncode, here.begun(), power.asked("POST")) == (1, [], [])
    assert done.stderr.splitlines()[:2] == [
        "pact: reimage: no jobs on node042",
        "pact: reimage: what is on the nodes is lost, and nobody is there to be asked",
    ]
    child = here.terminal("reimage", "node042", "--no-wait")
    child.expect_exact("pact: reimage: what is on the nodes is lost")
    child.expect_exact("Go on? [y/N] ")
    child.sendline("y")
    child.expect_exact("Reimaged: node042")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0


def test_who_may_not_is_asked_nothing(here: Site, power: Openchami) -> None:
    here.lattice.add_job(nodes=["node042"])
    for verb in ("drain", "reboot", "reimage"):
        child = here.terminal(verb, "node042", who=VIEWER)
        child.expect_exact(f"vera@org may not {verb} on vcluster ml-training")
        child.expect(pexpect.EOF)
        child.close()
        assert child.exitstatus == 2
    assert (here.lattice.calls, power.calls) == ([], [])


def test_the_width_of_the_terminal_is_kept_to(here: Site) -> None:
    nodes = [f"node{number:03}" for number in range(40, 50)]
    here.lattice.add_job(nodes=nodes[::2], user="somebody-with-a-long-name")
    child = here.terminal("drain", ",".join(nodes))
    child.expect_exact("Go on? [y/N] ")
    rows = (child.before or "").splitlines()
    assert max(len(plain(row)) for row in rows) <= 120
    child.close(force=True)
