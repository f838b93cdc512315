"""`help` and `help COMMAND`, written out of the catalog: plain text, 80 columns at most."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator

from pactsh.catalog.kinds import KINDS
from pactsh.catalog.loader import Catalog
from pactsh.catalog.schema import GROUPS, Command, Effect, Operand, Option, Sub

_WIDTH = 80
_COLUMN = 26
_BOLD, _RED, _YELLOW, _PLAIN = "\x1b[1m", "\x1b[31m", "\x1b[33m", "\x1b[0m"


def render_overview(catalog: Catalog, color: bool = False) -> str:
    """All commands by group, one line each."""
    lines = ["Commands you can run here. 'help COMMAND' says what each may do.", ""]
    for group in GROUPS:
        commands = [catalog[name] for name in catalog if catalog[name].group == group and not catalog[name].deny]
        if commands:
            lines.append(_painted(f"{group}:", _BOLD, color))
            lines += [line for c in commands for line in _row(c.name, c.summary, 14)]
            lines.append("")
    lines += [
        "Between commands: |  ;  &&  ||. Redirects: <FILE  2>&1  >/dev/null  2>/dev/null.",
        "Quotes and globs work as in bash. Every line is recorded in the journal.",
    ]
    return "\n".join(lines) + "\n"


def render_help(name: str, catalog: Catalog, color: bool = False) -> str:
    """What the forms of a command mean: read, change or refused with the reason.

    An unknown name gives one line that says so.
    """
    command = catalog.get(name)
    if command is None:
        return f"{name}: not on the whitelist. 'help' lists the commands.\n"
    lines = [_painted(command.name, _BOLD, color) + f" - {command.summary}", f"usage: {_usage(command)}", ""]
    forms = list(_forms(command))
    readers = [form for form in forms if not form[1].change and not form[1].deny]
    for title, chosen in (
        ("Reads:", readers),
        ("Changes the node (needs an operations role):", [form for form in forms if form[1].change]),
        ("Refused:", [form for form in forms if form[1].deny]),
    ):
        if chosen:
            lines.append(_painted(title, _BOLD, color))
            for label, effect in chosen:
                rows = _row(label, _meaning(effect), _COLUMN)
                lines += [_painted(row, _tint(effect), color) for row in rows]
            lines.append("")
    if command.extra:
        lines += [*textwrap.wrap(f"A further operand is refused: {command.extra}.", _WIDTH), ""]
    if command.inject:
        lines += [f"Always run with: {' '.join(command.inject)}", ""]
    if command.examples:
        lines += [_painted("Examples:", _BOLD, color), *(f"  {example}" for example in command.examples), ""]
    return "\n".join(lines).rstrip("\n") + "\n"


def _usage(command: Command) -> str:
    parts = [command.name]
    if command.options:
        parts.append("[OPTION]...")
    if command.commands:
        parts.append("SUBCOMMAND ..." if not any(s.default for s in command.commands) else "[SUBCOMMAND] ...")
    parts += [_place(operand) for operand in command.operands]
    return " ".join(parts)


def _place(operand: Operand) -> str:
    noun = operand.label or KINDS[operand.kind].noun
    if operand.choices and len(operand.choices) <= 3:
        noun = "|".join(operand.choices)
    return {"1": noun, "?": f"[{noun}]", "*": f"[{noun}]...", "+": f"{noun}..."}[operand.count]


def _forms(command: Command) -> Iterator[tuple[str, Effect]]:
    if command.change or command.deny:
        yield command.name, command
    yield from _options(command.options, "")
    yield from _subs(command.commands, "")
    for operand in command.operands:
        if operand.change or operand.deny:
            yield operand.label or KINDS[operand.kind].noun, operand
        for form in operand.forms:
            yield form.label or KINDS[form.kind].noun, form


def _subs(subs: Iterable[Sub], prefix: str) -> Iterator[tuple[str, Effect]]:
    for sub in subs:
        names = sub.spellings if sub.deny else sub.spellings[:1]
        label = ", ".join(f"{prefix}{name}" for name in names)
        places = " ".join(_place(operand) for operand in sub.operands)
        if not sub.commands:
            yield f"{label} {places}".rstrip(), sub
        yield from _options((o for o in sub.options if o.deny), f"{label} ")
        yield from _subs(sub.commands, f"{label} ")


def _options(options: Iterable[Option], prefix: str) -> Iterator[tuple[str, Effect]]:
    for option in options:
        names = ", ".join(name.removeprefix("+") for name in option.spellings)
        value = (option.label or KINDS[option.value].noun) if option.value else ""
        value = f"[={value}]" if value and option.optional else f" {value}" if value else ""
        yield f"{prefix}{names}{value}", option


def _meaning(effect: Effect) -> str:
    if effect.deny:
        return effect.deny + (f"; {effect.hint}" if effect.hint else "")
    if effect.requires:
        return f"{effect.help} (only with {' or '.join(effect.requires)})".strip()
    return f"{effect.help} [{effect.change}]".strip() if effect.change else effect.help


def _row(label: str, text: str, column: int) -> list[str]:
    """A label and its text beside it, or below where the label is too long; 80 columns."""
    body = textwrap.wrap(text, _WIDTH - column - 2) or [""]
    if len(label) + 2 < column:
        first = f"  {label:<{column - 2}}{body[0]}".rstrip()
        return [first, *(" " * column + line for line in body[1:])]
    head = textwrap.wrap(label, _WIDTH - 4, initial_indent="  ", subsequent_indent="    ")
    return [*head, *(" " * column + line for line in body if line)]


def _tint(effect: Effect) -> str:
    return _RED if effect.deny else _YELLOW if effect.change else ""


def _painted(text: str, tint: str, color: bool) -> str:
    return f"{tint}{text}{_PLAIN}" if color and tint else text
