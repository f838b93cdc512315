"""Asking lattice for a person: the journal is asked first whether they may, and says who they are and what they see.

lattice hardly authorises reads itself. So what belongs to a vCluster that the person may not see in pact is left out of
its lists here. Without a journal it is asked all the same, with the person's own token for it, but as nobody: there is
none to say for whom.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

import msgspec

from pactsh.cli.systems import lattice_settings
from pactsh.errors import (
    ApprovalError,
    AuthError,
    ForbiddenError,
    NotFoundError,
    PolicyError,
    UnreachableError,
    UsageError,
)
from pactsh.policy.rbac import LATTICE_READ

if TYPE_CHECKING:
    from pactsh.cli.context import Context
    from pactsh.cli.latticesight import Sighted
    from pactsh.rpc import pact_pb2 as pb
    from pactsh.rpc.client import Journal

T = TypeVar("T")
_MOST_POLICIES = 1000


class Sight(msgspec.Struct, frozen=True):
    """Who is asking ("": nobody can say), and what they see: vClusters and nodes, or all there is."""

    user: str
    everything: bool = True
    vclusters: frozenset[str] = frozenset()
    nodes: frozenset[str] = frozenset()

    def sees(self, vcluster: str) -> bool:
        """Whether what is in this vCluster ("": in none) is for them."""
        return self.everything or vcluster in self.vclusters


@contextmanager
def reading(
    ctx: Context,
    vcluster: str = "",
    *,
    action: str = LATTICE_READ,
    targets: Sequence[str] = (),
    journal_needed: bool = False,
) -> Iterator[Sighted]:
    """lattice, to read what is in a vCluster ("": all that one sees). Nothing is sent to it before the journal says so.

    Raises `UsageError` where no lattice is configured, `AuthError` for who is not signed in, and what the journal says
    of who may not: `ForbiddenError`, `PolicyError`. `journal_needed`: raises `UnreachableError` without one, for what
    comes after could not be done.
    """
    settings = lattice_settings(ctx.settings)
    sight = sight_of(ctx, vcluster, action=action, targets=targets, journal_needed=journal_needed)
    from pactsh.cli.latticesight import Sighted

    with Sighted(settings, sight, timeout_s=ctx.settings.timeout) as lattice:
        yield lattice


def reader(ctx: Context, vcluster: str) -> str:
    """Who is asking, as the journal knows them, who may; "" and a notice where it can't be reached."""
    return sight_of(ctx, vcluster).user


def sight_of(
    ctx: Context,
    vcluster: str,
    *,
    action: str = LATTICE_READ,
    targets: Sequence[str] = (),
    journal_needed: bool = False,
) -> Sight:
    """The same, with what they see. Raises `ForbiddenError` for a vCluster that they do not."""
    from pactsh.cli.remote import ask

    async def question(journal: Journal) -> tuple[pb.DelegationBegun, Sight]:
        # A dry run: reads are not put on record.
        begun = await journal.begin_delegation(action, list(targets), vcluster=vcluster, dry_run=True)
        return begun, await _sight(journal, str(begun.principal))

    try:
        begun, sight = ask(ctx, question)
    except UnreachableError as error:
        if journal_needed:
            raise
        ctx.notice(f"pact: {error.message}; lattice is asked all the same, as nobody")
        return Sight("")
    if begun.approval_needed:
        raise ApprovalError(f"{action.replace('_', ' ')}: a second person has to agree, which a read can't wait for")
    if vcluster and not sight.sees(vcluster):
        # Names that it does not have are all the same to the journal.
        raise ForbiddenError(
            f"{sight.user} may not read what is in vCluster {vcluster}", hint="pact group list shows those that you see"
        )
    return sight


async def _sight(journal: Journal, user: str) -> Sight:
    try:
        await journal.list(1, scope="global")
    except (AuthError, PolicyError):  # that is for those alone who see everything
        nodes = await journal.nodes("", brief=True)
        policies = await journal.list(_MOST_POLICIES, type="policy.updated")
        vclusters = {node.vcluster for node in nodes} | {entry.scope.removeprefix("vcluster:") for entry in policies}
        return Sight(user, False, frozenset(vclusters - {""}), frozenset(node.node for node in nodes))
    return Sight(user)


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
