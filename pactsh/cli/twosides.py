"""One question to the journal and one to lattice at the same time, lattice as soon as the journal has said who may.

lattice is asked in a thread of its own, and bounded: what is wrong with it comes back as a value.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from pactsh.cli.aside import Aside
from pactsh.cli.systems import lattice_settings
from pactsh.errors import AuthError, ForbiddenError, PactError, PolicyError, UnreachableError
from pactsh.policy.rbac import LATTICE_READ

if TYPE_CHECKING:
    from pactsh.cli.context import Context
    from pactsh.delegates.lattice.client import Lattice
    from pactsh.rpc.client import Journal

T = TypeVar("T")
L = TypeVar("L")


async def sees_all(journal: Journal) -> bool:
    """Whether this person may read everything there is: what is global is for those alone."""
    try:
        await journal.list(1, scope="global")
    except (AuthError, PolicyError):
        return False
    return True


def asked(ctx: Context, user: str, about: Callable[[Lattice], L], limit_s: float) -> Aside[L]:
    """lattice, being asked for this person ("": nobody)."""
    settings = lattice_settings(ctx.settings)

    def ask() -> L:
        from pactsh.delegates.lattice.client import Lattice

        with Lattice(settings, user=user, timeout_s=limit_s) as lattice:
            return about(lattice)

    return Aside(f"lattice at {settings.endpoint}", ask, limit_s)


def beside(
    ctx: Context,
    question: Callable[[Journal], Awaitable[T]],
    about: Callable[[Lattice], L],
    limit_s: float,
    *,
    vcluster: str = "",
    for_all: str = "",
) -> tuple[T, L | PactError]:
    """The journal's answer and lattice's, which is read in `vcluster` ("": all there is); `for_all` names what is for
    those alone who may read everything. Raises what the journal's answer raises."""
    from pactsh.cli.remote import ask

    async def permitted(journal: Journal) -> Aside[L] | PactError:
        try:
            begun = await journal.begin_delegation(LATTICE_READ, [], vcluster=vcluster, dry_run=True)
            if for_all and not await sees_all(journal):
                return not_for(begun.principal, for_all)
        except PactError as error:
            return error
        return asked(ctx, begun.principal, about, limit_s)

    async def both(journal: Journal) -> tuple[T, Aside[L] | PactError]:
        return await asyncio.gather(question(journal), permitted(journal))

    found, aside = ask(ctx, both)
    return found, aside if isinstance(aside, PactError) else aside.outcome()


def not_for(person: str, what: str) -> ForbiddenError:
    """The error of who may not read everything."""
    return ForbiddenError(
        f"{person} may not read {what}, which is of all vClusters", hint="pact whoami shows your roles"
    )


def either(
    ctx: Context,
    question: Callable[[Journal], Awaitable[T]],
    about: Callable[[Lattice], L],
    limit_s: float,
    *,
    for_all: str = "",
) -> tuple[T | UnreachableError, L | PactError | None]:
    """The same, and lattice's alone, asked as nobody, when the journal can't be reached; None: none is configured.
    Raises what else the journal's answer raises."""
    from pactsh.cli.remote import ask

    has_lattice = ctx.settings.lattice_endpoint is not None
    try:
        return beside(ctx, question, about, limit_s, for_all=for_all) if has_lattice else (ask(ctx, question), None)
    except UnreachableError as error:
        return error, asked(ctx, "", about, limit_s).outcome() if has_lattice else None
