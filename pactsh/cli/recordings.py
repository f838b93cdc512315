"""Getting at a recording, wherever it is: from the node's agent, through the node's own `pact`, or in a file; and
whether it is what the journal says."""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from pactsh.cli.sources import Filter, open_source
from pactsh.errors import NotFoundError, PactError, UsageError
from pactsh.model.asciicast import Event, Header, parse

if TYPE_CHECKING:
    from pactsh.cli.context import Context
    from pactsh.model.entry import Entry

_ID = re.compile(r"[0-9a-f]{16}")
_LIMIT_BYTES = 256 << 20
_MOST_ENTRIES = 10_000


@dataclass(frozen=True, slots=True)
class Found:
    """A recording: where it came from, for messages, its bytes, and which session of which node it should be of."""

    source: str
    data: bytes
    session: str = ""
    node: str = ""
    is_live: bool = False

    def read(self) -> tuple[Header, Iterator[Event]]:
        """Header and events; raises `UsageError` where it is no asciicast."""
        return parse(io.BytesIO(self.data), self.source)


def is_id(name: str) -> bool:
    """Whether it is the id of a session; anything else is the name of a file."""
    return _ID.fullmatch(name) is not None


def read_file(name: str) -> Found:
    """The recording in a file. Raises `UsageError` where there is none."""
    try:
        with Path(name).open("rb") as file:
            data = file.read(_LIMIT_BYTES + 1)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        hint = "a session is named by 16 hexadecimal digits: pact session list shows them"
        raise UsageError(f"session: {name}: {why}", hint=hint) from error
    if len(data) > _LIMIT_BYTES:
        raise UsageError(f"session: {name}: over {_LIMIT_BYTES >> 20} MiB; no recording of pact's is so long")
    found = Found(name, data)
    origin = found.read()[0].pact
    return found if origin is None else Found(name, data, origin.session, origin.node)


def fetch(ctx: Context, session: str, node: str | None, *, how: str, force: bool) -> Found:
    """The recording of a session, from its node. Raises what the agent or the way there raises."""
    source = f"session {session}"
    if ctx.node is not None:
        with ctx.agent() as agent:
            if node in {None, agent.ask("whoami")["node"]}:
                items = agent.call("recording", {"session": session, "how": how})
                first = next(items)
                try:
                    data = b"".join(base64.b64decode(item["data"], validate=True) for item in items)
                except (binascii.Error, KeyError, TypeError, ValueError) as error:
                    raise PactError(f"{source}: the agent's answer can't be read: {error}") from error
                return Found(source, data, session, str(first.get("node")), first.get("live") is True)
    where = node or _node_of(ctx, session)
    from pactsh.cli.nodecall import line_there, read_answer
    from pactsh.cli.onnodes import captured

    words = line_there(("session", "export", *(("--force",) if force else ()), session))
    done = captured(ctx, where, words, max_output=_LIMIT_BYTES)
    if done.status != 0:
        read_answer(f"{source}: {where}", Header, done.status, "", done.stderr or done.message or "")  # raises
    return Found(source, (done.stdout or "").encode(), session, where)


def _node_of(ctx: Context, session: str) -> str:
    starts = open_source(ctx).list(Filter(type="session.start"), _MOST_ENTRIES)
    scope = next((entry.scope for entry in starts if entry.session == session), "")
    if not scope:
        raise NotFoundError(
            f"session {session}: not among the last {_MOST_ENTRIES} that the journal shows you",
            hint="--node NODE asks that node",
        )
    return scope.removeprefix("node:")


def check(ctx: Context, found: Found, *, force: bool) -> str:
    """What the journal says of its hash, as a sentence. Raises `PactError` where it is another, unless `force`."""
    if not found.session:
        return "hash not checked: it does not say which session of pact's it is of"
    if found.is_live:
        return "the session goes on: its hash is in the journal when it has ended"
    try:
        entry = _end_of(ctx, found)
    except PactError as error:
        return f"hash not checked: {error.message}"
    if entry is None:
        return f"hash not checked: the journal shows no end of session {found.session} on {found.node}"
    known = _hash_in(entry)
    digest = hashlib.sha256(found.data).hexdigest()
    if known == digest:
        return f"hash matches seq:{entry.seq}"
    has = f"the hash {known[:16]}..." if known else "no hash"
    text = f"{found.source}: this is not what was recorded: seq:{entry.seq} has {has}, this {digest[:16]}..."
    if not force:
        raise PactError(text, hint="--force shows it all the same")
    return text


def _end_of(ctx: Context, found: Found) -> Entry | None:
    """The entry with the hash of that session's recording, the newest where there are several."""
    began = datetime.fromtimestamp(found.read()[0].timestamp, UTC) - timedelta(seconds=1)
    wanted = Filter(scope=f"node:{found.node}", type="session.end", since=began.strftime("%Y-%m-%dT%H:%M:%S.%fZ"))
    ends = open_source(ctx).list(wanted, _MOST_ENTRIES)
    mine = [entry for entry in ends if entry.session == found.session]
    return next((entry for entry in mine if _hash_in(entry)), mine[0] if mine else None)


def _hash_in(entry: Entry) -> str:
    recording = (entry.body or {}).get("recording")
    digest = recording.get("sha256") if isinstance(recording, dict) else None
    return digest if isinstance(digest, str) else ""
