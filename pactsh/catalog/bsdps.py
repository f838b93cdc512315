"""The options of procps `ps`: BSD clusters without a dash, Unix ones with, and GNU long ones.

ps reads a line as Unix options first and, should that fail (an unknown user is enough), again
with every dash ignored: `-e` (all processes) then means BSD `e` (show environments). So
what is run never holds an `e` behind a dash: it becomes `-A`, which means the same, and
options with free values become their long form, which ps reads the same way both times.
"""

from __future__ import annotations

from pactsh.catalog.getopt import read_options, take
from pactsh.catalog.kinds import shown
from pactsh.catalog.reading import Reading
from pactsh.catalog.schema import Command, Option

_SAFE_DASHED = ("-aux", "-auxw", "-auxww", "-auxf", "-auxwf", "-auxwwf", "-auxfww")


def read_ps(reading: Reading, command: Command) -> None:
    """Read a whole `ps` line. BSD letters stand in the table as `+x`; raises `Refusal`."""
    index, words = 1, reading.words
    while index < len(words):
        word = words[index]
        if word in _SAFE_DASHED:
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
    for position, letter in enumerate(letters):
        option = command.table.get(mark + letter)
        label = ("-" if mark == "-" else "") + letter
        if option is None:
            raise reading.unknown("unknown-option", "option", index, [n for n in command.table if n[0] == mark])
        if not option.value:
            take(reading, option, label, None, index, index)
            kept += option.into or letter
            continue
        return _valued(reading, option, index, mark, kept, letters[position + 1 :], label)
    reading.out[index] = ("-" if mark == "-" else "") + kept
    return index + 1


def _valued(reading: Reading, option: Option, index: int, mark: str, kept: str, attached: str, label: str) -> int:
    """A letter with a value ends its cluster; a long form, where there is one, is run instead."""
    end = index + 1
    value = attached
    if not attached:
        if end >= len(reading.words):
            take(reading, option, label, None, index, index)
            raise reading.refuse("missing-value", f"{label} needs a value", rule=label, word=index)
        value = reading.words[end]
        reading.out[end] = None
        end += 1
    take(reading, option, label, value, index, end - 1)
    head = ("-" if mark == "-" else "") + kept
    tail = f"{option.into}={value}" if option.into else None
    if tail is None:
        reading.out[index] = head + label[-1] + (value if attached else "")
        if not attached:
            reading.out[end - 1] = value
    elif kept:
        reading.out[index] = head
        reading.out[end - 1] = tail if end - 1 > index else reading.out[index]
        if end - 1 == index:
            raise reading.refuse("bad-value", f"write {label} and its value as words of their own", word=index)
    else:
        reading.out[index] = tail
    return end
