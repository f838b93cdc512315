"""`help` and `help COMMAND`."""

from __future__ import annotations

import pytest

from pactsh.catalog.helptext import render_help, render_overview
from tests.pactsh.catalog.deciding import shipped


@pytest.mark.parametrize("name", sorted(shipped()))
def test_help_fits_a_terminal_and_is_plain(name: str) -> None:
    text = render_help(name, shipped())
    assert max(len(line) for line in text.splitlines()) <= 80
    assert all(c == "\n" or c.isprintable() for c in text)
    assert shipped()[name].summary in text


def test_help_says_what_reads_what_changes_and_what_is_refused_and_why() -> None:
    text = render_help("sysctl", shipped())
    reads, _, rest = text.partition("Changes the node")
    changes, _, refused = rest.partition("Refused:")
    assert "--all" in reads
    assert "NAME=VALUE" in changes
    assert "[kernel]" in changes
    assert "--system" in refused
    assert "applies all configuration files" in refused
    assert "sysctl -w vm.swappiness=10" in refused.partition("Examples:")[2]


def test_help_names_what_is_added_to_a_line() -> None:
    assert "Always run with: -s" in render_help("top", shipped())


def test_help_of_an_unknown_command_points_to_the_list() -> None:
    assert render_help("rm", shipped()) == "rm: not on the whitelist. 'help' lists the commands.\n"


def test_the_overview_lists_every_command_once() -> None:
    text = render_overview(shipped())
    listed = [line.split()[0] for line in text.splitlines() if line.startswith("  ")]
    assert sorted(listed) == sorted(shipped())
    assert max(len(line) for line in text.splitlines()) <= 80


def test_colour_is_an_option() -> None:
    assert "\x1b[" in render_help("dmesg", shipped(), color=True)
    assert "\x1b" not in render_overview(shipped())
