"""SSH servers on loopback that stand for nodes, well and ill; and the way to them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager

from pactsh.errors import NotFoundError, PactError, UnreachableError
from pactsh.rpc.ssh import asyncssh


class Session(asyncssh.SSHServerSession[bytes]):
    """A command of a node: it prints, and ends with a status, or (None) when it is sent a signal."""

    def __init__(self, fleet: Fleet, node: str, says: bytes, err: bytes, status: int | None) -> None:
        self._fleet, self._node, self._says, self._err, self._status = fleet, node, says, err, status
        self._room = asyncio.Event()
        self._room.set()

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        self._chan = chan

    def exec_requested(self, _command: str) -> bool:
        return True

    def session_started(self) -> None:
        self._fleet.running.add(self._node)
        self._fleet.most = max(self._fleet.most, len(self._fleet.running))
        self._fleet.start(self._print())

    async def _print(self) -> None:
        self._chan.write(self._err, asyncssh.EXTENDED_DATA_STDERR)
        for start in range(0, len(self._says), 1 << 16):
            await self._room.wait()
            self._chan.write(self._says[start : start + (1 << 16)])
        if self._status is not None:
            self._chan.exit(self._status)

    def pause_writing(self) -> None:
        self._room.clear()

    def resume_writing(self) -> None:
        self._room.set()

    def eof_received(self) -> bool:
        return True

    def signal_received(self, signal: str) -> None:
        self._fleet.signals.setdefault(self._node, []).append(signal)
        self._chan.exit_with_signal(signal)

    def connection_lost(self, _exc: Exception | None) -> None:
        self._fleet.running.discard(self._node)
        self._room.set()


class Fleet:
    """Nodes by name. `signals` is what each was sent, `running` who has a command now, `most` how many at once."""

    def __init__(self) -> None:
        self.places: dict[str, tuple[str, int]] = {}
        self.signals: dict[str, list[str]] = {}
        self.running: set[str] = set()
        self.most = 0
        self._ends = AsyncExitStack()
        self._work: set[asyncio.Future[None]] = set()

    def start(self, work: Coroutine[None, None, None]) -> None:
        """Run a coroutine and keep it."""
        task = asyncio.ensure_future(work)
        self._work.add(task)
        task.add_done_callback(self._work.discard)

    async def add(self, node: str, says: bytes = b"", status: int | None = 0, err: bytes = b"") -> None:
        """One whose command prints `says` and ends with `status`; None: only when it is told to."""

        class Server(asyncssh.SSHServer):
            def begin_auth(_self, _username: str) -> bool:
                return False

            def session_requested(_self) -> Session:
                return Session(self, node, says, err, status)

        key = asyncssh.generate_private_key("ssh-ed25519")
        server = await asyncssh.listen(
            "127.0.0.1", 0, server_factory=Server, server_host_keys=[key], encoding=None, config=None
        )
        self._ends.push_async_callback(_close, server)
        self.places[node] = ("127.0.0.1", server.get_port())

    async def add_raw(self, node: str, says: bytes | None) -> None:
        """One that is no SSH server: it sends this, or, for None, accepts and never says anything."""

        async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                if says is None:
                    await asyncio.Event().wait()
                writer.write(says or b"")
                await writer.drain()
            finally:
                writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        self._ends.callback(server.close)
        self.places[node] = ("127.0.0.1", server.sockets[0].getsockname()[1])

    async def connect(self, node: str, timeout_s: float) -> asyncssh.SSHClientConnection:
        """As `sshclient.Gate`, whose keys and certificates have tests of their own."""
        if node not in self.places:
            raise NotFoundError(f"no node {node!r}")
        host, port = self.places[node]
        try:
            return await asyncssh.connect(
                host, port, config=[], username="x", known_hosts=None, client_keys=None, agent_path=None,
                connect_timeout=timeout_s, login_timeout=timeout_s,
            )  # fmt: skip
        except (OSError, TimeoutError) as error:
            raise UnreachableError(f"{node}: can't be reached: {error or 'no answer in time'}") from error
        except asyncssh.Error as error:
            raise PactError(f"{node}: SSH: {error.reason}") from error

    async def close(self) -> None:
        """End all of them."""
        for work in tuple(self._work):
            work.cancel()
        await self._ends.aclose()


async def _close(server: asyncssh.SSHAcceptor) -> None:
    server.close()
    await server.wait_closed()


@asynccontextmanager
async def fleet() -> AsyncIterator[Fleet]:
    """An empty one, ended afterwards."""
    made = Fleet()
    try:
        yield made
    finally:
        await made.close()
