"""The words of `watch`: where its own options end and the line that it repeats begins.

watch(1) reads options up to the first word that is none. One word is a line of its own; several
are the words of one command, which no second reading takes apart.
"""

from __future__ import annotations

from dataclasses import dataclass

from pactsh.catalog.getopt import read_options
from pactsh.catalog.reading import Reading, Refusal
from pactsh.catalog.schema import Command

NAME = "watch"


@dataclass(frozen=True, slots=True)
class WatchOptions:
    """What `watch` was told. `differences` is "", `last` or `permanent`; 0 for `same_runs` means never."""

    interval_s: float = 2.0
    differences: str = ""
    title: bool = True
    beep: bool = False
    until_failure: bool = False
    until_change: bool = False
    same_runs: int = 0
    precise: bool = False
    color: bool = False


def line_start(command: Command, argv: tuple[str, ...]) -> int:
    """The index of the first word of the repeated line; `len(argv)` where there is none, or an option is refused."""
    reading = Reading(command.name, argv, "/", out=list(argv))
    try:
        operands = read_options(reading, command.table, 1, exact=False, permute=False, numeric="")
    except Refusal:
        return len(argv)
    return operands[0] if operands else len(argv)


def watch_options(argv: tuple[str, ...]) -> WatchOptions:
    """The options in an accepted argv up to its line, long ones in full.

    >>> watch_options(("watch", "-tn5", "--differences=permanent"))
    WatchOptions(interval_s=5.0, differences='permanent', title=False, beep=False, until_failure=False, \
until_change=False, same_runs=0, precise=False, color=False)
    """
    given = dict(_pairs(argv[1:]))
    return WatchOptions(
        interval_s=float(given.get("n") or 2.0),
        differences="" if "d" not in given else "permanent" if given["d"] else "last",
        title="t" not in given,
        beep="b" in given,
        until_failure="e" in given,
        until_change="g" in given,
        same_runs=int(given.get("q") or 0),
        precise="p" in given,
        color="c" in given and "C" not in given,
    )


_LETTERS = {
    "interval": "n", "differences": "d", "no-title": "t", "beep": "b", "errexit": "e", "chgexit": "g", "equexit": "q",
    "precise": "p", "color": "c", "no-color": "C",
}  # fmt: skip


def _pairs(words: tuple[str, ...]) -> list[tuple[str, str]]:
    """Letters with their values, "" without; words that are values do not count as options."""
    found: list[tuple[str, str]] = []
    index = 0
    while index < len(words):
        word, index = words[index], index + 1
        if word == "--" or not word.startswith("-"):
            break  # the line that is repeated
        if word.startswith("--"):
            name, _, value = word[2:].partition("=")
            letter, rest = _LETTERS.get(name, ""), ""
        else:
            letter, value, rest = "", "", word[1:]
        while rest and not letter:
            if rest[0] in "nqd":
                letter, value, rest = rest[0], rest[1:], ""
            else:
                found.append((rest[0], ""))
                rest = rest[1:]
        if letter in ("n", "q") and not value and index < len(words):
            value, index = words[index], index + 1
        if letter:
            found.append((letter, value))
    return found
