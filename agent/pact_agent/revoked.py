"""Whose user certificates this node no longer takes: as the journal said, and kept on disk for when it can't be asked.

Nothing is ever taken off the list: neither a journal restored from an old copy nor one that lies opens a node again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from pact_agent.spoolfiles import replace_file
from pactsh.model.revocation import PERSON, Key, Revocation, key_of, later

_log = logging.getLogger(__name__)


class Revoked:
    """The persons' part of the list, in `path`. `changed` is called when somebody was added."""

    def __init__(self, path: Path, changed: Callable[[], None]) -> None:
        self._path, self._changed = path, changed
        self._known: dict[Key, Revocation] = {}
        self._unread = False
        self._load()

    def _load(self) -> None:
        try:
            found = msgspec.json.decode(self._path.read_bytes(), type=list[Revocation])
        except FileNotFoundError:
            return
        except (OSError, msgspec.MsgspecError) as error:
            _log.error("%s: %s: no user certificate counts until the journal has sent the list", self._path, error)
            self._unread = True
            return
        self._known = {one.key: one for one in found}

    def arrived(self, revocations: Iterable[Revocation], whole: bool) -> None:
        """Take over what the journal says; `whole`: it has sent all that there is."""
        news: dict[Key, Revocation] = {}
        for one in revocations:
            known = self._known.get(one.key)
            if one.kind == PERSON and later(known, one) != known:
                news[one.key] = one
        self._known |= news
        unread, self._unread = self._unread, self._unread and not whole
        if news or unread != self._unread:
            self._keep()
        for one in news.values():
            _log.info("%s", one)
        if news:
            self._changed()

    def _keep(self) -> None:
        if self._unread:
            return  # what is there may know more than what has come so far
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace_file(self._path, msgspec.json.encode([*self._known.values()]))
        except OSError as error:
            _log.error("what was revoked is not kept for a start without journal: %s", error.strerror)

    def refusal(self, principal: str, signed_at: float) -> str:
        """Why a certificate of that person, signed then (seconds since the epoch), doesn't count; "": it does."""
        if self._unread:
            return "this node can't read what was revoked, and its journal has not told it yet"
        found = self._known.get(key_of(PERSON, principal))
        return f"{found}; sign in again" if found is not None and found.covers(signed_at) else ""
