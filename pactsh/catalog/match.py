"""Match an argv against a catalog entry: its class, dimension, grants and the argv to run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pactsh.catalog.bsdps import read_ps
from pactsh.catalog.getopt import read_getopt, read_tree
from pactsh.catalog.lsofargs import read_lsof
from pactsh.catalog.mounting import read_mount
from pactsh.catalog.reading import Reading
from pactsh.catalog.schema import Command, Grants
from pactsh.catalog.sysstat import read_sysstat


def _read_words(reading: Reading, command: Command) -> None:
    reading.operands(command.operands, range(1, len(reading.words)), command.extra)


READERS: Mapping[str, Callable[[Reading, Command], None]] = {
    "getopt": read_getopt,
    "exact": read_getopt,
    "tree": read_tree,
    "ps": read_ps,
    "lsof": read_lsof,
    "mount": read_mount,
    "sysstat": read_sysstat,
    "words": _read_words,
}
"""How the words of a command are read, by its grammar."""


@dataclass(frozen=True, slots=True)
class Match:
    """An allowed form. `dimension` is "" for class `read`; `argv` is what to run.

    `fed`: the places in `argv` of files that the program does not open itself (`Command.feed`).
    """

    argv: tuple[str, ...]
    dimension: str
    grants: Grants
    fed: tuple[int, ...] = ()


def match(command: Command, argv: tuple[str, ...], cwd: str) -> Match:
    """The meaning of `argv` (argv[0] names the command); raises `Refusal` with the offending word."""
    reading = Reading(command.name, argv, cwd, out=list(argv), walked=command.walks)
    reading.use(command, command.name, 0)
    READERS[command.grammar](reading, command)
    reading.finish()
    run = [word for word in reading.out if word is not None]
    return Match((run[0], *command.inject, *run[1:]), reading.dimension, reading.grants, _fed(reading, command))


def _fed(reading: Reading, command: Command) -> tuple[int, ...]:
    if not command.feed:
        return ()
    dropped = [index for index, word in enumerate(reading.out) if word is None]
    return tuple(
        index + len(command.inject) - sum(1 for gone in dropped if gone < index) for index in sorted(reading.files)
    )
