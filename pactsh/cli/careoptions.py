"""Options of all that may disturb jobs: what is asked before it, and whether nodes are drained for it."""

from __future__ import annotations

import click

from pactsh.cli.arguments import NumberType

DRAIN_TIMEOUT_S = 3600.0


def yes_option() -> click.Option:
    """`--yes`."""
    return click.Option(["--yes"], is_flag=True, help="Don't ask, whatever jobs are on the nodes.")


def drain_option() -> click.Option:
    """`--drain`."""
    return click.Option(["--drain"], is_flag=True, help="Drain the nodes first, and undrain them after it.")


def drain_timeout_option() -> click.Option:
    """`--drain-timeout`."""
    return click.Option(
        ["--drain-timeout"],
        type=NumberType(min=0),
        default=DRAIN_TIMEOUT_S,
        show_default=True,
        metavar="SECONDS",
        help="How long to wait until nodes are drained.",
    )
