"""Candidates for a word of a command line, from the same table that enforces it.

The catalog knows options, subcommands and values; what only the node knows (paths, units,
interfaces, pids, sysctl names, users) is named as a kind for the shell's completer to fill in.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pactsh.catalog.kinds import KINDS, Places
from pactsh.catalog.loader import Catalog
from pactsh.catalog.match import match
from pactsh.catalog.reading import Refusal
from pactsh.catalog.schema import Command, Keyword, Operand, Option, Sub

_UNFINISHED = frozenset({"missing-operand", "missing-value", "missing-option"})


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to fill in a word. `kind` is command, option, subcommand, keyword or value."""

    text: str
    kind: str
    help: str = ""


@dataclass(frozen=True, slots=True)
class Candidates:
    """What may stand at a word: known texts, and kinds the shell looks up on the node.

    `kinds` are path, dir, unit, interface, pid, sysctl, user, group, host. `prefix` is what
    stands before the part to complete within the word (`--output=`).
    """

    known: tuple[Candidate, ...] = ()
    kinds: tuple[str, ...] = ()
    prefix: str = ""


def complete(catalog: Catalog, words: Sequence[str], index: int) -> Candidates:
    """Candidates for `words[index]` of one stage; the word is there, possibly empty.

    Denied forms are never offered. An unknown command has no candidates.
    """
    word = words[index] if 0 <= index < len(words) else ""
    if index <= 0:
        names = [name for name in catalog if name.startswith(word) and not catalog[name].deny]
        return Candidates(tuple(Candidate(name, "command", catalog[name].summary) for name in names))
    command = catalog.get(words[0])
    if command is None or command.deny:
        return Candidates()
    before = tuple(words[1:index])
    if command.name == "help" and not before:
        return complete(catalog, (word,), 0)
    return _from_command(command, before, word)


def is_acceptable(catalog: Catalog, words: Sequence[str], cwd: str) -> bool:
    """Whether a line's stage that begins with these words may still be accepted when more follow."""
    command = catalog.get(words[0]) if words else None
    if command is None:
        return False
    try:
        match(command, tuple(words), cwd)
    except Refusal as refusal:
        return refusal.code in _UNFINISHED
    return True


def _from_command(command: Command, before: tuple[str, ...], word: str) -> Candidates:
    node: Command | Sub = command
    options, operands = command.table, 0
    pending: Keyword | Option | None = None
    for text in before:
        if pending is not None:
            pending = None
        elif isinstance(node, Sub) and text in _keywords(node):
            keyword = _keywords(node)[text]
            pending = keyword if keyword.value else None
        elif text.startswith("-") and text in options and "--" not in before:
            option = options[text]
            pending = option if option.value and not option.optional else None
        elif not text.startswith("-") or not command.commands:
            sub = _sub(node, text)
            if sub is not None:
                node, operands = sub, 0
                options = sub.table or (options if command.grammar != "tree" else {})
            elif not text.startswith("-"):
                operands += 1
        elif (sub := _sub(node, text)) is not None:
            node, operands = sub, 0
    if pending is not None:
        kind = pending.value
        return _values(kind, pending, word, "")
    if word.startswith("--") and "=" in word and word.partition("=")[0] in options:
        option = options[word.partition("=")[0]]
        return _values(option.value, option, word.partition("=")[2], word.partition("=")[0] + "=")
    return _fresh(command, node, options, operands, word, dashes="--" not in before)


def _fresh(
    command: Command, node: Command | Sub, options: dict[str, Option], operands: int, word: str, *, dashes: bool
) -> Candidates:
    """Candidates where a new option, subcommand, keyword or operand may start."""
    known: list[Candidate] = []
    kinds: tuple[str, ...] = ()
    if word.startswith("-") and dashes:
        known += [
            Candidate(name, "option", option.help)
            for name, option in options.items()
            if not option.deny and name.startswith(word) and not name.startswith("+")
        ]
    bare = command.grammar == "tree" and not command.abbreviate  # `ethtool eth0`: the default has no name
    subs = [s for s in node.commands if not s.deny and s.spellings[0].startswith(word)] if not operands else []
    subs = [s for s in subs if not (bare and s.default and s.operands)]
    known += [Candidate(s.spellings[0], "subcommand", s.help) for s in subs if word or s.spellings[0][0] != "-"]
    if isinstance(node, Sub):
        known += [
            Candidate(name, "keyword", keyword.help)
            for name, keyword in _keywords(node).items()
            if not keyword.deny and name.startswith(word)
        ]
    slot = _slot(_places(node, bare=bare), operands)
    if slot is not None and not slot.deny and not (word.startswith("-") and dashes):
        found = _values(slot.kind, slot, word, "")
        known += found.known
        kinds = found.kinds
        for form in slot.forms:
            if not form.deny:
                kinds += _values(form.kind, form, word, "").kinds
    return Candidates(tuple(known), tuple(dict.fromkeys(kinds)))


def _places(node: Command | Sub, *, bare: bool) -> tuple[Operand, ...]:
    if node.operands or not bare:
        return node.operands
    default: Iterable[Sub] = (s for s in node.commands if s.default)
    return next((s.operands for s in default), ())


def _slot(slots: Sequence[Operand], operands: int) -> Operand | None:
    """The place the next operand falls into when `operands` are there already."""
    for slot in slots:
        if slot.count in ("*", "+"):
            return slot
        if operands == 0:
            return slot
        operands -= 1
    return None


def _values(kind: str, place: Places, word: str, prefix: str) -> Candidates:
    if not kind:
        return Candidates(prefix=prefix)
    row = KINDS[kind]
    if row.completes == "enum":
        start, comma, last = word.rpartition(",") if kind == "list" else ("", "", word)
        known = tuple(Candidate(c, "value") for c in place.choices if c.startswith(last))
        return Candidates(known, prefix=prefix + start + comma)
    return Candidates(kinds=() if row.completes == "none" else (row.completes,), prefix=prefix)


def _keywords(sub: Sub) -> dict[str, Keyword]:
    return {name: keyword for keyword in sub.keywords for name in keyword.spellings}


def _sub(node: Command | Sub, word: str) -> Sub | None:
    return next((s for s in node.commands if word in s.spellings), None)
