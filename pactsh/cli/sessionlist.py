"""Sessions as a list: what the journal's entries say of them, and on a node what its agent knows besides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from pactsh.cli.entries import short_time
from pactsh.cli.sources import Filter, open_source
from pactsh.errors import UnreachableError, UsageError

if TYPE_CHECKING:
    from pactsh.cli.context import Context
    from pactsh.cli.render import Out
    from pactsh.cli.sources import Source
    from pactsh.model.entry import Entry

_MOST_ENTRIES = 10_000


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which ones. `since` is RFC 3339 UTC with µs."""

    node: str | None = None
    since: str | None = None
    user: str | None = None
    live: bool = False
    n: int = 50


class Known(msgspec.Struct, frozen=True):
    """A session. `seconds`: how long it was, None while that is not known; `state`: `live`, `ended`, or `lost` where
    its agent has started again since."""

    id: str
    node: str
    principal: str
    kind: str
    peer: str
    started_at: str
    seconds: float | None
    state: str
    recorded: bool
    sha256: str | None = None


class Listing(msgspec.Struct, frozen=True):
    """Sessions, newest first."""

    sessions: tuple[Known, ...]


def listing(ctx: Context, wanted: Wanted) -> Listing:
    """Ask the journal, and on a node its agent, which knows those that the journal has not heard of yet."""
    here = _here(ctx)
    if here is None or wanted.node not in {None, here}:
        if ctx.node is not None:
            raise UsageError(
                f"session list: {wanted.node}: this is {here}, whose agent knows its own sessions alone",
                hint="ask from a workstation, where the journal answers",
            )
        return _chosen(joined(*_entries(open_source(ctx), wanted)), wanted)
    with ctx.agent() as agent:
        local = [_local(item, here) for item in agent.gather("sessions")["sessions"]]
    try:
        known = joined(*_entries(open_source(ctx), wanted, here))
    except UnreachableError as error:
        ctx.notice(f"pact: {error.message}: only open sessions and recordings on this node are shown")
        known = []
    return _chosen(merged(known, local), wanted)


def _here(ctx: Context) -> str | None:
    if ctx.node is None:
        return None
    with ctx.agent() as agent:
        return str(agent.ask("whoami")["node"])


def _entries(
    source: Source, wanted: Wanted, here: str | None = None
) -> tuple[Sequence[Entry], Sequence[Entry], Sequence[Entry]]:
    """Starts, ends since the first of them, and starts of agents."""
    node = here or wanted.node
    scope = f"node:{node}" if node else None
    most = _MOST_ENTRIES if wanted.live else wanted.n
    starts = source.list(Filter(scope=scope, type="session.start", author=wanted.user, since=wanted.since), most)
    if not starts:
        return starts, [], []
    since = min(entry.time for entry in starts)
    ends = source.list(Filter(scope=scope, type="session.end", since=since), _MOST_ENTRIES)
    return starts, ends, source.list(Filter(scope=scope, type="agent.start", since=since), _MOST_ENTRIES)


def joined(starts: Iterable[Entry], ends: Iterable[Entry], agents: Iterable[Entry]) -> list[Known]:
    """A session for each start, with what its end says. Pure."""
    ended = {(end.scope, end.session): end for end in ends}
    begun: dict[str, str] = {}
    for agent in agents:
        begun[agent.scope] = max(begun.get(agent.scope, ""), agent.time)
    return [_of_entries(start, ended.get((start.scope, start.session)), begun.get(start.scope, "")) for start in starts]


def _of_entries(start: Entry, end: Entry | None, agent_began: str) -> Known:
    body, over = start.body or {}, (end.body or {}) if end is not None else {}
    recording = over.get("recording")
    facts: Mapping[str, Any] = recording if isinstance(recording, dict) else {}
    duration_ms = over.get("duration_ms")
    seconds = duration_ms / 1000 if isinstance(duration_ms, int | float) else facts.get("seconds")
    return Known(
        start.session,
        start.scope.removeprefix("node:"),
        start.author.principal,
        str(body.get("kind", "")),
        str(body.get("peer", "")),
        start.time,
        seconds if isinstance(seconds, int | float) else None,
        "ended" if end is not None else "lost" if agent_began > start.time else "live",
        body.get("recorded") is True or recording is not None,
        facts["sha256"] if isinstance(facts.get("sha256"), str) else None,
    )


def _local(item: Mapping[str, Any], node: str) -> Known:
    seconds = item.get("seconds")
    return Known(
        str(item["id"]),
        node,
        str(item["principal"]),
        str(item["kind"]),
        str(item["peer"]),
        str(item["started_at"]),
        seconds if isinstance(seconds, int | float) else None,
        "live" if item.get("live") is True else "ended",
        item.get("recorded") is True,
    )


def merged(journaled: Iterable[Known], local: Iterable[Known]) -> list[Known]:
    """Both; of a session that both know the journal knows more, but for whether it goes on. Pure."""
    known = {session.id: session for session in journaled}
    here = {session.id: session for session in local if session.kind != "exec" or session.recorded}
    for session in here.values():
        before = known.get(session.id)
        if before is None or before.state == "ended":
            known.setdefault(session.id, session)
        else:
            known[session.id] = msgspec.structs.replace(before, state=session.state, seconds=session.seconds)
    return [*known.values()]


def _chosen(sessions: Iterable[Known], wanted: Wanted) -> Listing:
    chosen = [
        session
        for session in sessions
        if wanted.user in {None, session.principal}
        and (wanted.since is None or session.started_at >= wanted.since)
        and (session.state == "live" or not wanted.live)
    ]
    chosen.sort(key=lambda session: session.started_at, reverse=True)
    return Listing(tuple(chosen[: wanted.n]))


def render(result: Listing, out: Out) -> None:
    """A line a session."""
    if not result.sessions:
        out.line("(no sessions)")
        return
    rows = [
        (s.id, s.node, s.principal, _place(s.peer), short_time(s.started_at), _length(s.seconds), s.state, _mark(s))
        for s in result.sessions
    ]
    out.table(("ID", "NODE", "WHO", "FROM", "STARTED", "LENGTH", "STATE", "RECORDED"), rows)


def _place(peer: str) -> str:
    """Where somebody came from, without the port and what they called themselves.

    >>> _place("ssh [fd00::7]:50022 user=root"), _place("uid=1000 pid=77")
    ('[fd00::7]', 'uid=1000')
    """
    words = peer.split()
    return words[1].rpartition(":")[0] if words[:1] == ["ssh"] and len(words) > 1 else "".join(words[:1])


def _mark(session: Known) -> str:
    return "yes" if session.recorded else "no"


def _length(seconds: float | None) -> str:
    """Hours, minutes and seconds.

    >>> _length(3725.4), _length(5), _length(None)
    ('1:02:05', '0:00:05', '-')
    """
    if seconds is None:
        return "-"
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"
