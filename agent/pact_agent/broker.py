"""The local socket: who connects (docs/internals.md section 3); what they ask for is `connection`'s.

The peer's uid comes from the kernel (SO_PEERCRED) and stands for whom `local_users` says; a
connection that the agent made itself for a remote session brings its identity along.
Anybody else is a stranger, who may sign in (`strangers`).
"""

from __future__ import annotations

import asyncio
import logging
import math
import pwd
import socket
import struct
import time
from collections.abc import Callable
from pathlib import Path

from pact_agent.calls import Calls
from pact_agent.config import LocalUser
from pact_agent.connection import Connection, Services
from pact_agent.cutoff import reached_by
from pact_agent.executor import Executor
from pact_agent.frames import Channel
from pact_agent.recording import Recording
from pact_agent.session import Session, Sessions
from pact_agent.shellhost import ShellHost
from pact_agent.strangers import Strangers
from pactsh.errors import PactError
from pactsh.model.identity import Identity

_log = logging.getLogger(__name__)

_CLOSE_TIMEOUT_S = 8.0
_ACCEPT_PAUSE_S = 1.0


class Broker:
    """Listens on the socket and serves connections. `state` gives the toolbar's facts."""

    def __init__(
        self,
        sessions: Sessions,
        executor: Executor,
        calls: Calls,
        local_users: dict[str, LocalUser],
        strangers: Strangers,
        state: Callable[[Session | None], dict[str, object]],
        host: ShellHost,
    ) -> None:
        self._services = Services(sessions, executor, calls, state, host)
        self._local_users, self._strangers = local_users, strangers
        self._tasks: set[asyncio.Task[None]] = set()
        self._connections: dict[Connection, tuple[str, float]] = {}  # who, and when the token shown here was issued
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
        self._strangers.dismiss()
        for connection in list(self._connections):
            connection.end("the agent stopped")
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_CLOSE_TIMEOUT_S)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def end_revoked(self, refusal: Callable[[str, float], str]) -> None:
        """End the connections of those who signed in here with what counts no more: `refusal` says why."""
        for connection, (principal, issued_at) in list(self._connections.items()):
            if math.isfinite(issued_at) and (reason := refusal(principal, issued_at)):
                connection.notice(f"{reason}: this connection ends", "warning")
                connection.end(reason)

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
        self._serve(sock, self.identity_of(uid) or uid, None, f"uid={uid} pid={pid}", reached)

    def _accept_again(self) -> None:
        if self._listener is not None:
            asyncio.get_running_loop().add_reader(self._listener, self._accept)

    def adopt(
        self,
        sock: socket.socket,
        session: Session | None,
        identity: Identity,
        peer: str,
        reached: float,
        recording: Recording | None = None,
    ) -> None:
        """Serve a connection that the agent made: for a remote `pactsh` (no session yet) or for the
        `pact` of a session, which speaks for that session and opens none of its own. `reached`: since when who is
        behind it is connected; `recording`: of the session that will be opened."""
        self._serve(sock, identity, session, peer, reached, recording)

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
        who: Identity | int,
        session: Session | None,
        peer: str,
        reached: float,
        recording: Recording | None = None,
    ) -> None:
        """Serve a connection of somebody, or of the uid of a stranger."""
        connection = self._connection(sock, who, session, peer, reached, recording)
        task = asyncio.get_running_loop().create_task(connection)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connection(
        self,
        sock: socket.socket,
        who: Identity | int,
        session: Session | None,
        peer: str,
        reached: float,
        recording: Recording | None,
    ) -> None:
        channel = Channel(sock)
        identity, issued_at = who if isinstance(who, Identity) else None, math.inf
        try:
            if isinstance(who, int):
                shown = await self._strangers.meet(channel, who, peer)
                if shown is None:
                    return
                identity, issued_at = shown
            assert identity is not None
            connection = Connection(self._services, channel, identity, peer, session, reached, recording)
            self._connections[connection] = (identity.principal, issued_at)
            try:
                await connection.serve()
            finally:
                del self._connections[connection]
        except ConnectionError as error:
            if identity is not None:  # a stranger fills no log
                _log.info("local connection (%s): %s", peer, error)
        except PactError as error:
            _log.warning("local connection (%s): %s", peer, error.message)
            if identity is not None:
                await self._strangers.record(identity, peer, error.message)
        except Exception:  # noqa: BLE001  the top of a connection's task
            _log.exception("local connection (%s)", peer)
        finally:
            channel.close()
