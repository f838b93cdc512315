"""Match an argv against a catalog entry: its class, dimension, grants and the argv to run."""

from __future__ import annotations

from dataclasses import dataclass

from pactsh.catalog.bsdps import read_ps
from pactsh.catalog.getopt import read_getopt, read_tree
from pactsh.catalog.lsofargs import read_lsof
from pactsh.catalog.mounting import read_mount
from pactsh.catalog.reading import Reading
from pactsh.catalog.schema import Command, Grants
from pactsh.catalog.sysstat import read_sysstat


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
    if command.grammar == "tree":
        read_tree(reading, command)
    elif command.grammar == "ps":
        read_ps(reading, command)
    elif command.grammar == "lsof":
        read_lsof(reading, command)
    elif command.grammar == "mount":
        read_mount(reading, command)
    elif command.grammar == "sysstat":
        read_sysstat(reading, command)
    elif command.grammar == "words":
        reading.operands(command.operands, range(1, len(argv)), command.extra)
    else:
        read_getopt(reading, command)
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
