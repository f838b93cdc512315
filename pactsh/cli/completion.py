"""`pact completion SHELL`: the script that makes a shell complete pact's verbs and options.

The scripts are click's own templates around `_PACT_COMPLETE`, so candidates come from the same tree and the same
argument types as parsing. `completions/` holds the same three texts for packages; a test compares them.
"""

from __future__ import annotations

from dataclasses import dataclass

import click

from pactsh.cli.command import Command
from pactsh.cli.context import Context
from pactsh.cli.render import Out

SHELLS = ("bash", "zsh", "fish")


@dataclass(frozen=True, slots=True)
class Args:
    """The shell that is to complete."""

    shell: str


@dataclass(frozen=True, slots=True)
class Result:
    """A script for `shell`."""

    shell: str
    script: str


def script_for(shell: str) -> str:
    """The completion script of one of `SHELLS`."""
    from click.shell_completion import get_completion_class

    from pactsh.cli.tree import Tree

    kind = get_completion_class(shell)
    assert kind is not None, shell
    complete = kind(Tree(), {}, "pact", "_PACT_COMPLETE")
    # Not complete.source(): for bash that runs the bash of this machine to ask its version.
    return complete.source_template % complete.source_vars()


def run(_ctx: Context, args: Args) -> Result:
    """Make the script."""
    return Result(args.shell, script_for(args.shell))


def render(result: Result, out: Out) -> None:
    """The script, as it is to be sourced."""
    for line in result.script.splitlines():
        out.line(line)


command = Command(
    "completion",
    help="Print a completion script for a shell.\n\nFor bash: source <(pact completion bash)",
    run=run,
    render=render,
    args=Args,
    params=[click.Argument(["shell"], type=click.Choice(SHELLS))],
)
