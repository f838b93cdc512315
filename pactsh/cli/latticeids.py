"""Ids for Tab: what lattice has right now, if it says so within a second.

Whatever goes wrong, there is nothing to offer: a question that nobody asked gets no error.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import msgspec

from pactsh.cli.render import escape
from pactsh.delegates.lattice.words import ENDED
from pactsh.errors import PactError

if TYPE_CHECKING:
    from pactsh.delegates.lattice.client import Lattice

_PATIENCE_S = 1.0
_MOST = 200
_OFFERED = re.compile(r"[A-Za-z0-9._@+:/-]{1,200}")  # what neither a terminal nor a shell takes for more than a word


def ids(kind: str) -> list[tuple[str, str]]:
    """Ids of a kind (`latticetypes.IdType`), each with what to tell it by."""
    from pactsh.cli.command import make_context
    from pactsh.cli.latticeread import reading

    try:
        ctx = make_context({})
        settings = msgspec.structs.replace(ctx.settings, timeout=_PATIENCE_S)
        quiet = dataclasses.replace(ctx, settings=settings, notice=lambda _text: None)
        with reading(quiet, settings.vcluster or "") as lattice:
            found = _found(lattice, kind, settings.vcluster or "")
            return [(id_, about) for id_, about in found if _OFFERED.fullmatch(id_)][:_MOST]
    except (PactError, OSError):
        return []


def _found(lattice: Lattice, kind: str, vcluster: str) -> Iterable[tuple[str, str]]:
    if kind in {"job", "live job"}:
        for job in lattice.jobs(vcluster=vcluster):
            if kind == "job" or job.state not in ENDED:
                yield job.id, escape(f"{job.state} {job.user}")
    elif kind in {"DAG", "live DAG"}:
        for dag in lattice.dags():
            is_here = not vcluster or any(job.vcluster == vcluster for job in dag.jobs)
            if is_here and (kind == "DAG" or any(job.state not in ENDED for job in dag.jobs)):
                yield dag.id, escape(dag.state)
    elif kind == "node":
        yield from ((node.id, escape(node.state)) for node in lattice.nodes(vcluster=vcluster))
    else:
        yield from _people(lattice, kind, vcluster)


def _people(lattice: Lattice, kind: str, vcluster: str) -> Iterator[tuple[str, str]]:
    """Tenants or users, as far as jobs name them: lattice has no list of either."""
    jobs = lattice.jobs(vcluster=vcluster)
    names = {job.tenant if kind == "tenant" else job.user for job in jobs}
    yield from ((name, "") for name in sorted(names - {""}))
