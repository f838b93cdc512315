"""Who connects to the local socket and stands for nobody in `local_users`: they may sign in, or are sent away.

What they show is checked by the journal, whose issuers it is; without the journal nobody signs in here.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

import msgspec

from pact_agent.connection import error_fields
from pact_agent.frames import Channel, Frame
from pact_agent.recorder import Recorder
from pactsh.auth.oidc.provider import Provider
from pactsh.errors import AuthError, PactError, UnreachableError
from pactsh.model.identity import Identity

_log = logging.getLogger(__name__)

NOBODY = Identity("unknown", (), "human", "uid")
_ASK_S, _JOURNAL_S, _SIGN_IN_S = 5.0, 4.0, 900.0
_WINDOW_S, _MOST_RECORDED = 600.0, 20
_MOST_SIGNING_IN, _MOST_OF_ONE = 32, 4


class Issuers(Protocol):
    """The journal, as far as signing in goes (`pact_agent.journallink`)."""

    @property
    def configured(self) -> bool:
        """Whether there is a journal at all."""

    async def providers(self) -> list[Provider]:
        """How people sign in; raises `UnreachableError`."""

    async def verify_token(self, token: str) -> tuple[Identity, float]:
        """Who a token is, and when it was issued (s since the epoch); raises `AuthError`, `UnreachableError`."""


class Strangers:
    """Of one node. Any user can be one, so how many wait, and how many are recorded, is bounded."""

    def __init__(self, recorder: Recorder, issuers: Issuers) -> None:
        self._recorder, self._issuers = recorder, issuers
        self._seen: dict[int, tuple[float, int]] = {}
        self._meeting: dict[asyncio.Task[object], int] = {}

    def dismiss(self) -> None:
        """Send all away who have not signed in yet."""
        for task in self._meeting:
            task.cancel()

    async def meet(self, channel: Channel, uid: int, peer: str) -> tuple[Identity, float] | None:
        """Tell a stranger so, and let them sign in: who they are then, and when their token was issued; None when they
        have been sent away."""
        recorded = self._is_news(uid)
        if not self._issuers.configured or not self._has_room(uid):
            await self._greet(channel, peer, recorded=recorded, offers=False)
            await channel.part()
            return None
        task = asyncio.current_task()
        assert task is not None
        self._meeting[task] = uid
        try:
            await self._greet(channel, peer, recorded=recorded, offers=True)
            return await self._sign_in(channel, peer, recorded=recorded)
        finally:
            del self._meeting[task]

    async def _greet(self, channel: Channel, peer: str, *, recorded: bool, offers: bool) -> None:
        hint = "an administrator adds the user to local_users in agent.toml"
        if offers:
            hint = f"sign in at a terminal, with pactsh; or {hint}"
        error = AuthError("this user is nobody to pact on this node", hint=hint)
        if recorded:
            await self.record(NOBODY, peer, error.message)
        await channel.send({"op": "error", **error_fields(error), "sign_in": offers})

    async def record(self, identity: Identity, peer: str, reason: str) -> None:
        """Put a refused connection on record."""
        try:
            await self._recorder.write(
                "connection.refused", identity, {"peer": peer, "what": "local socket", "reason": reason}
            )
        except PactError as error:
            _log.error("refused connection not recorded: %s", error.message)

    def _is_news(self, uid: int) -> bool:
        """Whether another attempt of theirs is still recorded: any user could fill the spool with them."""
        now = asyncio.get_running_loop().time()
        since, count = self._seen.get(uid, (now, 0))
        if now - since > _WINDOW_S:
            since, count = now, 0
        self._seen[uid] = (since, count + 1)
        if count == _MOST_RECORDED:
            _log.warning("uid %d keeps connecting: not recorded for a while", uid)
        return count < _MOST_RECORDED

    def _has_room(self, uid: int) -> bool:
        uids = list(self._meeting.values())
        return uids.count(uid) < _MOST_OF_ONE and len(uids) < _MOST_SIGNING_IN

    async def _sign_in(self, channel: Channel, peer: str, *, recorded: bool) -> tuple[Identity, float] | None:
        try:
            if await _frame(channel, "sign-in", _ASK_S) is None:
                return None
            async with asyncio.timeout(_JOURNAL_S):
                providers = await self._issuers.providers()
            await channel.send({"op": "issuers", "issuers": msgspec.to_builtins(providers)})
            shown = await _frame(channel, "token", _SIGN_IN_S)
            if shown is None:
                return None
            if not shown.text("token").isascii():
                raise AuthError("not a token")
            async with asyncio.timeout(_JOURNAL_S):
                identity, issued_at = await self._issuers.verify_token(shown.text("token"))
            if identity.kind != "human" or not identity.roles:
                raise AuthError(f"{identity.principal} has no role that lets people in here")
        except TimeoutError:
            problem: PactError = UnreachableError("the journal does not answer: nobody can sign in here meanwhile")
        except PactError as error:
            problem = error
        else:
            await channel.send({"op": "known", "principal": identity.principal})
            return identity, issued_at
        if recorded:
            await self.record(NOBODY, peer, f"sign-in: {problem.message}")
        await channel.send({"op": "error", **error_fields(problem)})
        await channel.part()
        return None


async def _frame(channel: Channel, op: str, limit_s: float) -> Frame | None:
    """The next frame that is `op`; None when none came. What was asked before the error was read is passed over."""
    try:
        async with asyncio.timeout(limit_s):
            while (frame := await channel.receive()) is not None:
                frame.close()
                if frame.op == op:
                    return frame
    except TimeoutError:
        await channel.part()
    return None
