"""`pact backup`: backups of what lattice knows. Paths are on lattice's own disk, not on the caller's."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import click
import msgspec

from pactsh.cli.command import Command, Group
from pactsh.cli.context import Context
from pactsh.cli.latticewords import ago
from pactsh.cli.render import Out
from pactsh.delegates.lattice.model import BackupCheck
from pactsh.errors import UsageError

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


VERIFY: Command[PathArgs, Verified] = Command(
    "verify",
    help=f"Show whether a backup can be used.\n\n{_WHERE} Exit status 1 when it can't.",
    run=run_verify,
    render=render_verify,
    args=PathArgs,
    params=[click.Argument(["path"], metavar="PATH")],
)

command = Group("backup", help="Create, verify and restore backups.", commands=[VERIFY])
