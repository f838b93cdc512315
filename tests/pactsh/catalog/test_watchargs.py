"""The words of `watch`: its own options end where its line begins."""

from __future__ import annotations

import pytest

from pactsh.catalog.watchargs import WatchOptions, line_start, watch_options
from tests.pactsh.catalog.deciding import shipped


@pytest.mark.parametrize(
    ("line", "rest"),
    [
        ("watch uptime", "uptime"),
        ("watch -n 5 uptime -p", "uptime -p"),
        ("watch -n5 uptime", "uptime"),
        ("watch -tbn 5 ls -l", "ls -l"),
        ("watch -tdn 5 ls -l", ""),  # the `n` would be a value of -d
        ("watch --interval 5 --diff ls", "ls"),
        ("watch -- ls", "ls"),
        ("watch -t", ""),
        ("watch -n 5", ""),
        ("watch -Z ls", ""),  # refused by the decision
    ],
)
def test_the_line_begins_at_the_first_word_that_is_no_option(line: str, rest: str) -> None:
    argv = tuple(line.split())
    assert " ".join(argv[line_start(shipped()["watch"], argv) :]) == rest


@pytest.mark.parametrize(
    ("line", "options"),
    [
        ("watch uptime -tdg", WatchOptions()),
        ("watch -- -t", WatchOptions()),
        ("watch -tpbegc -n 0.5 ls", WatchOptions(0.5, "", False, True, True, True, 0, True, True)),
        ("watch -d ls", WatchOptions(differences="last")),
        ("watch -dpermanent ls", WatchOptions(differences="permanent")),
        ("watch --differences=cumulative ls", WatchOptions(differences="permanent")),
        ("watch --interval=7 --equexit 3 ls", WatchOptions(interval_s=7.0, same_runs=3)),
        ("watch -q3 -n7 ls", WatchOptions(interval_s=7.0, same_runs=3)),
        ("watch -c -C ls", WatchOptions()),
    ],
)
def test_options_are_read_as_watch_reads_them(line: str, options: WatchOptions) -> None:
    assert watch_options(tuple(line.split())) == options
