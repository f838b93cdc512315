"""What refused lines suggest for a vCluster's policy: entries to read, think about, and paste. Pure.

A proposal names programs, options and kinds of values, never a value: what was typed may be a secret. Each is
tried before it is made: put into the policy it is valid, and the lines it came from would pass. What the
catalog denies, and what no policy may add, becomes a comment that says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from pactsh.catalog.kinds import KINDS, regex
from pactsh.catalog.loader import Catalog
from pactsh.catalog.match import match
from pactsh.catalog.reading import Refusal
from pactsh.catalog.schema import Command, Operand, Option
from pactsh.errors import UsageError
from pactsh.policy.files import checked_policy
from pactsh.policy.model import CommandOverlay, Extension, Policy
from pactsh.policy.overlay import effective, extended
from pactsh.policy.runners import BYPASS, runs_others
from pactsh.policy.toml import plain_document, render_comment, render_entry

_MOST_COMMANDS, _MOST_ARGVS, _MOST_NAMES, _MOST_STEPS = 50, 200, 5, 16
_LONG = re.compile(r"--[A-Za-z][A-Za-z0-9-]{0,40}")
_ONE_DASH = re.compile(r"-[A-Za-z][A-Za-z0-9-]{0,40}")
_CLUSTER = re.compile(r"-[A-Za-z]{1,3}")
_PART = re.compile(r"[a-z]{1,20}[0-9]{0,3}|[0-9]{1,3}")
_NUMBER = re.compile(r"-\d+")
_NAME = re.compile(r"[a-z0-9][a-z0-9_.+-]{0,63}")


class Refused(msgspec.Struct, frozen=True):
    """One refusal that learning mode collected, and whose it was."""

    name: str
    argv: tuple[str, ...]
    path: str | None
    principal: str
    node: str
    time: str


def propose(refused: Sequence[Refused], policy: Policy, catalog: Catalog) -> tuple[str, ...]:
    """Lines of TOML and comments; those that are no comment are valid behind the policy's own text."""
    groups: dict[str, list[Refused]] = {}
    for item in refused:
        groups.setdefault(item.name, []).append(item)
    commands = effective(catalog, policy.commands)
    lines: list[str] = []
    nameless = 0
    for name, items in sorted(groups.items(), key=lambda pair: (-len(pair[1]), pair[0]))[:_MOST_COMMANDS]:
        command = commands.get(name)
        if command is None and not (_NAME.fullmatch(name) and any(item.path for item in items)):
            nameless += len(items)  # perhaps a password typed at the prompt: its text stays out of here
            continue
        lines += ["", *_about(name, items)]
        if command is None:
            lines += _unknown(name, items, policy, catalog)
        else:
            lines += _known(command, items, policy, catalog)
    if len(groups) > _MOST_COMMANDS:
        lines += ["", render_comment(f"{len(groups) - _MOST_COMMANDS} more commands are not shown")]
    if nameless:
        lines += ["", render_comment(f"refused, but naming no program of the nodes: {nameless}")]
    return tuple(lines)


def _about(name: str, items: Sequence[Refused]) -> Iterator[str]:
    who = _listed(item.principal for item in items)
    where = _listed(item.node for item in items)
    times = sorted(item.time for item in items)
    count = "1 line" if len(items) == 1 else f"{len(items)} lines"
    yield render_comment(f"{name}: {count} refused, by {who} on {where}, {times[0][:19]}Z to {times[-1][:19]}Z")


def _listed(names: Iterable[str]) -> str:
    found = sorted(set(names))
    more = f" and {len(found) - _MOST_NAMES} more" if len(found) > _MOST_NAMES else ""
    return ", ".join(found[:_MOST_NAMES]) + more


def _argvs(items: Sequence[Refused]) -> list[tuple[str, ...]]:
    return list(dict.fromkeys(item.argv for item in items))[:_MOST_ARGVS]


def _objection(policy: Policy, catalog: Catalog, change: CommandOverlay) -> str:
    """Why the policy with `change` behind it is not valid, "" when it is."""
    joined = {
        key: (*getattr(policy.commands, key), *getattr(change, key)) for key in ("add", "extend", "narrow", "remove")
    }
    trial = msgspec.structs.replace(policy, commands=CommandOverlay(**joined))
    try:
        checked_policy(plain_document(trial), "", policy.vcluster, catalog)
    except UsageError as error:
        return error.message.partition(": ")[2]
    return ""


# -- commands that the whitelist doesn't have


def _unknown(name: str, items: Sequence[Refused], policy: Policy, catalog: Catalog) -> Iterator[str]:
    why = "it is the shell's own word" if name == BYPASS else runs_others(name)
    if why:
        yield render_comment(f"not proposed: {why}; a platform admin runs it with pact exec --bypass")
        return
    argvs = _argvs(items)
    paths = tuple(sorted({item.path for item in items if item.path}))
    command = _command(name, paths, argvs)
    problem = _objection(policy, catalog, CommandOverlay(add=(command,)))
    if problem:
        yield render_comment(f"not proposed: {problem}")
        return
    left = sum(1 for argv in argvs if _refusal(command, argv) is not None)
    if left:
        yield render_comment(f"{left} of {len(argvs)} different lines would stay refused: secrets, odd options")
    yield render_comment('check each option, and what changes the node: change = "DIMENSION"')
    yield from render_entry("add", command)


def _command(name: str, paths: tuple[str, ...], argvs: Sequence[tuple[str, ...]]) -> Command:
    values: dict[str, list[str | None]] = {}
    operands: list[list[str]] = []
    numeric = False
    for argv in argvs:
        rest: list[str] = []
        words = iter(argv[1:])
        for word in words:
            if word == "--":
                rest += words
            elif _NUMBER.fullmatch(word):
                numeric = True
            elif word.startswith("-") and word != "-":
                for option, value in _options_in(word):
                    values.setdefault(option, []).append(value)
            else:
                rest.append(word)
        operands.append(rest)
    return Command(
        name=name,
        summary="say here what it does",
        group="system",
        paths=paths,
        numeric=r"-\d+" if numeric else "",
        options=tuple(_option(option, seen) for option, seen in sorted(values.items())),
        operands=_places(operands),
    )


def _options_in(word: str) -> Iterator[tuple[str, str | None]]:
    """The options of a word, each with its attached value. A long tail behind one dash may be a value."""
    name, equals, value = word.partition("=")
    if word.startswith("--"):
        if _LONG.fullmatch(name) and not _is_odd(name):
            yield name, value if equals else None
    elif _CLUSTER.fullmatch(word):
        yield from ((f"-{letter}", None) for letter in word[1:])
    elif word[1].isascii() and word[1].isalnum():
        yield word[:2], word[2:] or None


def _is_odd(name: str) -> bool:
    """Whether an option's name may be a secret typed behind dashes: it isn't made of words in small letters."""
    return not all(_PART.fullmatch(part) for part in name.strip("-").split("-"))


def _option(name: str, seen: Sequence[str | None]) -> Option:
    given = [value for value in seen if value is not None]
    if not given:
        return Option(names=name)
    return Option(names=name, value=kind_of(given), optional=len(given) < len(seen))


def _places(operands: Sequence[Sequence[str]]) -> tuple[Operand, ...]:
    """The operands' places: one each where all lines have as many, else one for all."""
    counts = {len(rest) for rest in operands}
    if counts == {0} or not counts:
        return ()
    if len(counts) == 1 and max(counts) <= 4:
        return tuple(Operand(kind=kind_of([rest[n] for rest in operands])) for n in range(max(counts)))
    count = ("?" if max(counts) == 1 else "*") if 0 in counts else "+"
    return (Operand(kind=kind_of([word for rest in operands for word in rest]), count=count),)


def kind_of(values: Sequence[str]) -> str:
    """The narrowest kind for what was seen; one path among the values makes it `file`, which is judged most."""
    if all(regex(KINDS["int"].pattern).fullmatch(value) for value in values):
        return "int"
    if any("/" in value or value.startswith((".", "~")) for value in values):
        return "file"
    return "word" if all(regex(KINDS["word"].pattern).fullmatch(value) for value in values) else "string"


def _refusal(command: Command, argv: tuple[str, ...]) -> Refusal | None:
    try:
        match(command, argv, "/")
    except Refusal as refusal:
        return refusal
    return None


# -- commands that it has


def _known(command: Command, items: Sequence[Refused], policy: Policy, catalog: Catalog) -> Iterator[str]:
    if command.builtin:
        yield render_comment("not proposed: it is part of the shell")
        return
    options: dict[str, Option] = {}
    notes: dict[str, int] = {}
    for argv in _argvs(items):
        tried = dict(options)
        note = _learn(command, argv, tried)
        if note:
            notes[note] = notes.get(note, 0) + 1
        else:
            options = tried
    yield from (render_comment(f"not proposed ({count}): {note}") for note, count in notes.items())
    if not options:
        if not notes:
            yield render_comment("nothing to propose: the whitelist takes these lines by now")
        return
    extension = Extension(command.name, tuple(options.values()))
    problem = _objection(policy, catalog, CommandOverlay(extend=(extension,)))
    if problem:
        yield render_comment(f"not proposed: {problem}")
        return
    yield render_comment("check what each option does, and whether it takes a value")
    yield from render_entry("extend", extension)


def _learn(command: Command, argv: tuple[str, ...], options: dict[str, Option]) -> str:
    """Add the options that make `argv` pass; why it can't, "" when it does (or the whitelist has moved on)."""
    for _ in range(_MOST_STEPS):
        trial = extended(command, Extension(command.name, tuple(options.values())))
        refusal = _refusal(trial, argv)
        if refusal is None:
            return ""
        if refusal.code != "unknown-option" or command.grammar not in ("getopt", "exact"):
            return _reason(refusal)
        found = _new_option(trial, argv[refusal.word])
        if found is None or found.names in options:
            return "an option that can't be read from the line alone"
        options[found.names] = found
    return "too many unknown options"


def _reason(refusal: Refusal) -> str:
    """Why the catalog refuses a line, in words that quote nothing of it."""
    if refusal.code == "denied" and not refusal.reason.startswith("'"):
        return refusal.reason  # its label is a spelling of the catalog's
    return {
        "denied": "an operand that the catalog denies",
        "unknown-subcommand": "a subcommand that the catalog doesn't have",
        "unknown-option": "an option that the catalog doesn't have",
        "secret-path": "a path that holds or leads to secrets",
    }.get(refusal.code, f"a value or operand that the catalog doesn't take ({refusal.code})")


def _new_option(command: Command, word: str) -> Option | None:
    name, equals, value = word.partition("=")
    if word.startswith("--") or command.grammar == "exact":
        shape = _LONG if word.startswith("--") else _ONE_DASH
        if not shape.fullmatch(name) or _is_odd(name):
            return None
        return _option(name, [value if equals else None])
    for position, letter in enumerate(word[1:], 1):
        known = command.table.get(f"-{letter}")
        if known is None:
            rest = word[position + 1 :]
            if not (letter.isascii() and letter.isalnum()):
                return None
            return _option(f"-{letter}", [rest if rest and not _CLUSTER.fullmatch(word) else None])
        if known.value:
            return None
    return None
