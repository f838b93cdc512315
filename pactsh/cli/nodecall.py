"""Asking a node's agent: on the node over its socket, from elsewhere by running the node's own `pact` there."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TypeVar

import msgspec

from pactsh.cli.context import Context
from pactsh.cli.pending import is_pending, pending_of, settle_elsewhere, settle_here
from pactsh.errors import PactError, UsageError, error_of

Result = TypeVar("Result", bound=msgspec.Struct)
_MOST_TOLD = 2000


def ask_node(
    ctx: Context,
    node: str | None,
    kind: type[Result],
    method: str,
    params: Mapping[str, object],
    words: Sequence[str],
    **known: object,
) -> Result:
    """What the agent of `node` (None: this one) answers to `method`, as a `kind`; `known` fields are added to it.

    `words` are the verb and its arguments, to be run there when this is another machine. Raises the agent's own
    `PactError`, and `UsageError` where no node is named and this is none.
    """
    if ctx.node is None:
        if node is None:
            raise UsageError(f"{words[0]}: not on a node: name one")
        return _elsewhere(ctx, node, kind, words)
    with ctx.agent() as agent:
        here = str(agent.ask("whoami")["node"])
        if node in {None, here}:
            item = agent.gather(method, params)
            if is_pending(item):
                settle_here(ctx, agent, item, words[0])
            return msgspec.convert({**item, **known}, kind)
    assert node is not None
    return _elsewhere(ctx, node, kind, words)


def _elsewhere(ctx: Context, node: str, kind: type[Result], words: Sequence[str]) -> Result:
    from pactsh.cli.onnodes import captured

    done = captured(ctx, node, line_there(words))
    if done.status == 0 and (id_ := pending_in((done.stdout or "").encode())):
        _settle(ctx, node, id_, words[0])
    return read_answer(f"{words[0]}: {node}", kind, done.status, done.stdout or "", done.stderr or done.message or "")


def line_there(words: Sequence[str]) -> tuple[str, ...]:
    """The argv that has the node's own `pact` do it, and answer with what `read_answer` reads."""
    return ("pact", "--output", "json", *words)


def read_answer(what: str, kind: type[Result], status: int, stdout: str, stderr: str) -> Result:
    """What the node's own `pact` has answered; raises the error that it ended with, and `PactError`, about `what`, for
    what is no answer of its."""
    try:
        if status == 0:
            return msgspec.convert(json.loads(stdout), kind)  # not msgspec's own: names of files may be no UTF-8
        error = json.loads(stderr.splitlines()[-1])["error"]
        raise error_of(str(error["kind"]), str(error["message"]), str(error.get("hint") or ""))
    except (msgspec.DecodeError, ValueError, KeyError, IndexError, TypeError, RecursionError):
        text = stderr.strip()[-_MOST_TOLD:]
        raise PactError(f"{what}: {text or f'it ended with {status}, and no answer of pact'}") from None


class _Left(msgspec.Struct, frozen=True):
    """What the node's own `pact` says of a verb that waits for a second person (`pending.Outcome`)."""

    approval: str
    state: str


def pending_in(said: bytes) -> str:
    """The id of the request that the verb waits for; "" if it waits for none."""
    try:
        left = msgspec.json.decode(said, type=_Left)
    except ValueError:  # DecodeError, ValidationError, or what is no UTF-8
        return ""
    return left.approval if left.state == "pending" else ""


def _settle(ctx: Context, node: str, id_: str, what: str) -> None:
    from pactsh.cli.remote import ask

    (approval,) = ask(ctx, lambda journal: journal.approvals(id_=id_))
    settle_elsewhere(ctx, pending_of(ctx, approval), what, node)
