"""What a second person reads of a request before deciding: all that would be done, not only what its requester says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from pactsh.cli.changes import shown
from pactsh.cli.context import Context

if TYPE_CHECKING:
    from pactsh.model.approval import Approval


def details(ctx: Context, approval: Approval) -> Iterator[str]:
    """A line for each thing that it does. Of a policy or a spec: how it differs from what is in force now."""
    operation = approval.operation
    if "line" in operation:
        yield f"runs: {operation['line']}"
        yield f"in: {operation.get('cwd')}"
        yield from _expanded(str(operation["line"]), operation.get("stages"))
        return
    body = operation.get("body")
    if isinstance(body, dict) and approval.action == "delegate":
        yield from _delegated(body, by_journal=bool(operation.get("by_journal")))
        return
    if isinstance(body, dict):
        yield from _policy(ctx, approval, body) if "policy" in body else _spec(ctx, approval, body)
        return
    params, expected = operation.get("params"), operation.get("expected")
    if isinstance(params, dict):
        for name, value in sorted(params.items()):
            if value not in (None, [], "", False):
                yield f"{name}: {value}"
    if isinstance(expected, dict):
        for key, value in sorted(expected.items()):
            yield f"{key} = {shown(value if isinstance(value, str) else None)}"


def _delegated(body: Mapping[str, object], *, by_journal: bool) -> Iterator[str]:
    """What another system is to do, to what, and what that hits."""
    names, facts = body.get("targets"), body.get("facts")
    known = dict(facts) if isinstance(facts, dict) else {}
    targets = [str(name) for name in names] if isinstance(names, list) else []
    yield f"{str(body.get('action')).replace('_', ' ')}: {', '.join(targets)}"
    jobs = known.pop("jobs", None)
    for name, value in sorted(known.items()):
        if value not in (None, [], "", False):
            yield f"{name}: {value}"
    for job in jobs if isinstance(jobs, list) else ():
        if isinstance(job, dict):
            words = (f"{key} {job[key]}" for key in ("node", "user", "state") if job.get(key))
            yield f"hits job {job.get('id')}: {', '.join(words)}"
    yield "done by: the journal" if by_journal else "done by: the requester's pact"


def _expanded(line: str, stages: object) -> Iterator[str]:
    """The commands as they would run, where the line as it was typed does not say it: what a glob stands for."""
    from pactsh.language import join

    for stage in stages if isinstance(stages, list) else ():
        argv = stage.get("argv") if isinstance(stage, dict) else None
        words = [word for word in argv if isinstance(word, str)] if isinstance(argv, list) else []
        if words and not all(word in line for word in words):
            yield f"that is: {join(words)}"


def _policy(ctx: Context, approval: Approval, body: Mapping[str, object]) -> Iterator[str]:
    from pactsh.cli.policies import current_policy
    from pactsh.policy.difference import differences
    from pactsh.policy.files import checked_policy

    new = checked_policy(body["policy"], approval.id, approval.vcluster)
    for change in differences(current_policy(ctx, approval.vcluster), new):
        yield f"{change.sign} {change.key}: {shown(change.old)} -> {shown(change.new)}"


def _spec(ctx: Context, approval: Approval, body: Mapping[str, object]) -> Iterator[str]:
    import msgspec

    from pactsh.cli.overlays import current_overlay, differences
    from pactsh.model.overlay import Overlay

    new = msgspec.convert(body.get("overlay"), Overlay)
    for change in differences(current_overlay(ctx, approval.vcluster).values, new.values):
        yield f"{change.key}: {shown(change.old)} -> {shown(change.new)}"
    for node, keys in sorted(new.overwrite.items()):
        yield f"overwrites on {node}: {', '.join(keys)}"
