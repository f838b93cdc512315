"""Options as GNU `getopt_long` reads them, and the stricter `exact` style without clusters.

The catalog lists a program's whole option set, denied ones included, so clusters, attached
values and abbreviations are understood as the program would. Abbreviations are written in
full in what is run: should the program know an option more, it cannot read them otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pactsh.catalog.kinds import matches, shown
from pactsh.catalog.reading import Reading
from pactsh.catalog.schema import Command, Option, Sub

MOST_LETTERS = 100
Table = Mapping[str, Option]


def read_getopt(reading: Reading, command: Command) -> None:
    """Read the whole line of a `getopt` or `exact` command; raises `Refusal`."""
    exact = command.grammar == "exact"
    scoped = any(sub.options for sub in command.commands)
    found = read_options(
        reading, command.table, 1, exact=exact, permute=command.permute and not scoped, numeric=command.numeric
    )
    if not command.commands:
        reading.operands(command.operands, found, command.extra)
        return
    if not found:
        sub = next((s for s in command.commands if s.default), None)
        if sub is None and not command.operands and reading.used:
            return
        if sub is not None:
            reading.use(sub, command.name, 0)
        elif not command.operands:
            return
        reading.operands(sub.operands if sub else command.operands, (), command.extra)
        return
    verb, rest = found[0], found[1:]
    sub = reading.find(command.commands, verb, abbreviate=command.abbreviate)
    if sub is None:
        known = [name for s in command.commands for name in s.spellings]
        raise reading.unknown("unknown-subcommand", "subcommand", verb, known)
    reading.use(sub, f"{command.name} {_spelled(sub, reading.words[verb])}", verb)
    if scoped:
        table = sub.table if sub.options else command.table
        rest = read_options(reading, table, verb + 1, exact=exact, permute=True, numeric="")
    reading.operands(sub.operands, rest, sub.extra)


def read_options(
    reading: Reading, table: Table, start: int, *, exact: bool, permute: bool, numeric: str
) -> Sequence[int]:
    """Read options from word `start` on; the indices of the operands, in order."""
    words, found, index = reading.words, list[int](), start
    while index < len(words):
        word = words[index]
        if word == "--":
            found.extend(range(index + 1, len(words)))
            break
        if numeric and matches(numeric, word):
            index += 1
        elif len(word) > 1 and word.startswith("-"):
            if exact:
                index = _exact(reading, table, index)
            elif word.startswith("--"):
                index = _long(reading, table, index)
            else:
                index = _cluster(reading, table, index)
        elif permute:
            found.append(index)
            index += 1
        else:
            found.extend(range(index, len(words)))
            break
    return found


def take(reading: Reading, option: Option, label: str, value: str | None, word: int, value_word: int) -> None:
    """Note an option that is used and judge its value; `label` is the spelling for messages."""
    reading.use(option, label, word)
    if option.first and word != 1:
        reason = f"{label} is only allowed as the first word after {reading.name}"
        raise reading.refuse("misplaced-option", reason, rule=label, hint=option.hint, word=word)
    reading.used.update(option.spellings)
    if value is not None:
        reading.check(option.value, option, value, rule=label, word=value_word)
    reading.walked = reading.walked or option.recursive


def _value_after(reading: Reading, label: str, index: int) -> str:
    if index + 1 >= len(reading.words):
        raise reading.refuse("missing-value", f"{label} needs a value", rule=label, word=index)
    return reading.words[index + 1]


def _follows(reading: Reading, option: Option, index: int) -> bool:
    """Whether the next word is the optional value (`journalctl -n 50`)."""
    if not option.follows or index + 1 >= len(reading.words):
        return False
    return matches(option.follows, reading.words[index + 1])


def _long(reading: Reading, table: Table, index: int) -> int:
    word = reading.words[index]
    name, equals, attached = word.partition("=")
    full = resolve_long(reading, table, name, index)
    option = table[full]
    spelled = option.into or full
    reading.out[index] = f"{spelled}={attached}" if equals else spelled
    if equals and not option.value:
        raise reading.refuse("bad-value", f"{full} takes no value", rule=full, word=index)
    if option.optional and not equals and _follows(reading, option, index):
        take(reading, option, full, reading.words[index + 1], index, index + 1)
        return index + 2
    if not option.value or (option.optional and not equals):
        take(reading, option, full, None, index, index)
        return index + 1
    if equals:
        take(reading, option, full, attached, index, index)
        return index + 1
    if option.deny:
        take(reading, option, full, None, index, index)
    take(reading, option, full, _value_after(reading, full, index), index, index + 1)
    return index + 2


def resolve_long(reading: Reading, table: Table, name: str, index: int) -> str:
    """The full spelling of a long option, given in full or as an unambiguous prefix."""
    if name in table:
        return name
    near = [full for full in table if full.startswith(name) and full.startswith("--") and len(name) > 2]
    if not near:
        raise reading.unknown("unknown-option", "option", index, table)
    if len({id(table[full]) for full in near}) > 1:
        raise reading.refuse(
            "ambiguous", f"{shown(name)} is ambiguous: {', '.join(near)}", hint="write it in full", word=index
        )
    return near[0]


def _cluster(reading: Reading, table: Table, index: int) -> int:
    word = reading.words[index]
    for position in range(1, len(word)):
        if position > MOST_LETTERS:
            raise reading.refuse("bad-value", f"{shown(word)} has more letters than there are options", word=index)
        label = f"-{word[position]}"
        option = table.get(label)
        if option is None:
            if position == 1:
                raise reading.unknown("unknown-option", "option", index, table)
            raise reading.refuse(
                "unknown-option",
                f"option '{label}' (in {shown(word)}) of {reading.name} is not on the whitelist",
                hint=f"see 'help {reading.name}'",
                word=index,
            )
        rest = word[position + 1 :]
        if not option.value:
            take(reading, option, label, None, index, index)
        elif not rest and _follows(reading, option, index):
            take(reading, option, label, reading.words[index + 1], index, index + 1)
            return index + 2
        elif rest or option.optional:
            take(reading, option, label, rest or None, index, index)
            break
        else:
            if option.deny:
                take(reading, option, label, None, index, index)
            take(reading, option, label, _value_after(reading, label, index), index, index + 1)
            return index + 2
    return index + 1


def _exact(reading: Reading, table: Table, index: int) -> int:
    word = reading.words[index]
    name, equals, attached = word.partition("=")
    option = table.get(word if word in table else name)
    if option is None:
        raise reading.unknown("unknown-option", "option", index, table)
    if option.deny or not option.value or (option.optional and not equals):
        take(reading, option, name, None, index, index)
        if equals and word not in table:
            raise reading.refuse("bad-value", f"{name} takes no value", rule=name, word=index)
        return index + 1
    if equals:
        take(reading, option, name, attached, index, index)
        return index + 1
    take(reading, option, name, _value_after(reading, name, index), index, index + 1)
    return index + 2


def read_tree(reading: Reading, command: Command) -> None:
    """Read a dashless line: `ip [OPTION]... OBJECT [COMMAND [KEYWORD VALUE]...]`; raises `Refusal`."""
    index = 1
    words = reading.words
    while index < len(words) and words[index].startswith("-") and not _names(command.commands, words[index]):
        index = _exact(reading, command.table, index)
    node: Command | Sub = command
    label = command.name
    while node.commands:
        sub = reading.find(node.commands, index, abbreviate=command.abbreviate) if index < len(words) else None
        if sub is not None:
            label = f"{label} {_spelled(sub, words[index])}"
            index += 1
        else:
            sub = next((s for s in node.commands if s.default and (index >= len(words) or _bare(command, s))), None)
        if sub is None and index >= len(words):
            if node is command and reading.used:
                return
            raise reading.refuse("missing-operand", f"{command.name} needs a subcommand here", word=len(words) - 1)
        if sub is None:
            known = [name for s in node.commands for name in s.spellings]
            raise reading.unknown("unknown-subcommand", "subcommand", index, known)
        reading.use(sub, label, min(index, len(words)) - 1)
        node = sub
    if isinstance(node, Sub) and not node.free:
        _leaf(reading, node, index)


def _spelled(sub: Sub, word: str) -> str:
    """The subcommand's name for a message: as typed if that is one of its full spellings."""
    return word if word in sub.spellings else sub.spellings[0]


def _bare(command: Command, sub: Sub) -> bool:
    """Whether the default's operands may follow the command directly (`ethtool eth0`)."""
    return not command.abbreviate and bool(sub.operands)


def _names(subs: Sequence[Sub], word: str) -> bool:
    return any(word in sub.spellings for sub in subs)


def _leaf(reading: Reading, sub: Sub, start: int) -> None:
    keywords = {name: keyword for keyword in sub.keywords for name in keyword.spellings}
    denied = [name for name, keyword in keywords.items() if keyword.deny]
    words, found, index = reading.words, list[int](), start
    while index < len(words):
        word = words[index]
        keyword = keywords.get(word)
        if keyword is not None:
            reading.use(keyword, word, index)
            if keyword.value:
                value = _value_after(reading, word, index)
                index += 1
                reading.check(keyword.value, keyword, value, rule=word, word=index)
        elif word.startswith("-"):
            raise reading.unknown("unknown-option", "option", index, keywords)
        elif word and any(name.startswith(word) for name in denied):
            # iproute2 takes prefixes of keywords: `netn` would be `netns`
            raise reading.refuse("ambiguous", f"{shown(word)} may stand for a refused keyword", word=index)
        else:
            found.append(index)
        index += 1
    reading.operands(sub.operands, found, sub.extra)
