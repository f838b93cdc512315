"""The options of procps `ps`: BSD clusters without a dash, Unix ones with, and GNU long ones.

ps reads a line as Unix options first and, should that fail (an unknown user is enough), again
with every dash ignored: `-e` (all processes) then means BSD `e` (show environments). So
what is run never holds an `e` behind a dash: it becomes `-A`, which means the same, and
options with free values become their long form, which ps reads the same way both times.
"""

from __future__ import annotations

import re

from pactsh.catalog.getopt import MOST_LETTERS, read_options, take
from pactsh.catalog.kinds import shown
from pactsh.catalog.reading import Reading
from pactsh.catalog.schema import Command, Option

# `-aux` and alike: no Unix option is called x, so ps reads these as BSD letters in the end
_BSD_WITH_DASH = re.compile(r"-[aufw]*x[aufwx]*")


def read_ps(reading: Reading, command: Command) -> None:
    """Read a whole `ps` line. BSD letters stand in the table as `+x`; raises `Refusal`."""
    index, words = 1, reading.words
    while index < len(words):
        word = words[index]
        if _BSD_WITH_DASH.fullmatch(word):
            reading.out[index] = word[1:]
            index += 1
        elif word == "--" or word == "-" or not word:
            raise reading.refuse("bad-value", f"{shown(word)} has no place in ps", word=index)
        elif word.startswith("--"):
            index = _gnu(reading, command, index)
        elif word.startswith("-"):
            index = _cluster(reading, command, index, "-")
        elif word[0].isdigit():
            reading.operands(command.operands, (index,), "")
            index += 1
        else:
            index = _cluster(reading, command, index, "+")
    if "-C" in reading.used and reading.used.intersection(("-u", "-U", "-G", "-g", "-t")):
        raise reading.refuse("denied", "-C together with a list of users, groups or terminals is not allowed", word=1)


def _gnu(reading: Reading, command: Command, index: int) -> int:
    name, equals, _ = reading.words[index].partition("=")
    option = command.table.get(name)
    if option is None:
        raise reading.unknown("unknown-option", "option", index, command.table)
    end = index + (2 if option.value and not option.optional and not equals else 1)
    part = Reading(reading.name, (*reading.words[:end],), reading.cwd, out=reading.out)
    part.used, part.demands, part.grants = reading.used, reading.demands, reading.grants
    read_options(part, command.table, index, exact=True, permute=True, numeric="")
    reading.grants = part.grants
    return end


def _cluster(reading: Reading, command: Command, index: int, mark: str) -> int:
    word = reading.words[index]
    letters = word[1:] if mark == "-" else word
    kept = ""
    if len(letters) > MOST_LETTERS:
        raise reading.refuse("bad-value", f"{shown(word)} has more letters than there are options", word=index)
    for position, letter in enumerate(letters):
        option = command.table.get(mark + letter)
        label = ("-" if mark == "-" else "") + letter
        if option is None:
            raise reading.unknown("unknown-option", "option", index, [n for n in command.table if n[0] == mark])
        if not option.value:
            take(reading, option, label, None, index, index)
            kept += option.into or letter
            continue
        return _valued(reading, option, index, kept, letters[position + 1 :], label)
    reading.out[index] = ("-" if mark == "-" else "") + kept
    return index + 1


def _valued(reading: Reading, option: Option, index: int, kept: str, attached: str, label: str) -> int:
    """A letter with a value ends its cluster; its long form, where there is one, is run instead."""
    if attached:
        value, end = attached, index + 1
    elif index + 1 < len(reading.words):
        value, end = reading.words[index + 1], index + 2
    else:
        take(reading, option, label, None, index, index)
        raise reading.refuse("missing-value", f"{label} needs a value", rule=label, word=index)
    take(reading, option, label, value, index, end - 1)
    if not option.into:
        reading.out[index] = ("-" if label[0] == "-" else "") + kept + label.removeprefix("-") + attached
        return end
    if kept and attached:
        reason = f"write {label} and its value as words of their own"
        raise reading.refuse("bad-value", reason, rule=label, word=index)
    reading.out[index] = f"-{kept}" if kept else None
    reading.out[end - 1] = f"{option.into}={value}"
    return end
