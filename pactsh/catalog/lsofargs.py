"""The options of `lsof`: letters behind `-` or `+`, of which many take a value or none.

lsof reads a value from the rest of the word, or from the next word unless that starts with
`-` or `+`. What then does not look like a value it puts back, and reads it as more letters
or as a file's name. Here such a line is refused: a value that is taken must fit.
Options end at the first word that is none.
"""

from __future__ import annotations

from pactsh.catalog.getopt import MOST_LETTERS, take
from pactsh.catalog.kinds import shown
from pactsh.catalog.reading import Reading
from pactsh.catalog.schema import Command, Option


def read_lsof(reading: Reading, command: Command) -> None:
    """Read a whole `lsof` line; the table's names hold their sign (`-d`, `+d`). Raises `Refusal`."""
    index, words = 1, reading.words
    while index < len(words) and len(words[index]) > 1 and words[index][0] in "-+":
        if words[index] == "--":
            index += 1
            break
        index = _cluster(reading, command, index)
    if index < len(words) and words[index] in ("-", "+"):
        # lsof goes on reading options behind it, or doesn't, by its release.
        raise reading.refuse("bad-value", f"{shown(words[index])} has no place in lsof", word=index)
    reading.operands(command.operands, range(index, len(words)), command.extra)


def _cluster(reading: Reading, command: Command, index: int) -> int:
    word = reading.words[index]
    for position in range(1, len(word)):
        if position > MOST_LETTERS:
            raise reading.refuse("bad-value", f"{shown(word)} has more letters than there are options", word=index)
        label = word[0] + word[position]
        option = command.table.get(label)
        if option is None:
            reason = f"option '{label}' (in {shown(word)}) of {reading.name} is not on the whitelist"
            raise reading.refuse("unknown-option", reason, hint=f"see 'help {reading.name}'", word=index)
        if option.value:
            return _valued(reading, option, label, word[position + 1 :], index)
        take(reading, option, label, None, index, index)
    return index + 1


def _valued(reading: Reading, option: Option, label: str, attached: str, index: int) -> int:
    following = reading.words[index + 1 : index + 2]
    if attached or option.deny:
        take(reading, option, label, attached or None, index, index)
        return index + 1
    if following and following[0][:1] not in ("-", "+"):
        take(reading, option, label, following[0], index, index + 1)
        return index + 2
    if not option.optional:
        raise reading.refuse("missing-value", f"{label} needs a value", rule=label, word=index)
    take(reading, option, label, None, index, index)
    return index + 1
