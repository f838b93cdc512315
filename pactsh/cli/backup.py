"""`pact backup`: backups of what lattice knows. Paths are on lattice's own disk, not on the caller's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click
import msgspec

from pactsh.cli.changes import counted
from pactsh.cli.command import Command, Group
from pactsh.cli.context import Context
from pactsh.cli.latticewords import ago
from pactsh.cli.render import Out
from pactsh.delegates.lattice.model import BackupCheck
from pactsh.errors import UsageError

if TYPE_CHECKING:
    from pactsh.cli.delegating import Result, Results

_WHERE = "PATH is on lattice's own disk, not on this one."


@dataclass(frozen=True, slots=True)
class PathArgs:
    """Where, on lattice's own disk."""

    path: str


class Verified(BackupCheck, frozen=True):
    """Whether the backup can be used."""

    @property
    def exit_status(self) -> int:
        """1 for one that can't."""
        return 0 if self.valid else 1


def run_verify(ctx: Context, args: PathArgs) -> Verified:
    """Ask lattice. It tells what files there are on its disk, so this takes the right to make backups."""
    from pactsh.cli.latticeread import reading

    path = checked_path("verify", args.path)
    with reading(ctx, ctx.settings.vcluster or "", action="backup_verify", targets=(path,)) as lattice:
        return Verified(*msgspec.structs.astuple(lattice.verify_backup(path)))


def checked_path(verb: str, path: str) -> str:
    """The path, if it can be one; raises `UsageError`."""
    if not path.strip() or not path.isprintable():
        raise UsageError(f"backup {verb}: expected a path on lattice's own disk, got {path!r}")
    return path


def render_verify(result: Verified, out: Out) -> None:
    """A line, and what lattice says."""
    now = datetime.now(UTC)
    word = out.style("Valid", "green") if result.valid else out.style("NOT VALID", "red", "bold")
    made = f" (made {result.time}, {ago(result.time, now)})" if result.time is not None else ""
    out.styled(word, out.style(f"{result.path} on lattice's own disk{made if result.valid else ''}"), sep=": ")
    if result.message or not result.valid:
        out.line(f"lattice says: {result.message or 'nothing of why'}")


def run_create(ctx: Context, args: PathArgs) -> Results | Iterator[Result]:
    """Have the journal decide, and lattice do it."""
    from pactsh.cli.delegating import carry_out

    return carry_out(ctx, "backup_create", [checked_path("create", args.path)])


def render_deed(result: Results | Result, out: Out) -> None:
    """A line, and of what was written how much it is."""
    from pactsh.cli.delegating import Results, render

    render(result, out)
    for one in result.results if isinstance(result, Results) else (result,):
        counted_parts = [
            counted(number, what)
            for what in ("node", "job", "tenant")
            if isinstance(number := one.details.get(f"{what}s"), int)
        ]
        if one.result == "done" and counted_parts:
            out.line(f"{', '.join(counted_parts)}; the file is on lattice's own disk")


@dataclass(frozen=True, slots=True)
class RestoreArgs:
    """Where, on lattice's own disk; whether that is meant."""

    path: str
    confirm: bool


def run_restore(ctx: Context, args: RestoreArgs) -> Results | Iterator[Result]:
    """Have the journal decide, and lattice do it. Raises `UsageError` without `--confirm`."""
    from pactsh.cli.delegating import carry_out

    path = checked_path("restore", args.path)
    if not args.confirm:
        raise UsageError(
            f"backup restore: {path} would take the place of all that lattice knows, once it is started anew",
            hint="--confirm says that this is meant; pact backup verify shows whether it can be used",
        )
    return carry_out(ctx, "backup_restore", [path])


CREATE: Command[PathArgs, Results | Result] = Command(
    "create",
    help=f"Write a backup of what lattice knows.\n\n{_WHERE} Platform admins only.",
    run=run_create,
    render=render_deed,
    args=PathArgs,
    params=[click.Argument(["path"], metavar="PATH")],
)
VERIFY: Command[PathArgs, Verified] = Command(
    "verify",
    help=f"Show whether a backup can be used.\n\n{_WHERE} Exit status 1 when it can't.",
    run=run_verify,
    render=render_verify,
    args=PathArgs,
    params=[click.Argument(["path"], metavar="PATH")],
)
RESTORE: Command[RestoreArgs, Results | Result] = Command(
    "restore",
    help="Put a backup in place of what lattice knows.\n\n"
    f"{_WHERE} It takes effect when lattice is started anew, each of its servers. Platform admins only.",
    run=run_restore,
    render=render_deed,
    args=RestoreArgs,
    params=[
        click.Argument(["path"], metavar="PATH"),
        click.Option(["--confirm"], is_flag=True, help="Say that it is meant; without it nothing is done."),
    ],
)

command = Group("backup", help="Create, verify and restore backups.", commands=[CREATE, VERIFY, RESTORE])
