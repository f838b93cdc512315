"""`pact help [VERB]…`: the same text as `pact VERB --help`."""

from __future__ import annotations

from dataclasses import dataclass

import click

from pactsh.cli.command import Command
from pactsh.cli.context import Context
from pactsh.cli.render import Out
from pactsh.errors import UsageError


@dataclass(frozen=True, slots=True)
class Args:
    """The path to a verb; empty for the list of all."""

    verb: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Result:
    """The help of `verb`."""

    verb: str
    text: str


def run(_ctx: Context, args: Args) -> Result:
    """Find the verb and let it explain itself."""
    from pactsh.cli.tree import Tree

    found: click.Command = Tree()
    path = click.Context(found, info_name="pact")
    for name in args.verb:
        inner = found.get_command(path, name) if isinstance(found, click.Group) else None
        if inner is None:
            raise UsageError(f"help: {' '.join(args.verb)}: unknown verb", hint="pact help lists the verbs")
        found, path = inner, click.Context(inner, info_name=name, parent=path)
    return Result(" ".join(args.verb), found.get_help(path))


def render(result: Result, out: Out) -> None:
    """The text."""
    for line in result.text.splitlines():
        out.line(line)


command = Command(
    "help",
    help="Show help on a verb.",
    run=run,
    render=render,
    args=Args,
    params=[click.Argument(["verb"], nargs=-1, metavar="[VERB]...")],
)
