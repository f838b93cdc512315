"""Asking lattice for a person: the journal is asked first whether they may, and says who they are.

lattice hardly authorises reads itself. Without a journal it is asked all the same, with the person's own token for it,
but as nobody: there is none to say for whom.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from pactsh.cli.systems import lattice_settings
from pactsh.errors import ApprovalError, ForbiddenError, NotFoundError, UnreachableError, UsageError
from pactsh.policy.rbac import LATTICE_READ

if TYPE_CHECKING:
    from pactsh.cli.context import Context
    from pactsh.delegates.lattice.client import Lattice

T = TypeVar("T")


@contextmanager
def reading(
    ctx: Context,
    vcluster: str = "",
    *,
    action: str = LATTICE_READ,
    targets: Sequence[str] = (),
    journal_needed: bool = False,
) -> Iterator[Lattice]:
    """lattice, to read what is in a vCluster ("": all there is). Nothing is sent to it before the journal says so.

    Raises `UsageError` where no lattice is configured, `AuthError` for who is not signed in, and what the journal says
    of who may not: `ForbiddenError`, `PolicyError`. `journal_needed`: raises `UnreachableError` without one, for what
    comes after could not be done.
    """
    settings = lattice_settings(ctx.settings)
    user = reader(ctx, vcluster, action=action, targets=targets, journal_needed=journal_needed)
    from pactsh.delegates.lattice.client import Lattice

    with Lattice(settings, user=user, timeout_s=ctx.settings.timeout) as lattice:
        yield lattice


def reader(
    ctx: Context,
    vcluster: str,
    *,
    action: str = LATTICE_READ,
    targets: Sequence[str] = (),
    journal_needed: bool = False,
) -> str:
    """Who is asking, as the journal knows them, who may; "" and a notice where it can't be reached."""
    from pactsh.cli.remote import ask

    try:
        # A dry run: reads are not put on record.
        begun = ask(
            ctx, lambda journal: journal.begin_delegation(action, list(targets), vcluster=vcluster, dry_run=True)
        )
    except UnreachableError as error:
        if journal_needed:
            raise
        ctx.notice(f"pact: {error.message}; lattice is asked all the same, as nobody")
        return ""
    except ForbiddenError as error:
        if vcluster:
            raise
        hint = "to read what is in one vCluster: --vcluster NAME"
        raise ForbiddenError(error.message, hint=hint, detail=error.detail) from error
    if begun.approval_needed:
        raise ApprovalError(f"{action.replace('_', ' ')}: a second person has to agree, which a read can't wait for")
    return str(begun.principal)


def also_may(ctx: Context, lattice: Lattice, what: str, vcluster: str) -> None:
    """Of `what`, which turned out to be in another vCluster than was asked about: raises `ForbiddenError`,
    `PolicyError`."""
    asked = ctx.settings.vcluster or ""
    if not (lattice.user and asked and vcluster != asked):
        return
    try:
        reader(ctx, vcluster)
    except ForbiddenError as error:
        where = f"in vCluster {vcluster}, not in {asked}" if vcluster else "in no vCluster"
        raise ForbiddenError(f"{what} is {where}: {error.message}", hint=error.hint) from error


def looked_up(look: Callable[[str], T], id_: str, verb: str, what: str, where: str) -> T:
    """What lattice has of an id; raises `NotFoundError`, `UsageError` that say of which."""
    hint = f"{where} shows those that there are"
    try:
        return look(id_)
    except NotFoundError as error:
        raise NotFoundError(f"{verb}: {id_}: lattice has no such {what}", hint=hint) from error
    except UsageError as error:
        text = f"{verb}: {id_!r} is no {what}'s id: {error.message.removeprefix('lattice: ')}"
        raise UsageError(text, hint=hint) from error
