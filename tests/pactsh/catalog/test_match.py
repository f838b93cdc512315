"""Every row of the case files: what is accepted as what, what is refused and with which code."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess

import pytest

from tests.pactsh.catalog.deciding import Case, command_cases, decided, shipped

READS = [case for case in command_cases() if case.kind == "read"]
CHANGES = [case for case in command_cases() if case.kind == "change"]
REFUSED = [case for case in command_cases() if case.kind == "refuse"]
# Forms that run on until someone ends them, need a terminal, or send something.
NOT_RUN = re.compile(r"top|ping |traceroute|sleep|dmesg.*-w|tail -f|journalctl.* -f|less|nvidia|vmstat 1|free -s|pact")
UNKNOWN = re.compile(r"(unrecogni[sz]ed|invalid|unknown|ambiguous|illegal) (long )?option|improper list", re.IGNORECASE)


def name_of(case: Case) -> str:
    return case.line


@pytest.mark.parametrize("case", READS, ids=name_of)
def test_a_read_form_is_accepted_and_run_as_written(case: Case) -> None:
    decision = decided(case.line)
    assert (decision.verdict, decision.class_, decision.reason) == ("allow", "read", "")
    assert decision.stages[0].argv == tuple(shlex.split(case.run))


@pytest.mark.parametrize("case", CHANGES, ids=name_of)
def test_a_change_form_names_its_dimension(case: Case) -> None:
    decision = decided(case.line)
    assert (decision.verdict, decision.class_, decision.dimension) == ("allow", "change", case.detail)
    assert decision.stages[0].argv == tuple(shlex.split(case.run))


@pytest.mark.parametrize("case", REFUSED, ids=name_of)
def test_a_form_that_is_not_on_the_whitelist_is_refused(case: Case) -> None:
    decision = decided(case.line)
    assert (decision.verdict, decision.status, decision.code) == ("refuse", 6, case.detail)
    assert decision.reason
    assert decision.span is not None
    assert decision.stages == ()


def test_a_case_stands_in_the_file_of_its_command() -> None:
    misplaced = [c for c in command_cases() if c.file != "unlisted" and shlex.split(c.line)[0] != c.file]
    assert misplaced == []


def test_every_program_has_an_accepted_and_a_refused_case() -> None:
    plain = {"echo", "printf", "true", "false"}  # nothing they can be told is refused
    accepted = {case.file for case in (*READS, *CHANGES)}
    assert set(shipped()) - accepted == set()
    simple = plain | {"uname", "id", "free", "lsmod", "nl", "pwd", "w", "df", "seq", "uptime"}
    assert set(shipped()) - {case.file for case in REFUSED} <= simple


@pytest.mark.parametrize("case", [case for case in READS if not NOT_RUN.match(case.line)], ids=name_of)
def test_the_installed_program_knows_the_options_of_an_accepted_form(case: Case) -> None:
    """What the catalog takes for options and values, the program takes for the same."""
    decision = decided(case.line)
    stage = decision.stages[0]
    paths = stage.program.paths if stage.program else ()
    program = next((path for path in paths if os.access(path, os.X_OK)), None)
    if program is None:
        pytest.skip("a builtin, or not installed here")
    done = subprocess.run(
        stage.argv,
        executable=program,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=20,
        env={"PATH": "/usr/bin:/usr/sbin", "LC_ALL": "C.UTF-8", "PAGER": "cat", "SYSTEMD_PAGER": ""},
    )
    assert not UNKNOWN.search(done.stderr.decode(errors="replace"))


def listed_options(name: str) -> set[str]:
    """The options that `NAME --help` lists."""
    done = subprocess.run(
        [name, "--help"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=20,
        env={"PATH": "/usr/bin:/usr/sbin", "LC_ALL": "C", "PAGER": "cat"},
    )
    text = (done.stdout + done.stderr).decode(errors="replace")
    found = set(re.findall(r"(?<![\w-])(--[a-z][\w-]*)", text))
    return found | set(re.findall(r"(?m)(?:^\s+|, )(-[^\s-])(?=[\s,\[=])", text))


PERMUTING = [name for name in shipped() if shipped()[name].grammar == "getopt" and not shipped()[name].builtin]


@pytest.mark.parametrize("name", PERMUTING)
def test_the_table_holds_every_option_the_installed_program_lists(name: str) -> None:
    """Abbreviations are only understood right when the whole option set is known."""
    if not shutil.which(name):
        pytest.skip("not installed here")
    families = {"--GTYPE-group-format", "--LTYPE-line-format"}  # of diff: stand for several options
    assert listed_options(name) - set(shipped()[name].table) - families == set()
