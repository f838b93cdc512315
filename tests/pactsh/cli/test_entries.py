"""What each type of entry says in a line."""

from __future__ import annotations

import io
from typing import Any

import pytest

from pactsh.cli.arguments import entry_types
from pactsh.cli.entries import describe, short_scope, short_time, show_entry
from pactsh.cli.render import Out
from pactsh.model.entry import Author, Entry


def entry(type_: str, body: dict[str, Any] | None = None, message: str = "", scope: str = "node:node042") -> Entry:
    return Entry(
        seq=7,
        client="agent:node042:x",
        number=1,
        time="2026-01-31T12:00:00.123456Z",
        recorded_at="2026-01-31T12:00:01.000000Z",
        type=type_,
        scope=scope,
        author=Author("alice@org"),
        session="s",
        message=message,
        parent=None,
        delta=None,
        body=body,
        ttl=None,
        policy="",
        prev_hash="0" * 64,
        hash="1" * 64,
    )


CASES: dict[str, tuple[Entry, str]] = {
    "read": (entry("intent", {"line": "ls", "class": "read", "decision": {"degraded": False}}), "ls"),
    "change": (
        entry("intent", {"line": "umount /x", "class": "change", "dimension": "mounts"}),
        "umount /x  [change mounts]",
    ),
    "degraded": (entry("intent", {"line": "ls", "class": "read", "decision": {"degraded": True}}), "ls  [degraded]"),
    "bypass": (
        entry("intent", {"line": "bypass fdisk -l", "class": "change", "dimension": None, "bypass": True}),
        "BYPASS  bypass fdisk -l  [change]",
    ),
    "amended": (
        entry("amend", {"id": "1", "stages": [{"argv": ["ls", "a b"]}, {"argv": ["wc"]}]}),
        "ran as: ls a b | wc",
    ),
    "deed": (
        entry(
            "delegation.begun",
            {
                "id": "dg-1",
                "action": "job_cancel",
                "target": "j1",
                "reason": "stuck",
                "jobs": [{}, {}],
                "approved_by": "bob@org",
            },
            "job cancel j1",
        ),
        "job cancel j1: stuck  [hits 2 jobs, approved by bob@org]",
    ),
    "deed of an emergency": (
        entry("delegation.begun", {"action": "cordon", "target": "node042", "began_by": "alice@org"}, "cordon node042"),
        "cordon node042  [emergency begun by alice@org]",
    ),
    "deed done": (
        entry("delegation.done", {"action": "cordon", "target": "node042", "status": 5}, "lattice can't be reached"),
        "cordon node042, status 5: lattice can't be reached",
    ),
    "done": (entry("outcome", {"status": 0, "duration_ms": 7}), "status 0 after 7 ms"),
    "killed": (entry("outcome", {"status": 130, "signal": "INT", "duration_ms": 2500}), "status 130 (INT) after 2.5 s"),
    "refused": (entry("refusal", {"line": "rm x", "status": 6, "reason": "no"}), "rm x  refused (6): no"),
    "begun": (entry("session.start", {"kind": "login", "source": "uid", "peer": ""}), "login session by uid"),
    "ended": (
        entry("session.end", {"status": 0, "reason": "idle", "lines": 2, "duration_ms": 1}),
        "status 0, idle, 2 lines after 1 ms",
    ),
    "turned away": (
        entry("connection.refused", {"what": "sftp", "peer": "1.2.3.4", "reason": "never"}),
        "sftp from 1.2.3.4: never",
    ),
    "own words first": (entry("agent.start", {"version": "1"}, "agent started"), "agent started"),
    "fields": (
        entry("audit.degraded", {"level": "read-only", "nested": {}, "n": 1, "none": None}),
        "level=read-only n=1",
    ),
    "nothing": (entry("agent.stop"), "-"),
    "a GPU": (
        entry("gpu.health", {"gpu": "3", "pci": None, "before": "healthy", "after": "DEGRADED (lost)"}),
        "gpu=3 before=healthy after=DEGRADED (lost)",
    ),
    "of a later version": (entry("delta.committed", {"x": 1}), "-"),
}


@pytest.mark.parametrize("case", CASES)
def test_describe(case: str) -> None:
    given, expected = CASES[case]
    assert describe(given) == expected


@pytest.mark.parametrize("type_", entry_types())
@pytest.mark.parametrize(
    "body", [None, {}, {"line": None, "status": [], "stages": 3, "decision": "x", "duration_ms": "1"}]
)
def test_a_body_of_another_shape_is_no_crash(type_: str, body: dict[str, Any] | None) -> None:
    out = io.StringIO()
    show_entry(entry(type_, body), Out(out, colour=True))
    assert out.getvalue().count("\n") == 1


def test_a_line() -> None:
    out = io.StringIO()
    show_entry(entry("intent", {"line": "ls"}, scope="vcluster:io"), Out(out, colour=False))
    assert out.getvalue().split() == ["7", "2026-01-31T12:00:00Z", "intent", "vc:io", "alice@org", "ls"]


def test_a_very_long_line_is_cut_and_what_follows_it_is_not() -> None:
    said = describe(entry("refusal", {"line": "echo " + "x" * 60_000, "status": 6, "reason": "too long"}))
    assert said.startswith("echo xxx")
    assert said.endswith("xxx... (60005 characters)  refused (6): too long")
    assert len(said) < 500


def test_refusals_stand_out_in_colour() -> None:
    out = io.StringIO()
    show_entry(entry("refusal", {"line": "ls"}), Out(out, colour=True))
    assert "\x1b[31mrefusal" in out.getvalue()


def test_short_forms() -> None:
    assert short_scope("global") == "global"
    assert short_time("yesterday") == "yesterday"
