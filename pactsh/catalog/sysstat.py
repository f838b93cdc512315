"""The operands of `iostat`: device names and numbers, in any order.

iostat takes every word that starts with a digit for the interval or the count, wherever it
stands, and every other one for a device. Its options are read as GNU ones: where iostat is
stricter (values stand in words of their own) it ends with its usage text.
"""

from __future__ import annotations

from pactsh.catalog.getopt import read_options, take
from pactsh.catalog.reading import Reading
from pactsh.catalog.schema import Command


def read_sysstat(reading: Reading, command: Command) -> None:
    """Read a whole line; places of kind `int` get the numbers, the others the names. Raises `Refusal`."""
    found = read_options(reading, command.table, 1, exact=False, permute=True, numeric="")
    for index in found:
        if (option := command.table.get(reading.words[index])) is not None:  # `+f`, which getopt takes for an operand
            take(reading, option, reading.words[index], None, index, index)
    numbers = [index for index in found if reading.words[index][:1].isdigit()]
    names = [index for index in found if index not in numbers]
    reading.operands([place for place in command.operands if place.kind != "int"], names, command.extra)
    reading.operands([place for place in command.operands if place.kind == "int"], numbers, command.extra)
