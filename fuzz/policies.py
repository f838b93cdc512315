"""Policies to fuzz with: the built-in one, and overlays that remove, add and narrow commands."""

from __future__ import annotations

import random

import msgspec

from pactsh.catalog.loader import Catalog
from pactsh.catalog.schema import Command, Operand, Option, Sub
from pactsh.policy.model import CommandOverlay, Extension, Narrowing, Policy


def policies(catalog: Catalog) -> tuple[Policy, ...]:
    """Each with a version of its own, by which a finding names it."""
    changing = tuple(Narrowing(command=name, read_only=True) for name in catalog if not catalog[name].builtin)
    site = msgspec.structs.replace(catalog["sort"], name="sitesort", paths=("/opt/rocm/bin/sitesort",))
    grep = catalog["grep"]
    plain_grep = msgspec.structs.replace(grep, options=tuple(o for o in grep.options if o.deny or len(o.names) > 8))
    overlays = (
        CommandOverlay(),
        CommandOverlay(remove=("cat", "sort", "echo", "ip")),
        CommandOverlay(narrow=changing),
        CommandOverlay(
            narrow=(
                Narrowing(command="ls", options=("-l", "--all")),
                Narrowing(command="sort", options=("--key",)),
                Narrowing(command="systemctl", subcommands=("status", "stop"), options=("--property",)),
                Narrowing(command="ip", subcommands=("link", "add"), options=("-br",)),
                Narrowing(command="ps", options=("--user", "+u")),
                Narrowing(command="ethtool", subcommands=("--statistics",)),
                Narrowing(command="nosuch", read_only=True),
            )
        ),
        CommandOverlay(add=(site, plain_grep), remove=("sort",)),
        CommandOverlay(add=(site,), narrow=(Narrowing(command="sitesort", options=("-n",)),), remove=("cat",)),
        CommandOverlay(
            extend=(
                Extension(
                    command="ls",
                    options=(
                        Option(names="--site", value="file"),
                        Option(names="-l --long", change="files"),
                        Option(names="--all-sites", deny="is a test"),
                    ),
                ),
                Extension(command="systemctl", commands=(Sub(names="site-status", operands=(Operand(kind="unit"),)),)),
            ),
            narrow=(Narrowing(command="ls", options=("-a",)),),
        ),
    )
    chance = random.Random(1)  # noqa: S311  (the same choice in every run)
    at_random = CommandOverlay(narrow=tuple(_at_random(catalog[name], chance) for name in catalog))
    every = (*overlays, at_random)
    return tuple(Policy("ml", version=number, commands=overlay) for number, overlay in enumerate(every))


def _at_random(command: Command, chance: random.Random) -> Narrowing:
    """A third of a command's options and subcommands taken away, each by one of its spellings."""
    options = [chance.choice(option.spellings) for option in command.options if chance.random() < 0.3]
    subs = [chance.choice(sub.spellings) for sub in command.commands if chance.random() < 0.3]
    return Narrowing(command=command.name, options=tuple(options), subcommands=tuple(subs))
