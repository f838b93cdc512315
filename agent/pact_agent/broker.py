"""The local socket: who connects (docs/internals.md section 3); what they ask for is `connection`'s.

The peer's uid comes from the kernel (SO_PEERCRED) and stands for whom `local_users` says; a
connection that the agent made itself for a remote session brings its identity along.
Nobody else gets further than an error.
"""

from __future__ import annotations

import asyncio
import logging
import pwd
import socket
import struct
import time
from collections.abc import Callable
from pathlib import Path

from pact_agent.calls import Calls
from pact_agent.config import LocalUser
from pact_agent.connection import Connection, Services, error_fields
from pact_agent.cutoff import reached_by
from pact_agent.executor import Executor
from pact_agent.frames import Channel
from pact_agent.recorder import Recorder
from pact_agent.session import Session, Sessions
from pactsh.errors import AuthError, PactError
from pactsh.model.identity import Identity

_log = logging.getLogger(__name__)

NOBODY = Identity("unknown", (), "human", "uid")
_CLOSE_TIMEOUT_S = 8.0
_ACCEPT_PAUSE_S = 1.0
_STRANGER_WINDOW_S, _STRANGER_MOST = 600.0, 20


class Broker:
    """Listens on the socket and serves connections. `state` gives the toolbar's facts."""

    def __init__(
        self,
        sessions: Sessions,
        executor: Executor,
        recorder: Recorder,
        calls: Calls,
        local_users: dict[str, LocalUser],
        state: Callable[[Session | None], dict[str, object]],
    ) -> None:
        self._services = Services(sessions, executor, calls, state)
        self._recorder, self._local_users = recorder, local_users
        self._tasks: set[asyncio.Task[None]] = set()
        self._connections: set[Connection] = set()
        self._strangers: dict[int, tuple[float, int]] = {}
        self._listener: socket.socket | None = None
        self._path: Path | None = None

    def listen(self, path: Path, inherited: socket.socket | None = None) -> None:
        """Accept connections at `path` (anyone may connect: identity decides), or on an inherited socket."""
        listener = inherited
        if listener is None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            listener.bind(str(path))
            path.chmod(0o666)
            listener.listen(128)
            self._path = path
        listener.setblocking(False)
        self._listener = listener
        asyncio.get_running_loop().add_reader(listener, self._accept)

    async def close(self) -> None:
        """Stop accepting, end every connection and what it runs, and wait for the ends to be recorded."""
        listener, self._listener = self._listener, None
        if listener is not None:
            asyncio.get_running_loop().remove_reader(listener)
            listener.close()
            if self._path is not None:
                self._path.unlink(missing_ok=True)
        for connection in list(self._connections):
            connection.end("the agent stopped")
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_CLOSE_TIMEOUT_S)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self) -> None:
        assert self._listener is not None
        try:
            sock, _ = self._listener.accept()
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            # Out of descriptors or memory: the connection stays in the queue, so asking again at once is idle.
            _log.error("accept on the local socket: %s", error)
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._listener)
            loop.call_later(_ACCEPT_PAUSE_S, self._accept_again)
            return
        pid, uid, _ = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        reached = reached_by(pid, time.monotonic())
        self._serve(sock, self.identity_of(uid), None, f"uid={uid} pid={pid}", reached, recorded=self._is_news(uid))

    def _accept_again(self) -> None:
        if self._listener is not None:
            asyncio.get_running_loop().add_reader(self._listener, self._accept)

    def _is_news(self, uid: int) -> bool:
        """Whether another attempt of a stranger is still recorded: any user could fill the spool with them."""
        now = asyncio.get_running_loop().time()
        since, count = self._strangers.get(uid, (now, 0))
        if now - since > _STRANGER_WINDOW_S:
            since, count = now, 0
        self._strangers[uid] = (since, count + 1)
        if count == _STRANGER_MOST and self.identity_of(uid) is None:
            _log.warning("uid %d keeps connecting: not recorded for a while", uid)
        return count < _STRANGER_MOST

    def adopt(
        self, sock: socket.socket, session: Session | None, identity: Identity, peer: str, reached: float
    ) -> None:
        """Serve a connection that the agent made: for a remote `pactsh` (no session yet) or for the
        `pact` of a session, which speaks for that session and opens none of its own. `reached`: since when who is
        behind it is connected."""
        self._serve(sock, identity, session, peer, reached)

    def identity_of(self, uid: int) -> Identity | None:
        """Whom a uid of this node stands for, None if nobody."""
        names = [str(uid)]
        try:
            names.append(pwd.getpwuid(uid).pw_name)
        except KeyError:
            pass
        user = next((self._local_users[n] for n in names if n in self._local_users), None)
        return Identity(user.principal, user.roles, "human", "uid") if user is not None else None

    def _serve(
        self,
        sock: socket.socket,
        identity: Identity | None,
        session: Session | None,
        peer: str,
        reached: float,
        *,
        recorded: bool = True,
    ) -> None:
        connection = self._connection(sock, identity, session, peer, reached, recorded=recorded)
        task = asyncio.get_running_loop().create_task(connection)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connection(
        self,
        sock: socket.socket,
        identity: Identity | None,
        session: Session | None,
        peer: str,
        reached: float,
        *,
        recorded: bool,
    ) -> None:
        channel = Channel(sock)
        try:
            if identity is None:
                await self._stranger(channel, peer, recorded=recorded)
                return
            connection = Connection(self._services, channel, identity, peer, session, reached)
            self._connections.add(connection)
            try:
                await connection.serve()
            finally:
                self._connections.discard(connection)
        except ConnectionError as error:
            if identity is not None or recorded:  # a stranger fills no log either
                _log.info("local connection (%s): %s", peer, error)
        except PactError as error:
            _log.warning("local connection (%s): %s", peer, error.message)
            await self._refuse_connection(identity or NOBODY, peer, error.message)
        except Exception:  # noqa: BLE001  the top of a connection's task
            _log.exception("local connection (%s)", peer)
        finally:
            channel.close()

    async def _stranger(self, channel: Channel, peer: str, *, recorded: bool) -> None:
        error = AuthError(
            "this user is nobody to pact on this node",
            hint="an administrator adds the user to local_users in agent.toml",
        )
        if recorded:
            await self._refuse_connection(NOBODY, peer, error.message)
        await channel.send({"op": "error", **error_fields(error)})
        await channel.part()

    async def _refuse_connection(self, identity: Identity, peer: str, reason: str) -> None:
        try:
            await self._recorder.write(
                "connection.refused", identity, {"peer": peer, "what": "local socket", "reason": reason}
            )
        except PactError as error:
            _log.error("refused connection not recorded: %s", error.message)
