"""The ladder of recording (DESIGN.md, section 3): each step down and up is an entry, and is told to everybody here."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from pact_agent.recorder import Recorder
from pact_agent.spool import Level
from pactsh.errors import PactError
from pactsh.model.identity import Identity

_log = logging.getLogger(__name__)


class Levels:
    """Records the spool's levels as `identity`; `tell(text, level)` reaches everybody who has a session here."""

    def __init__(self, recorder: Recorder, identity: Identity, tell: Callable[[str, str], None]) -> None:
        self._recorder, self._identity, self._tell = recorder, identity, tell
        self._tasks: set[asyncio.Task[None]] = set()

    def changed(self, before: Level, after: Level, why: str) -> None:
        """The spool's level is another one."""
        kind = "audit.restored" if after == "normal" else "audit.degraded"
        _log.warning("spool: %s -> %s: %s", before, after, why)
        self._tell(f"audit spool: {after} ({why})", "warning")
        task = asyncio.get_running_loop().create_task(self._record(kind, before, after, why))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _record(self, kind: str, before: Level, after: Level, why: str) -> None:
        try:
            if after != "unwritable":
                await self._recorder.catch_up()
            await self._recorder.write(
                kind, self._identity, {"before": before, "after": after, "reason": why}, message=f"spool {after}"
            )
        except PactError as error:
            _log.error("change of the spool's level not recorded: %s", error.message)
