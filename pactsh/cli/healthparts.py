"""Asking each part of the system how it is. Each function here asks one, and says what came of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Literal

import msgspec

from pactsh.cli.changes import lasts
from pactsh.cli.journaltext import age_s, head_text
from pactsh.cli.nodes import counted_nodes
from pactsh.cli.nodestatus import NodeStatus
from pactsh.errors import PactError, UnreachableError, UsageError
from pactsh.model.capwords import size_text

if TYPE_CHECKING:
    from pactsh.cli.context import Context
    from pactsh.delegates.openchami.http import Http, Service
    from pactsh.rpc import pact_pb2 as pb
    from pactsh.rpc.client import Journal

State = Literal["ok", "degraded", "down", "unknown"]

_LEAST_FREE = 1 << 30  # on the journal's disk
_SIGNS_WITHIN_S = 3660.0  # the longest interval that a journal may be given, and a minute
_REPORTS_WITHIN_S = 45.0  # after which a node that has not reported counts as absent
_REVOKED = "revoked"
_SETTINGS: Mapping[str, str] = {
    "journal": "endpoint (PACT_ENDPOINT)", "agent": "PACT_AGENT_SOCKET", "lattice": "lattice_endpoint",
    "SMD": "openchami_smd_url", "PCS": "openchami_pcs_url", "BSS": "openchami_bss_url",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Part:
    """How a part is: `ok`; `degraded`: it answers, but not all is well; `down`: it can't be reached; `unknown`: who
    would know is down. `ms` is how long its answer took; `facts` are what it said, by name."""

    part: str
    state: State
    says: str
    hint: str = ""
    ms: float | None = None
    facts: Mapping[str, object] = field(default_factory=dict)


def failed(part: str, error: PactError) -> Part:
    """A part of which that came. Who answers with a refusal is there; who can't even be asked is as good as down."""
    state: State = "down" if isinstance(error, UnreachableError | UsageError) else "degraded"
    hint = error.hint
    if isinstance(error, UnreachableError) and (not hint or "--timeout" in hint):  # more than 5 s is never given here
        hint = f"is it up? {_SETTINGS[part]} says where pact looks for it"
    return Part(part, state, error.message, hint)


Question = tuple[str, str, Callable[[], Sequence[Part]]]
"""A part, whom that is for an error about it, and what to ask."""


def questions(ctx: Context) -> list[Question]:
    """The parts that are configured."""
    given, asked = ctx.settings, list[Question]()
    if "PACT_SESSION_FD" not in ctx.environ:
        asked.append(("journal", f"the journal at {given.endpoint}", lambda: journal(ctx)))
    if ctx.node is not None:
        asked.append(("agent", f"agent: {ctx.node.path}:", lambda: agent(ctx)))
    if given.lattice_endpoint is not None:
        asked.append(("lattice", f"lattice at {given.lattice_endpoint}", lambda: [lattice(ctx)]))
    if given.openchami_smd_url is not None:
        urls = {"SMD": None, "PCS": given.openchami_pcs_url, "BSS": given.openchami_bss_url}
        asked += [
            (name, f"{name} by {url or given.openchami_smd_url}", _openchami(ctx, name))
            for name, url in urls.items()
            if name != "PCS" or given.openchami_backend != "redfish"  # then there is none to switch power
        ]
    return asked


# -- the journal, and the nodes that it knows


def journal(ctx: Context) -> list[Part]:
    """The journal, and the nodes; of who is not signed in the journal alone."""
    from pactsh.cli.bearer import find_bearer
    from pactsh.cli.remote import ask, status_of

    if find_bearer(ctx.settings, ctx.environ) is None:
        if ctx.node is not None:
            return []  # people are known there by their uid: its agent says how the journal is
        return [_unsigned(ctx), Part("nodes", "unknown", "not known to whom is not signed in")]
    vcluster = ctx.settings.vcluster if "vcluster" in ctx.explicit else None
    started = time.monotonic()
    took_ms = 0.0

    async def look(opened: Journal) -> tuple[pb.JournalStatus, list[pb.Node]]:
        nonlocal took_ms
        status = await opened.status()
        took_ms = _ms_since(started)
        return status, await opened.nodes(vcluster or "", brief=True)

    status, nodes = ask(ctx, look)
    up_s = age_s(status.started, ctx.now())
    return [
        journal_part(status, ctx.settings.endpoint, ctx.now(), took_ms),
        nodes_part([status_of(node) for node in nodes], up_s),
    ]


def _unsigned(ctx: Context) -> Part:
    """Whether there is a journal: what it tells anybody."""
    from pactsh.cli.remote import read_ca
    from pactsh.rpc.client import Journal

    async def look() -> None:
        async with Journal(ctx.settings.endpoint, ca=read_ca(ctx.settings), timeout_s=ctx.settings.timeout) as opened:
            await opened.trust()

    started = time.monotonic()
    asyncio.run(look())
    says = f"answers at {ctx.settings.endpoint}; who asks is not signed in there"
    return Part("journal", "degraded", says, "pact login, or set PACT_TOKEN", _ms_since(started))


def journal_part(status: pb.JournalStatus, endpoint: str, now: datetime, ms: float) -> Part:
    """What the journal says of itself."""
    up_s, signed_s = age_s(status.started, now), age_s(status.signed_time, now)
    is_behind = status.last_seq > status.signed_seq
    facts = {
        "endpoint": endpoint, "version": status.version, "started": status.started, "store": status.store,
        "last_seq": status.last_seq, "signed_seq": status.signed_seq, "signed_time": status.signed_time or None,
        "size_bytes": status.size_bytes, "free_bytes": status.free_bytes, "approvals_open": status.approvals_open,
    }  # fmt: skip
    free = size_text(status.free_bytes)
    says = f"{status.version} at {endpoint}, up for {lasts(up_s)}; {head_text(status, now)}; {free} free"
    if status.free_bytes < _LEAST_FREE:
        return Part("journal", "degraded", says, "its disk is nearly full: make room for its data directory", ms, facts)
    if is_behind and min(signed_s, up_s) > _SIGNS_WITHIN_S:
        return Part("journal", "degraded", says, "it signs no more: see its own log", ms, facts)
    return Part("journal", "ok", says, "", ms, facts)


def nodes_part(nodes: Sequence[NodeStatus], up_s: float) -> Part:
    """Those that are there, and those that are not; `up_s` is how long the journal has been listening for them."""
    counted = [node for node in nodes if node.state != _REVOKED]
    absent = [node.node for node in counted if not node.present]
    emergency = [node.node for node in counted if node.present and node.emergency]
    degraded = [node.node for node in counted if node.present and not node.emergency and _is_degraded(node)]
    told = [f"{len(counted) - len(absent)} of {len(counted)} present" if counted else "there are none"]
    named = (("absent", absent), ("in an emergency", emergency), ("degraded", degraded))
    told += [f"{word}: {counted_nodes(names)}" for word, names in named if names]
    facts = {
        "nodes": len(counted), "present": len(counted) - len(absent), "absent": absent, "emergency": emergency,
        "degraded": degraded,
    }  # fmt: skip
    hint = "pact status '@*' shows them" if degraded or emergency else ""
    if absent:
        hint = "is pact-agent running there, and can it reach the journal?"
        if up_s < _REPORTS_WITHIN_S:
            hint = f"the journal started {lasts(up_s)} ago: agents report every 15 s"
    return Part("nodes", "degraded" if hint else "ok", "; ".join(told), hint, None, facts)


def _is_degraded(node: NodeStatus) -> bool:
    failing = node.overlay is not None and node.overlay.failing is not None
    return node.degraded or node.unreadable or failing


# -- this node


def agent(ctx: Context) -> list[Part]:
    """This node's agent, and what it says of the journal."""
    started = time.monotonic()
    with ctx.agent() as asked:
        status = msgspec.convert(asked.ask("status"), NodeStatus)
    part, link = agent_part(status, _ms_since(started)), status.journal
    if link is None:
        return [part]
    since = f" since {link.since}" if link.since else ""
    if link.connected:
        return [part, Part("journal", "ok", f"{status.node} is connected to it{since}")]
    return [part, Part("journal", "down", f"{status.node} can't reach it{since}", "is pact-journal running?")]


def agent_part(status: NodeStatus, ms: float) -> Part:
    """What the agent says of its node."""
    link, spool = status.journal, status.spool
    wrong = []
    if status.emergency:
        wrong.append("in an emergency")
    if link is not None and not link.connected:
        wrong.append("without the journal" + (f" since {link.since}" if link.since else ""))
    if spool is not None and spool.level != "normal":
        wrong.append(f"its spool is {spool.level}")
    if status.overlay is not None and status.overlay.failing is not None:
        wrong.append(f"the overlay, version {status.overlay.failing.version}, could not be applied")
    if status.degraded and len(wrong) == 0:
        wrong.append("decides by a cached policy")
    says = ", ".join([f"{status.version or 'unknown version'} on {status.node}, {status.shown_state}", *wrong])
    facts = {
        "node": status.node, "version": status.version, "state": status.shown_state,
        "journal_connected": None if link is None else link.connected,
        "spool": None if spool is None else spool.level,
    }  # fmt: skip
    hint = f"pact status {status.node} says more" if wrong else ""
    return Part("agent", "degraded" if wrong else "ok", says, hint, ms, facts)


# -- others


def lattice(ctx: Context) -> Part:
    """The scheduler: what it says to anybody who may ask it anything. It calls itself healthy as long as it answers."""
    from pactsh.cli.systems import lattice_settings
    from pactsh.delegates.lattice.client import Lattice

    settings = lattice_settings(ctx.settings)
    with Lattice(settings, timeout_s=ctx.settings.timeout) as asked:
        started = time.monotonic()
        health = asked.health()
        ms = _ms_since(started)
    word = health.status or "no word"
    facts = {"endpoint": settings.endpoint, "status": health.status, "version": health.version}
    says = f"{word}, version {health.version or 'unknown'}, at {settings.endpoint}"
    is_well = health.status == "healthy"
    return Part("lattice", "ok" if is_well else "degraded", says, "" if is_well else "see lattice's log", ms, facts)


_READY: Mapping[str, str] = {"SMD": "/service/ready", "PCS": "/readiness", "BSS": "/service/status"}
"""Where each service says whether it is ready, below its base; all of them tell anybody."""


def _openchami(ctx: Context, name: str) -> Callable[[], Sequence[Part]]:
    return lambda: [openchami(ctx, name)]


def openchami(ctx: Context, name: str) -> Part:
    """One of OpenCHAMI's services."""
    from pactsh.cli.systems import openchami_settings
    from pactsh.delegates.openchami.http import Http, trust
    from pactsh.delegates.openchami.places import places_of

    settings = openchami_settings(ctx.settings)
    places = places_of(settings)
    service = {"SMD": places.smd, "PCS": places.pcs, "BSS": places.bss}[name]
    tls = trust("openchami_ca", settings.ca)
    with Http(tls, timeout_s=ctx.settings.timeout, token=settings.token) as http:
        return _ready(http, name, service)


def _ready(http: Http, name: str, service: Service) -> Part:
    started = time.monotonic()
    reply = http.ask(service, "GET", _READY[name], allow=(503,))
    ms, facts = _ms_since(started), {"url": service.base, "status": reply.status}
    if reply.status not in {204, 503}:
        reply.read(dict[str, object])  # a page of somebody else's is no yes
    if reply.status != 503:
        return Part(name, "ok", f"ready, at {service.base}", "", ms, facts)
    from pactsh.delegates.openchami.complaint import complaint

    said = complaint(reply.headers.get("content-type", ""), reply.content)
    if reply.content and not said.is_its_own:  # a gateway's page, in the place of who is not there
        says = f"{service.name} not reachable at {service.base} (HTTP status 503)"
        return Part(name, "down", says, f"set {service.setting} to where it is", ms, facts)
    why = f": {said.text}" if said.text else ""
    return Part(name, "degraded", f"not ready, at {service.base}{why}", "see its own log", ms, facts)


def _ms_since(started: float) -> float:
    return round((time.monotonic() - started) * 1e3, 1)
