"""Draining nodes for something else, waiting until they are drained, and putting them back."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING

from pactsh.cli.changes import counted
from pactsh.cli.delegating import Deed, Result, done
from pactsh.cli.guardrail import Hit
from pactsh.cli.interrupts import INTERRUPTED
from pactsh.cli.latticewords import span
from pactsh.cli.nodes import counted_nodes, fold_nodes
from pactsh.cli.progressline import ProgressLine, is_shown
from pactsh.delegates.limited import LimitedError
from pactsh.errors import ConflictError, NotFoundError, PactError, UnreachableError

if TYPE_CHECKING:
    from pactsh.cli.context import Context
    from pactsh.delegates.lattice.client import Lattice
    from pactsh.model.entry import JsonObject

_POLLS_S = (0.25, 0.5, 1.0, 2.0)  # and so on; lattice itself looks every 5 s, and may limit the calls of a minute
VIA = "(via lattice API)"


class Drained:
    """Nodes that are to be drained while something is done to them. `ready` are those that are."""

    def __init__(self, ctx: Context, nodes: Sequence[str], hit: Hit, user: str, *, why: str, timeout_s: float) -> None:
        self._ctx, self._nodes, self._hit, self._user = ctx, tuple(nodes), hit, user
        self._why, self._timeout_s = why, timeout_s
        self._ours: set[str] = set()
        self.ready: list[str] = []

    def begin(self) -> Iterator[Result]:
        """Drain them, and wait until they are; what goes wrong is told, and leaves out its node."""
        deed = Deed("drain", self._nodes, facts=self._hit.facts() | {"system": "lattice", "reason": self._why})
        draining: list[str] = []
        is_over = False  # after ^C nothing more is wanted, on nodes that are drained neither
        for result in done(self._ctx, deed, raising=False):
            is_over = is_over or result.status == INTERRUPTED
            if result.result == "done":
                (draining if is_draining(result) else self.ready).append(result.target)
                self._ours |= {result.target} if not result.details.get("unchanged") else set()
            yield result
        for result in wait_drained(self._ctx, [] if is_over else draining, self._user, self._timeout_s):
            is_over = is_over or result.status == INTERRUPTED
            self.ready += [result.target] if result.result == "done" else []
            yield result
        self.ready = [] if is_over else sorted(self.ready, key=self._nodes.index)

    def end(self, well: Collection[str]) -> Iterator[Result]:
        """Put those of `well` back that were not drained before, and say of the others what they are left as."""
        back = [name for name in self._nodes if name in well and name in self._ours]
        kept = [name for name in self._nodes if name in self._ours and name not in back]
        before = [name for name in self._nodes if name in well and name not in self._ours]
        if before:
            self._ctx.notice(f"pact: {counted_nodes(before)} stays drained, as it was before")
        if kept:
            self.tell_left(kept)
        if back:
            facts: JsonObject = {"system": "lattice", "reason": f"after {self._why}"}
            yield from done(self._ctx, Deed("undrain", tuple(back), facts=facts), raising=False)

    def tell_left(self, names: Sequence[str]) -> None:
        """Say of nodes that they are left drained, and what undoes it."""
        names = [name for name in names if name in self._ours]
        if names:
            state = "stays drained" if set(names) <= set(self.ready) else "is draining still, or drained"
            self._ctx.notice(f"pact: {counted_nodes(names)} {state}; to undo it: pact undrain {fold_nodes(names)}")


def is_draining(result: Result) -> bool:
    """Whether jobs are left on a node that was to be drained, or may be."""
    details = result.details
    return details.get("before") == "draining" or bool(details.get("jobs"))


def wait_drained(ctx: Context, names: Sequence[str], user: str, timeout_s: float) -> Iterator[Result]:
    """Wait until nothing runs on them any more: each as that is seen, and at the end what can't be waited for any
    longer. ^C ends the waiting, not the draining."""
    from pactsh.cli.systems import lattice_settings
    from pactsh.delegates.lattice.client import Lattice

    if not names:
        return
    line = ProgressLine(shown=is_shown(ctx.environ))
    left = list(names)
    try:
        with Lattice(lattice_settings(ctx.settings), user=user, timeout_s=ctx.settings.timeout) as lattice:
            yield from _waited(ctx, lattice, left, line, timeout_s)
    except KeyboardInterrupt:
        line.clear()
        ctx.notice(
            f"pact: interrupted: {counted_nodes(left)} is draining still, which lattice can't stop;"
            f" once drained, pact undrain {fold_nodes(left)} puts it back"
        )
        for name in left:
            yield Result("drained", name, "interrupted", INTERRUPTED, "not waited for any longer: it is draining still")
    finally:
        line.clear()


def _waited(ctx: Context, lattice: Lattice, left: list[str], line: ProgressLine, timeout_s: float) -> Iterator[Result]:
    began, looks, count = time.monotonic(), 0, len(left)
    while True:
        text = ""
        try:
            ended, jobs = _look(lattice, left)
            for name, error in ended:
                left.remove(name)
                line.clear()
                yield _drained(ctx, name, error)
            if not left:
                return
            text = f"draining {counted_nodes(left)}: {counted(jobs, 'job')} left"
        except (UnreachableError, LimitedError) as error:
            text = f"{error.message}; trying again"
        if time.monotonic() - began >= timeout_s:
            break
        line.draw(text, f", {count - len(left)} of {count} drained, {span(time.monotonic() - began)}")
        ctx.sleep(min(_POLLS_S[min(looks, len(_POLLS_S) - 1)] if looks < 8 else 3.0, timeout_s))
        looks += 1
    line.clear()
    for name in list(left):
        left.remove(name)
        text = f"{name} is draining still after {span(timeout_s)}"
        yield _drained(ctx, name, UnreachableError(text, hint="it goes on; more time: --drain-timeout"))


def _look(lattice: Lattice, names: Sequence[str]) -> tuple[list[tuple[str, PactError | None]], int]:
    """Of each that is not draining any more why (None: it is drained), and how many jobs are left on the others. Two
    calls, however many nodes."""
    found = {node.id: node.state for node in lattice.nodes()}
    ended: list[tuple[str, PactError | None]] = []
    for name in names:
        state = found.get(name)
        if state == "drained":
            ended.append((name, None))
        elif state is None:
            ended.append((name, NotFoundError(f"{name}: lattice does not know this node any more")))
        elif state != "draining":
            ended.append(
                (name, ConflictError(f"{name} was to drain, and is {state}", hint="somebody else has changed that"))
            )
    draining = [name for name in names if found.get(name) == "draining"]
    jobs = {job.id for held in lattice.jobs_on(draining).values() for job in held} if draining else set()
    return ended, len(jobs)


def _drained(ctx: Context, name: str, error: PactError | None) -> Result:
    if error is None:
        return Result("drained", name, "done", text=f"Drained: {name} has no jobs any more {VIA}")
    if not ctx.json:
        ctx.notice(f"pact: {error.message}")
        ctx.notice(f"hint: {error.hint}")
    return Result("drained", name, "failed", error.code, error.message, {}, error.kind, error.hint)
