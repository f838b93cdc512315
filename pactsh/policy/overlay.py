"""A vCluster's overlay applied to the catalog: commands removed, added, extended, narrowed."""

from __future__ import annotations

from functools import lru_cache

import msgspec

from pactsh.catalog.loader import Catalog
from pactsh.catalog.schema import Command, Operand, Option, Sub
from pactsh.policy.model import CommandOverlay, Extension, Narrowing


@lru_cache(maxsize=8)
def effective(catalog: Catalog, overlay: CommandOverlay) -> Catalog:
    """The catalog as the overlay leaves it; removal wins over addition, narrowing comes last."""
    if overlay == CommandOverlay():
        return catalog
    changed = {command.name: command for command in overlay.add if command.name not in overlay.remove}

    def present(name: str) -> Command | None:
        return None if name in overlay.remove else changed.get(name) or catalog.get(name)

    for extension in overlay.extend:
        if (command := present(extension.command)) is not None:
            changed[command.name] = extended(command, extension)
    for narrowing in overlay.narrow:
        if (command := present(narrowing.command)) is not None:
            changed[command.name] = narrowed(command, narrowing)
    return catalog.changed(overlay.remove, tuple(changed.values()))


def extended(command: Command, extension: Extension) -> Command:
    """The command with the extension's options and subcommands added, or in place of those they name."""
    taken = {name for option in extension.options for name in option.spellings}
    verbs = {name for sub in extension.commands for name in sub.spellings}
    options = tuple(option for option in command.options if not taken & set(option.spellings))
    subs = tuple(sub for sub in command.commands if not verbs & set(sub.spellings))
    return msgspec.structs.replace(command, options=options + extension.options, commands=subs + extension.commands)


def narrowed(command: Command, narrowing: Narrowing) -> Command:
    """The command with the forms that `narrowing` names denied."""
    replace = msgspec.structs.replace
    if narrowing.read_only and command.change:
        return replace(command, change="", deny=narrowing.reason)
    return replace(
        command,
        options=tuple(_option(option, narrowing) for option in command.options),
        operands=tuple(_operand(operand, narrowing) for operand in command.operands),
        commands=tuple(_sub(sub, narrowing) for sub in command.commands),
    )


def _denied(place_change: str, narrowing: Narrowing) -> bool:
    return bool(place_change) and narrowing.read_only


def _option(option: Option, narrowing: Narrowing) -> Option:
    if set(option.spellings) & set(narrowing.options) or _denied(option.change, narrowing):
        return msgspec.structs.replace(option, change="", deny=narrowing.reason)
    return option


def _operand(operand: Operand, narrowing: Narrowing) -> Operand:
    forms = tuple(
        msgspec.structs.replace(f, change="", deny=narrowing.reason) if _denied(f.change, narrowing) else f
        for f in operand.forms
    )
    if _denied(operand.change, narrowing):
        return msgspec.structs.replace(operand, change="", deny=narrowing.reason, forms=forms)
    return msgspec.structs.replace(operand, forms=forms)


def _sub(sub: Sub, narrowing: Narrowing) -> Sub:
    if set(sub.spellings) & set(narrowing.subcommands) or _denied(sub.change, narrowing):
        return msgspec.structs.replace(sub, change="", deny=narrowing.reason)
    return msgspec.structs.replace(
        sub,
        options=tuple(_option(option, narrowing) for option in sub.options),
        operands=tuple(_operand(operand, narrowing) for operand in sub.operands),
        keywords=tuple(
            msgspec.structs.replace(k, change="", deny=narrowing.reason) if _denied(k.change, narrowing) else k
            for k in sub.keywords
        ),
        commands=tuple(_sub(child, narrowing) for child in sub.commands),
    )
