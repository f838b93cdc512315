"""The guard rail around commands and services: what changes nodes is asked about where jobs are on them, and may wait
until they are drained.

Only where lattice is configured, and not on a node itself, which knows of none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from pactsh.cli.guardrail import Hit, ask_first, jobs_on
from pactsh.errors import NotFoundError, PactError, UnreachableError, UsageError, error_of

if TYPE_CHECKING:
    from pactsh.cli.context import Context
    from pactsh.cli.delegating import Result
    from pactsh.policy.decision import Decision
    from pactsh.policy.model import Policy

T = TypeVar("T")

_FEW = 4  # nodes that are looked up one by one


@dataclass(frozen=True, slots=True)
class Care:
    """What was said on the line: not to ask, to drain the nodes first, and how long to wait for that."""

    yes: bool
    drain: bool
    drain_timeout_s: float


@dataclass(frozen=True, slots=True)
class Act(Generic[T]):
    """What is to be done to nodes. `what` are its words, `do` does it to those that are given it, `well` are those on
    which it went well, and `failed` is how a node is told of that could not be drained."""

    what: str
    do: Callable[[tuple[str, ...]], Iterator[T]]
    well: Callable[[T], Iterable[str]]
    failed: Callable[[Result], T]


def carefully(ctx: Context, names: Sequence[str], act: Act[T], care: Care) -> Iterator[T]:
    """Show the jobs on the nodes, ask, and do it; between a drain and its end where that is asked for."""
    nodes = tuple(names)
    user, hit = _hit_on(ctx, nodes)
    if care.drain and isinstance(hit.error, UnreachableError):
        raise hit.error
    ask_first(ctx, act.what, hit, yes=care.yes)
    if care.drain:
        yield from _drained(ctx, nodes, hit, user, act, care)
    else:
        yield from act.do(nodes)


def _drained(ctx: Context, nodes: tuple[str, ...], hit: Hit, user: str, act: Act[T], care: Care) -> Iterator[T]:
    from pactsh.cli.draining import Drained

    drained = Drained(ctx, nodes, hit, user, why=f"pact {act.what}", timeout_s=care.drain_timeout_s)
    try:
        failed = [step for step in _told(ctx, drained.begin()) if step.exit_status]
        if not drained.ready:
            raise (
                error_of(failed[0].kind, failed[0].text, failed[0].hint)
                if len(nodes) == 1
                else PactError(f"{act.what}: nothing was done: none of the nodes could be drained")
            )
        for step in failed:
            yield act.failed(step)
        well: list[str] = []
        for result in act.do(tuple(drained.ready)):
            well += act.well(result)
            yield result
    except BaseException:
        drained.tell_left(nodes)
        raise
    for step in _told(ctx, drained.end(well)):
        if step.exit_status:
            yield act.failed(step)


def _told(ctx: Context, steps: Iterator[Result]) -> Iterator[Result]:
    """The steps beside the command, whose output is the command's own: they are told on standard error."""
    for step in steps:
        if step.result == "done" and step.text and not ctx.json:
            ctx.notice(step.text)
        yield step


def is_guarded(ctx: Context, what: str, *, drain: bool) -> bool:
    """Whether there is a guard rail here. Raises `UsageError` for a drain where nobody could be asked for one."""
    if ctx.node is None and ctx.settings.lattice_endpoint is not None:
        return True
    if drain:
        why = "not on a node: from elsewhere" if ctx.node is not None else "no lattice endpoint is configured"
        raise UsageError(f"{what}: --drain: {why}", hint="set PACT_LATTICE_ENDPOINT, or lattice_endpoint in cli.toml")
    return False


def changes(ctx: Context, names: Sequence[str], argv: tuple[str, ...]) -> bool:
    """Whether this command, were it allowed, would change the nodes. Not of one that they refuse in any case; and of
    one of which that is not known."""
    from pactsh.policy.model import Policy

    decision = _decided(argv, Policy("any"))
    if decision.verdict == "allow":
        return decision.class_ == "change"
    try:
        from pactsh.cli.policies import current_policy

        found = [_decided(argv, current_policy(ctx, vcluster)) for vcluster in _vclusters(ctx, names)]
    except PactError:
        return True
    return any(one.verdict == "allow" and one.class_ == "change" for one in found)


def _decided(argv: tuple[str, ...], policy: Policy) -> Decision:
    from pactsh.catalog import load_catalog
    from pactsh.language import join
    from pactsh.model.identity import Identity
    from pactsh.policy.decision import Request, StageRequest, decide
    from pactsh.policy.rbac import ADMIN

    request = Request(join(argv), (StageRequest(argv),), "exec")
    return decide(request, Identity("anybody", (ADMIN,), "human", "token"), policy, load_catalog())


def _hit_on(ctx: Context, nodes: tuple[str, ...]) -> tuple[str, Hit]:
    """Who is asking, and the jobs on the nodes: lattice is asked by who may read it there."""
    from pactsh.cli.latticeread import reader

    user = ""
    try:
        for vcluster in _vclusters(ctx, nodes):
            user = reader(ctx, vcluster)
    except UnreachableError as error:
        ctx.notice(f"pact: {error.message}; lattice is asked all the same, as nobody")
    except PactError as error:
        return "", Hit(nodes, error=error)
    return user, jobs_on(ctx, nodes, user)


def _vclusters(ctx: Context, names: Sequence[str]) -> tuple[str, ...]:
    """Those that the nodes are in; "" for nodes that pact does not know."""
    from pactsh.cli.remote import list_nodes, one_node

    if len(names) > _FEW:
        wanted = frozenset(names)
        return tuple(dict.fromkeys(node.vcluster for node in list_nodes(ctx) if node.node in wanted)) or ("",)
    found = []
    for name in names:
        try:
            found.append(one_node(ctx, name).vcluster)
        except NotFoundError:
            found.append("")
    return tuple(dict.fromkeys(found))
