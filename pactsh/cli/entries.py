"""How a journal entry is shown: one line, with what matters of its body. Pure but for `show_entry`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pactsh.cli.render import Out
    from pactsh.model.entry import Entry

Body = Mapping[str, object]
_SHOWN = 400


def show_entry(entry: Entry, out: Out) -> None:
    """Print seq, time, type, scope, author and what it says, on one line."""
    out.styled(
        out.style(f"{entry.seq:>6}", "bold"),
        out.style(short_time(entry.time), "dim"),
        out.style(f"{entry.type:<18}", *colour_of(entry)),
        out.style(short_scope(entry.scope)),
        out.style(entry.author.principal, "cyan"),
        out.style(describe(entry)),
    )


def short_time(time: str) -> str:
    """RFC 3339 with microseconds to whole seconds, still UTC.

    >>> short_time("2026-01-31T12:00:00.123456Z")
    '2026-01-31T12:00:00Z'
    """
    return f"{time[:19]}Z" if time.endswith("Z") and len(time) > 19 else time


def short_scope(scope: str) -> str:
    """The scope as `--scope` takes it."""
    return "vc:" + scope.removeprefix("vcluster:") if scope.startswith("vcluster:") else scope


def describe(entry: Entry) -> str:
    """What an entry says, in one line: its message, else the essence of its body."""
    body = entry.body or {}
    about = _ABOUT.get(entry.type)
    if entry.type.startswith("approval."):
        return " ".join(filter(None, (_text(body, "id"), _approval(body), entry.message)))
    if entry.type == "delegation.done":
        return f"{_deed(body)}, status {_text(body, 'status')}: {entry.message}"
    if entry.type == "delegation.begun":
        return _deed_begun(body)
    if entry.type == "revoke" and about is not None:
        return f"{about(body)}: {entry.message}"
    return entry.message or (about(body) if about else "") or "-"


def _text(body: Body, key: str) -> str:
    """A field, cut where it would drown the list: a line may have 64 KiB. `--output json` has it whole."""
    value = body.get(key)
    text = "" if value is None else str(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}... ({len(text)} characters)"


def _intent(body: Body) -> str:
    what = _text(body, "class")
    dimension = _text(body, "dimension")
    notes = [f"{what} {dimension}".strip()] if what and what != "read" else []
    decision = body.get("decision")
    if isinstance(decision, Mapping) and decision.get("degraded"):
        notes.append("degraded")
    mark = "BYPASS  " if body.get("bypass") is True else ""
    return mark + _text(body, "line") + (f"  [{', '.join(notes)}]" if notes else "")


def _amend(body: Body) -> str:
    stages = body.get("stages")
    if not isinstance(stages, list):
        return ""
    argvs = [s.get("argv") for s in stages if isinstance(s, Mapping)]
    return "ran as: " + " | ".join(" ".join(str(a) for a in argv) for argv in argvs if isinstance(argv, list))


def _outcome(body: Body) -> str:
    signal = _text(body, "signal")
    return f"status {_text(body, 'status')}" + (f" ({signal})" if signal else "") + _after(body.get("duration_ms"))


def _after(duration_ms: object) -> str:
    if not isinstance(duration_ms, int | float):
        return ""
    return f" after {duration_ms:.0f} ms" if duration_ms < 1000 else f" after {duration_ms / 1000:.1f} s"


def _refusal(body: Body) -> str:
    return f"{_text(body, 'line')}  refused ({_text(body, 'status')}): {_text(body, 'reason')}"


def _session_start(body: Body) -> str:
    peer = _text(body, "peer")
    return f"{_text(body, 'kind')} session by {_text(body, 'source')}" + (f" from {peer}" if peer else "")


def _session_end(body: Body) -> str:
    status, lines = _text(body, "status"), _text(body, "lines")
    parts = [f"status {status}" if status else "", _text(body, "reason"), f"{lines} lines" if lines else ""]
    recorded = ", recorded" if isinstance(body.get("recording"), Mapping) else ""
    return ", ".join(filter(None, parts)) + _after(body.get("duration_ms")) + recorded


def _played(body: Body) -> str:
    live = " while it went on" if body.get("live") is True else ""
    return f"{_text(body, 'how')} of session {_text(body, 'session')} of {_text(body, 'of')}{live}"


def _connection_refused(body: Body) -> str:
    return f"{_text(body, 'what')} from {_text(body, 'peer')}: {_text(body, 'reason')}"


def _changes(items: object) -> str:
    """The first few keys of changes, in whichever form a body has them."""
    names = []
    for item in items if isinstance(items, list) else []:
        change = item.get("change", item) if isinstance(item, Mapping) else item
        names.append(f"{change.get('dimension')}:{change.get('key')}" if isinstance(change, Mapping) else str(change))
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def _drift(body: Body) -> str:
    items = body.get("changes")
    found = [item for item in items if isinstance(item, Mapping)] if isinstance(items, list) else []
    who = sorted({str(item["by"]) for item in found if item.get("by")})
    window = _text(body, "window_s")
    return f"{_changes(items)} by {', '.join(who) or 'nobody known'}" + (f", window {window} s" if window else "")


def _undone(body: Body) -> str:
    failed = _changes(body.get("failed"))
    reason = _text(body, "reason")
    return (
        f"{_changes(body.get('undone')) or 'nothing'} undone"
        + (f" ({reason})" if reason else "")
        + (f"; still there: {failed}" if failed else "")
    )


def _begun(body: Body) -> str:
    to = _text(body, "to")
    return f"{_changes(body.get('changes'))} ({_text(body, 'reason')})" + (
        f" to seq:{to}" if to not in {"", "0"} else ""
    )


def _approval(body: Body) -> str:
    """What it is about; of one that was done its status."""
    status = body.get("status")
    return f"{_text(body, 'action')}:" if body.get("action") else "" if status is None else f"status {status}"


def _deed(body: Body) -> str:
    return f"{_text(body, 'action').replace('_', ' ')} {_text(body, 'target')}"


def _deed_begun(body: Body) -> str:
    """With its reason, whom it hits, and who else has agreed or made it needed."""
    reason, jobs = _text(body, "reason"), body.get("jobs")
    count = len(jobs) if isinstance(jobs, list) else 0
    notes = [
        f"hits {count} job{'' if count == 1 else 's'}" if count else "",
        f"approved by {_text(body, 'approved_by')}" if body.get("approved_by") else "",
        f"emergency begun by {_text(body, 'began_by')}" if body.get("began_by") else "",
    ]
    told = ", ".join(filter(None, notes))
    return _deed(body) + (f": {reason}" if reason else "") + (f"  [{told}]" if told else "")


def _put_back(body: Body) -> str:
    left = _changes(body.get("left"))
    return "put back" + (f"; still there: {left}" if left else "")


def _fields(body: Body) -> str:
    return " ".join(f"{k}={v}" for k, v in body.items() if isinstance(v, str | int | float) and v != "")


_ABOUT: Mapping[str, Callable[[Body], str]] = {
    "intent": _intent,
    "amend": _amend,
    "outcome": _outcome,
    "refusal": _refusal,
    "session.start": _session_start,
    "session.end": _session_end,
    "connection.refused": _connection_refused,
    "recording.failed": _fields,
    "recording.played": _played,
    "agent.start": _fields,
    "agent.stop": _fields,
    "audit.degraded": _fields,
    "audit.restored": _fields,
    "drift.detected": _drift,
    "drift.cleared": lambda _body: "nothing differs any more",
    "drift.adopted": lambda body: f"{_changes(body.get('changes'))} by the system itself",
    "gpu.health": _fields,
    "converged": _undone,
    "rollback.begun": _begun,
    "rollback": _undone,
    "window.extended": _fields,
    "blacklist.added": _fields,
    "blacklist.removed": _fields,
    "overlay.begun": lambda body: _changes(body.get("changes")) or "nothing to change",
    "overlay.applied": lambda body: f"{_changes(body.get('applied')) or 'nothing'} changed",
    "overlay.failed": _put_back,
    "overlay.updated": lambda _body: "",
    "emergency.start": _fields,
    "emergency.end": _fields,
    "emergency.stale": _fields,
    "service.begun": _fields,
    "service.done": _fields,
    "cert.signed": _fields,
    "revoke": lambda body: f"{_text(body, 'kind')} {_text(body, 'subject')}",
    "node.enrolled": _fields,
    "policy.updated": _fields,
}


def colour_of(entry: Entry) -> tuple[str, ...]:
    """What its type is shown in."""
    body = entry.body or {}
    if entry.type in {
        "refusal",
        "connection.refused",
        "audit.degraded",
        "revoke",
        "emergency.start",
        "emergency.stale",
        "overlay.failed",
        "approval.denied",
        "recording.failed",
    }:
        return ("red",)
    if entry.type in {"approval.requested", "approval.expired"}:
        return ("yellow", "bold")
    if entry.type == "gpu.health":
        return ("green",) if body.get("after") == "healthy" else ("red", "bold")
    if entry.type in {"drift.detected", "rollback"}:
        return ("red",) if body.get("failed") else ("yellow",)
    if entry.type in {"commit", "overlay.updated"}:
        return ("green", "bold")
    if entry.type in {"outcome", "service.done", "delegation.done"}:
        return ("green",) if body.get("status") == 0 else ("yellow",)
    if entry.type == "intent" and body.get("bypass") is True:
        return ("red", "bold")
    if entry.type == "intent" and body.get("class") == "change":
        return ("yellow", "bold")
    return ("blue",) if entry.type.startswith("session.") else ()
