"""systemd's journal: the command, what becomes of what it prints, and that it ends in any case. A program of the test
stands in for journalctl; the real one is asked in tests/e2e/test_booted_diag.py."""

from __future__ import annotations

from pathlib import Path

import pytest
from pact_agent.diag.found import Found, Search
from pact_agent.diag.journald import Journal, journal_command, search_journal

from tests.pact_agent.diag.searching import search


def program(tmp_path: Path, text: str) -> str:
    path = tmp_path / "journalctl"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def said(tmp_path: Path, text: str, wanted: Search) -> Found:
    return search_journal((program(tmp_path, text),), "journal", wanted)


ENTRIES = """cat <<'X'
2026-02-28T10:33:03+0000 n c: three
2026-02-28T10:33:02+0000 n b: two
                             with more
                             and more
2026-02-28T10:33:01+0000 n a: one
X"""


def test_entries_come_newest_first_and_are_shown_oldest_first(tmp_path: Path) -> None:
    found = said(tmp_path, ENTRIES, search())
    assert [line.strip().rpartition(": ")[2] for line in found.lines] == [
        "one",
        "two",
        "with more",
        "and more",
        "three",
    ]
    assert (found.source, found.limit, found.error) == ("journal", "", "")


def test_no_more_than_is_wanted(tmp_path: Path) -> None:
    found = said(tmp_path, ENTRIES, search(lines=2))
    assert [line.strip().rpartition(": ")[2] for line in found.lines] == ["and more", "three"]
    assert found.limit == "lines"
    assert said(tmp_path, ENTRIES, search(grep="with")).lines == ["                             with more"]


def test_one_that_never_ends_is_ended(tmp_path: Path) -> None:
    endless = "echo '2026-02-28T10:33:03+0000 n c: x'; while :; do echo '2026-02-28T10:33:03+0000 n c: y'; done"
    assert said(tmp_path, endless, search(lines=3)).limit == "lines"
    silent = "echo '2026-02-28T10:33:03+0000 n c: x'; exec sleep 600"
    found = said(tmp_path, silent, search(limit_s=0.3))
    assert (len(found.lines), found.limit, found.error) == (1, "time", "")


def test_a_line_without_end_takes_no_memory(tmp_path: Path) -> None:
    found = said(tmp_path, "head -c 3000000 /dev/zero | tr '\\0' x", search())
    assert [line[-20:] for line in found.lines] == ["xx [2991808 bytes more]"[-20:]]


def test_what_it_says_when_it_fails_is_told(tmp_path: Path) -> None:
    failing = "printf 'Failed to open \\033[31mjournal\\n' >&2; exit 1"
    assert said(tmp_path, failing, search()) == Found("journal", [], "", "Failed to open \\x1b[31mjournal")
    assert said(tmp_path, "exit 3", search()).error == "journalctl ended with 3"
    none = search_journal((str(tmp_path / "none"),), "journal", search())
    assert none.error == "journalctl: No such file or directory"


def test_the_command() -> None:
    command = journal_command("/usr/bin/journalctl", None)
    assert command[0] == "/usr/bin/journalctl"
    assert {"--no-pager", "--reverse", "--utc", "_TRANSPORT=syslog"} <= {*command}
    assert "_TRANSPORT=kernel" not in command
    assert "--unit=sshd.service" in journal_command("journalctl", None, units="sshd.service")


def test_where_it_does_not_run(tmp_path: Path) -> None:
    assert not Journal(socket=str(tmp_path / "none")).runs()


@pytest.mark.parametrize(("answer", "known"), [("not-found", False), ("loaded", True), ("", True)])
def test_whether_systemd_knows_a_unit(tmp_path: Path, answer: str, known: bool) -> None:
    assert Journal(systemctl=program(tmp_path, f"echo {answer}")).knows("sshd") is known
    assert Journal(systemctl=str(tmp_path / "none")).knows("sshd")
