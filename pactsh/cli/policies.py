"""Where `pact group` gets policies and refusals from, and how a policy is written."""

from __future__ import annotations

import tomllib
import uuid
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import msgspec

from pactsh.cli.pending import request, settle_elsewhere
from pactsh.cli.sources import Filter, open_source
from pactsh.errors import ApprovalError, ForbiddenError, PactError, UsageError
from pactsh.model.entry import Author, Draft, Entry
from pactsh.policy.files import checked_policy
from pactsh.policy.model import Policy, build_policy
from pactsh.policy.proposals import Refused
from pactsh.policy.rbac import ADMIN

if TYPE_CHECKING:
    from pactsh.cli.context import Context
    from pactsh.model.identity import Identity
    from pactsh.policy.difference import Change

MOST_REFUSALS = 10_000
_MOST_POLICIES = 1_000


class _Learn(msgspec.Struct, frozen=True):
    """The `learn` part of a refusal's body."""

    name: str
    argv: tuple[str, ...]
    path: str | None = None


def _policy_of(entry: Entry) -> Policy:
    """The policy in an entry; raises `PactError` for one that this version can't read."""
    source = f"the policy in seq:{entry.seq}"
    try:
        return build_policy((entry.body or {}).get("policy"), source=source)
    except UsageError as error:
        raise PactError(error.message, hint="is this pact older than the journal's?") from error


def current_policy(ctx: Context, vcluster: str) -> Policy:
    """The policy in force; the built-in one (version 0) where none was set."""
    wanted = Filter(scope=f"vcluster:{vcluster}", type="policy.updated")
    entries = open_source(ctx).list(wanted, 1)
    return _policy_of(entries[0]) if entries else Policy(vcluster)


def policies(ctx: Context) -> dict[str, Policy]:
    """The newest policy of each vCluster within reach."""
    found: dict[str, Policy] = {}
    for entry in open_source(ctx).list(Filter(type="policy.updated"), _MOST_POLICIES):
        name = entry.scope.removeprefix("vcluster:")
        if name not in found:
            found[name] = _policy_of(entry)
    return found


def nodes_by_vcluster(ctx: Context) -> dict[str, int]:
    """How many nodes each vCluster has; on a node only the name of its own, with 0."""
    if ctx.node is not None:
        with ctx.agent() as agent:
            return {str(agent.ask("status")["vcluster"]): 0}
    from pactsh.cli.remote import list_nodes

    counts: dict[str, int] = {}
    for node in list_nodes(ctx):
        counts[node.vcluster] = counts.get(node.vcluster, 0) + 1
    return counts


def learning_since(ctx: Context, policy: Policy) -> str | None:
    """When learning mode began, as entries have times; None when it is off."""
    if policy.whitelist_mode != "learning":
        return None
    since = ""
    wanted = Filter(scope=f"vcluster:{policy.vcluster}", type="policy.updated")
    for entry in open_source(ctx).list(wanted, _MOST_POLICIES):
        if _policy_of(entry).whitelist_mode != "learning":
            break
        since = entry.time
    return since


def refusals(ctx: Context, vcluster: str, since: str) -> tuple[Refused, ...]:
    """What learning mode collected on the vCluster's nodes; on a node, on that one alone. Newest 10,000 refusals."""
    nodes = _nodes_of(ctx, vcluster)
    entries = open_source(ctx).list(Filter(type="refusal", since=since), MOST_REFUSALS)
    return tuple(found for entry in entries if entry.scope in nodes for found in _refused(entry))


def _nodes_of(ctx: Context, vcluster: str) -> frozenset[str]:
    if ctx.node is not None:
        with ctx.agent() as agent:
            status = agent.ask("status")
        return frozenset({f"node:{status['node']}"} if status["vcluster"] == vcluster else ())
    from pactsh.cli.remote import list_nodes

    return frozenset(f"node:{node.node}" for node in list_nodes(ctx, vcluster))


def _refused(entry: Entry) -> Iterator[Refused]:
    learn = (entry.body or {}).get("learn")
    if learn is None:
        return
    try:
        found = msgspec.convert(learn, _Learn)
    except msgspec.ValidationError:
        return  # an agent of another version
    if found.argv[:1] == (found.name,):
        node = entry.scope.removeprefix("node:")
        yield Refused(found.name, found.argv, found.path, entry.author.principal, node, entry.time)


# -- changes


def administrator(ctx: Context, vcluster: str) -> Identity:
    """Who is asking, if that is a platform admin; raises `ForbiddenError`, or `UsageError` inside a session."""
    if ctx.node is not None and ctx.node.fd is not None:
        raise UsageError(
            "group set-policy: a session speaks through its node's agent, which changes no policy",
            hint="run it from your workstation",
        )
    from pactsh.cli.certificate import certified_identity

    who, _until = certified_identity(ctx)
    if ADMIN not in who.roles:
        raise ForbiddenError(
            f"group set-policy: {who.principal} may not change the policy of {vcluster}", hint=f"needed: {ADMIN}"
        )
    return who


def with_settings(old: Policy, settings: Sequence[str]) -> Policy:
    """`old` with each `KEY=VALUE` set, one version further; a value is TOML, or text. Raises `UsageError`."""
    raw = msgspec.to_builtins(old)
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise UsageError(f"--set {setting}: expected KEY=VALUE")
        if key in ("vcluster", "version"):
            raise UsageError(f"--set {key}: is not to be set", hint="the version counts the changes by itself")
        place = raw
        *way, last = key.split(".")
        for step in way:
            inner = place.get(step)
            if not isinstance(inner, dict):
                raise UsageError(f"--set {key}: {step} has no keys of its own")
            place = inner
        place[last] = _value(text)
    policy = checked_policy(raw, "--set", old.vcluster)
    return msgspec.structs.replace(policy, version=old.version + 1)


def _value(text: str) -> object:
    try:
        return tomllib.loads(f"value = {text}")["value"] if "\n" not in text else text
    except (ValueError, RecursionError):  # TOMLDecodeError, and what int() says of 5000 digits
        return text


def append_policy(ctx: Context, who: Identity, policy: Policy, changes: Sequence[Change]) -> int:
    """Write the policy to the journal; returns its entry's number.

    Raises `ConflictError` when another change came first, `SettledError` where a second person had to agree.
    """
    from pactsh.cli.remote import ask
    from pactsh.policy.difference import summary
    from pactsh.policy.toml import plain_document

    draft = Draft(
        client=f"user:{who.principal}:{uuid.uuid4()}",
        number=1,
        time=ctx.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        type="policy.updated",
        scope=f"vcluster:{policy.vcluster}",
        author=Author(who.principal, who.roles, who.kind),
        message=f"version {policy.version}: {summary(tuple(changes))}",
        body={"policy": plain_document(policy)},
    )
    try:
        acks, _head = ask(ctx, lambda journal: journal.append([draft]))
    except ApprovalError:
        pending = request(ctx, "policy_update", draft)
        settle_elsewhere(ctx, pending, "policy", policy.vcluster)
        raise
    return acks[0].seq
