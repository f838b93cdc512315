"""Answers to the `call` frames about sessions: which there are, and what was recorded of one."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime

from pact_agent.clock import timestamp
from pact_agent.recorder import Recorder
from pact_agent.recordings import Kept, Recordings
from pact_agent.session import Sessions
from pactsh.errors import NotFoundError, PactError, UsageError
from pactsh.model.identity import Identity

Item = dict[str, object]
Params = dict[str, object]

OWN, OTHERS = "status", "session_play"
"""What has to be allowed for one's own recording, and for somebody else's."""
_MOST = 1000
_WAYS = ("play", "export")


class SessionCalls:
    """Of one node."""

    def __init__(self, node: str, sessions: Sessions, recordings: Recordings, recorder: Recorder) -> None:
        self._node, self._sessions, self._recordings, self._recorder = node, sessions, recordings, recorder

    async def known(self) -> Item:
        """Those that are open, oldest first; then the recordings of those that are over."""
        kept = await asyncio.to_thread(self._recordings.newest, _MOST)
        live = [
            {
                "id": s.id,
                "principal": s.identity.principal,
                "kind": s.kind,
                "source": s.source,
                "peer": s.peer,
                "started_at": s.started_at,
                "recorded": s.recording is not None,
                "live": True,
            }
            for s in self._sessions.all()
        ]
        known = {item["id"] for item in live}
        past = [_past(k) for k in kept if k.origin.session not in known]
        return {"node": self._node, "sessions": [*live, *past]}

    def action(self, identity: Identity, params: Params) -> str:
        """What has to be allowed to see the recording that `params` name."""
        try:
            owner = self._recordings.get(_session(params)).origin.principal
        except PactError:
            return OTHERS
        return OWN if owner == identity.principal else OTHERS

    async def recording(self, identity: Identity, session: str, params: Params) -> AsyncGenerator[Item, None]:
        """What is known of a recording, then the file in pieces. That somebody sees it is on record before they do."""
        kept, way = self._recordings.get(_session(params)), params.get("how") or _WAYS[0]
        if way not in _WAYS:
            raise UsageError(f"recording: how: expected {' or '.join(_WAYS)}")
        id_ = kept.origin.session
        is_live = any(known.id == id_ for known in self._sessions.all())
        await self._recorder.write(
            "recording.played",
            identity,
            {"session": id_, "of": kept.origin.principal, "how": way, "live": is_live, "sha256": kept.sha256 or None},
            session=session,
        )
        facts = {"node": self._node, "live": is_live, "bytes": kept.bytes, "sha256": kept.sha256 or None}
        yield _past(kept) | facts
        try:
            async with aclosing(self._recordings.read(id_)) as pieces:
                async for data in pieces:
                    yield {"data": base64.b64encode(data).decode("ascii")}
        except OSError as error:
            raise NotFoundError(f"session {id_}: its recording can't be read: {error.strerror}") from error


def _session(params: Params) -> str:
    value = params.get("session")
    if not isinstance(value, str):
        raise UsageError("recording: session: expected the id of a session")
    return value


def _past(kept: Kept) -> Item:
    origin = kept.origin
    return {
        "id": origin.session,
        "principal": origin.principal,
        "kind": origin.kind,
        "source": origin.source,
        "peer": origin.peer,
        "started_at": timestamp(datetime.fromtimestamp(kept.header.timestamp, UTC)),
        "seconds": max(0, round(kept.changed_at - kept.header.timestamp)),
        "recorded": True,
        "live": False,
    }
