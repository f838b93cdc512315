"""What Tab and `help` go by: the overlay applied, and for who may only read, no form that changes the node."""

from __future__ import annotations

import pytest

from pactsh.catalog.complete import complete, is_acceptable
from pactsh.catalog.helptext import render_help, render_overview
from pactsh.policy.decision import decide
from pactsh.policy.model import CommandOverlay, Narrowing, Policy
from pactsh.policy.whitelist import whitelist
from tests.pactsh.catalog.deciding import OPS, VIEWER, command_cases, request, shipped

NONE = CommandOverlay()


def test_with_an_operations_role_and_no_overlay_it_is_the_catalog_itself() -> None:
    assert whitelist(shipped(), NONE, "change") is shipped()


def test_for_a_reader_no_form_is_left_that_changes_the_node() -> None:
    found = whitelist(shipped(), NONE, "read")
    changes = [case for case in command_cases() if case.kind == "change"]
    assert changes
    assert [c.line for c in changes if is_acceptable(found, tuple(request(c.line).stages[0].argv), "/var")] == []


def test_for_a_reader_every_reading_form_is_left() -> None:
    found = whitelist(shipped(), NONE, "read")
    reads = [request(case.line) for case in command_cases() if case.kind == "read"]
    allowed = [r for r in reads if decide(r, VIEWER, Policy("ml"), shipped()).verdict == "allow"]
    assert len(allowed) == len(reads)
    assert [r.line for r in reads if not is_acceptable(found, r.stages[0].argv, "/var")] == []


@pytest.mark.parametrize("name", ["kill"])
def test_a_command_that_only_changes_is_not_offered_to_a_reader(name: str) -> None:
    found = whitelist(shipped(), NONE, "read")
    assert name in {c.text for c in complete(shipped(), (name[:2],), 0).known}
    assert name not in {c.text for c in complete(found, (name[:2],), 0).known}
    assert f"\n  {name} " in render_overview(shipped())
    assert f"\n  {name} " not in render_overview(found)


def test_help_says_to_a_reader_why_not() -> None:
    text = render_help("sysctl", whitelist(shipped(), NONE, "read"))
    assert "Changes the node" not in text
    assert "your role may only read" in " ".join(text.split())


def test_an_overlay_shows() -> None:
    overlay = CommandOverlay(remove=("dmesg",), narrow=(Narrowing("ls", options=("-R", "--recursive")),))
    found = whitelist(shipped(), overlay, "change")
    assert "dmesg" not in found
    assert not is_acceptable(found, ("ls", "-R"), "/var")
    assert is_acceptable(found, ("ls", "-l"), "/var")
    assert decide(request("ls -R"), OPS, Policy("ml", commands=overlay), shipped()).verdict == "refuse"
