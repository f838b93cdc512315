"""The agent's SSH server: only certificates of the journal's user CA, only `exec` and `shell`.

Everything else OpenSSH can ask for (forwarding, X11, agents, SFTP, SCP, tunnels, other ways to log in) is refused, the
refusal recorded. Who does not log in within the time, or sends something else than SSH, is dropped and recorded.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, cast

from pactsh.rpc.ssh import asyncssh  # before asyncssh's own modules: see there

# isort: split

from asyncssh.connection import SSHServerConnectionOptions

from pact_agent.config import Limits, Ssh
from pact_agent.memory import Libraries
from pact_agent.sshchannel import Certified, Connection
from pact_agent.sshkeys import CIPHERS, MACS, SIGNATURES, kex_algorithms, load_host_key, load_user_authority
from pact_agent.sshrefusals import Refusals
from pact_agent.sshsession import Services, SshSession
from pactsh.errors import PactError
from pactsh.model.identity import Identity

log = logging.getLogger(__name__)

_KEEPALIVE_S = 30
_KEEPALIVE_MAX = 3
_MAX_CHANNELS = 16
_WINDOW_BYTES = 512 << 10  # of a client's input that may wait here, for each channel
_CONNECTIONS_PER_SESSION = 2


class Sshd:
    """Listens, and knows every connection. `revoked(principal, signed_at)` says why a certificate counts no more."""

    def __init__(
        self, config: Ssh, limits: Limits, services: Services, refusals: Refusals, revoked: Callable[[str, float], str]
    ) -> None:
        self._config, self.limits, self.services, self._refusals = config, limits, services, refusals
        self.revoked = revoked
        self._server: asyncio.Server | None = None
        self._options: SSHServerConnectionOptions | None = None
        self.peers: set[Peer] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._ended = False

    async def listen(self, inherited: socket.socket | None = None) -> None:
        """Accept connections on an inherited socket, or where the configuration says.

        Raises `UsageError` when keys can't be read, `PactError` when the address can't be had.
        """
        config = self._config
        await self.reload()
        loop = asyncio.get_running_loop()
        try:
            if inherited is not None:
                self._server = await loop.create_server(self._accept, sock=inherited)
            else:
                self._server = await loop.create_server(self._accept, config.listen, config.port)
        except (OSError, ValueError) as error:
            raise PactError(f"ssh: can't listen on {config.listen}:{config.port}: {error}") from error
        log.info("ssh: listening on port %d", self.port)

    async def reload(self) -> None:
        """Read the keys: those who connect from now on see the certificate that there is now. Raises `UsageError`."""
        config = self._config
        options = await SSHServerConnectionOptions.construct(
            None,
            config=None,
            server_factory=lambda: Peer(self),
            server_version="pact",
            server_host_keys=load_host_key(config),
            authorized_client_keys=load_user_authority(config.user_ca),
            kex_algs=kex_algorithms(),
            encryption_algs=CIPHERS,
            mac_algs=MACS,
            signature_algs=SIGNATURES,
            compression_algs=["none"],
            public_key_auth=True,
            password_auth=False,
            kbdint_auth=False,
            host_based_auth=False,
            gss_host=None,
            login_timeout=config.login_timeout_s,
            keepalive_interval=_KEEPALIVE_S,
            keepalive_count_max=_KEEPALIVE_MAX,
            allow_pty=True,
            line_editor=False,
            agent_forwarding=False,
            x11_forwarding=False,
            encoding=None,
            window=_WINDOW_BYTES,
        )
        self._options = cast("SSHServerConnectionOptions", options)
        self._options.proxy_command = None

    @property
    def port(self) -> int:
        """The port it listens on."""
        if self._server is None:
            raise PactError("the SSH server is not listening")
        return int(self._server.sockets[0].getsockname()[1])

    def _accept(self) -> asyncio.Protocol:
        waiting = sum(1 for peer in self.peers if peer.identity is None)
        if waiting >= self._config.max_unauthenticated:
            return _Full(self._refusals)
        assert self._options is not None
        return cast("asyncio.Protocol", Connection(asyncio.get_running_loop(), self._options))

    def refuse(self, identity: Identity | None, address: str, peer: str, what: str, reason: str) -> None:
        """Record a refusal."""
        self._refusals.note(identity, address, peer, what, reason)

    def start(self, work: Awaitable[None]) -> None:
        """Run a task and keep it until it ends."""
        task = asyncio.get_running_loop().create_task(cast("Coroutine[Any, Any, None]", work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def left(self, peer: Peer) -> None:
        """A connection is over."""
        self.peers.discard(peer)
        self._ended = True

    def connections_of(self, principal: str) -> int:
        """How many connections a person has."""
        return sum(1 for p in self.peers if p.identity is not None and p.identity.principal == principal)

    def end_revoked(self) -> None:
        """End the connections of those whose certificate counts no more, and what runs on them."""
        for peer in list(self.peers):
            peer.end_revoked()

    def expire_idle(self) -> None:
        """Close connections on which nothing has been open for the idle timeout; tidy up after those that ended."""
        if self._ended:
            self._ended = False
            Libraries.known().release()
        deadline = time.monotonic() - self.limits.idle_timeout_s
        for peer in list(self.peers):
            if peer.identity is not None and not peer.busy() and peer.active < deadline:
                peer.disconnect("idle for too long")

    async def close(self) -> None:
        """Stop accepting, end every connection, and wait until all that is recorded."""
        if self._server is not None:
            self._server.close()
        for peer in list(self.peers):
            peer.disconnect("the agent of this node is stopping")
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=5)
        await self._refusals.close()


class Peer(asyncssh.SSHServer):
    """One connection: whose it is, and what is open on it."""

    def __init__(self, server: Sshd) -> None:
        self._server = server
        self._conn: Connection | None = None
        self._candidate: Certified | None = None
        self._reasons: list[str] = []
        self._user = ""
        self.identity: Identity | None = None
        self.sessions: set[SshSession] = set()
        self.active = self.reached = time.monotonic()
        self.address = ""
        self.peer = ""

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """Somebody has connected."""
        self._conn = cast("Connection", conn)
        name = conn.get_extra_info("peername")
        self.address = str(name[0]) if name else "unknown"
        self.peer = f"ssh {self.address}:{name[1]}" if name else "ssh unknown"
        self._server.peers.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is over; if nobody has logged in, that is worth an entry."""
        self._server.left(self)
        conn, self._conn = self._conn, None
        if self.identity is not None:
            if isinstance(exc, asyncssh.ProtocolError):
                self.refuse("protocol error", str(exc)[:200])
            return
        if self._user:
            reason = "; ".join(self._reasons) or "no certificate was offered"
            self.refuse("login", reason[:500])
        elif isinstance(exc, asyncssh.ConnectionLost) and "timeout" in str(exc).lower():
            self.refuse("login", "no login in time")
        elif exc is not None and not isinstance(exc, asyncssh.ConnectionLost):
            self.refuse("garbage", str(exc)[:200])
        elif conn is not None and conn.get_extra_info("client_version"):
            log.info("ssh: %s left before logging in", self.peer)

    # -- who it is

    def begin_auth(self, username: str) -> bool:
        """Always: nobody gets in without a certificate. The name is recorded and otherwise means nothing."""
        self._user = "".join(c if c.isprintable() else "?" for c in username[:64]) or "?"
        self.peer = f"ssh {self.peer.split()[1]} user={self._user}"
        return True

    def password_auth_supported(self) -> bool:
        """No."""
        return False

    def kbdint_auth_supported(self) -> bool:
        """No."""
        return False

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        """A key without a certificate: no."""
        del username, key
        reason = "a plain key was offered, but only certificates of the journal are accepted"
        if reason not in self._reasons:  # no banner: stock ssh offers the key and then its certificate
            self._reasons.append(reason)
        return False

    def revoked(self, certified: Certified) -> str:
        """Why it counts no more."""
        return self._server.revoked(certified.identity.principal, certified.signed_at)

    def certificate_checked(self, certified: Certified | None, reason: str) -> None:
        """Keep whom the certificate last checked speaks for; authentication completes for that one alone."""
        self._candidate = certified
        if certified is None:
            self._add_reason(reason)

    def _add_reason(self, reason: str) -> None:
        if reason in self._reasons or len(self._reasons) >= 8:
            return
        self._reasons.append(reason)
        if self._conn is not None:
            self._conn.send_auth_banner(f"pact: {reason}\r\n")

    def auth_completed(self) -> None:
        """The signature was right too: from here on the connection is this person's."""
        certified = self._candidate
        if certified is None:
            self._add_reason("no certificate was checked")
            self.disconnect("not authenticated")
            return
        if reason := self.revoked(certified):  # since the certificate was checked
            self._add_reason(reason)
            self.disconnect(reason)
            return
        principal = certified.identity.principal
        limit = self._server.limits.sessions_per_identity * _CONNECTIONS_PER_SESSION
        if self._server.connections_of(principal) >= limit:
            self._add_reason(f"{principal} has {limit} connections to this node already")
            self.disconnect(self._reasons[-1])
            return
        self.identity = certified.identity
        log.info("ssh: %s is %s", self.peer, principal)

    # -- what it asks for

    def session_requested(self) -> SshSession:
        """A channel for one command or shell."""
        if self.identity is None or self._candidate is None:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, "pact: not authenticated")
        if time.time() >= self._candidate.expires_at:
            self.refuse("session", "the certificate has expired meanwhile")
            raise asyncssh.ChannelOpenError(
                asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, "pact: the certificate has expired; connect again"
            )
        if len(self.sessions) >= _MAX_CHANNELS:
            self.refuse("session", "too many channels on one connection")
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_RESOURCE_SHORTAGE, "pact: too many sessions")
        session = SshSession(self, self._server.services)
        self.sessions.add(session)
        return session

    def tun_requested(self, unit: int | None) -> bool:
        """No."""
        self.refuse("tunnel", f"tun {unit}")
        return False

    def tap_requested(self, unit: int | None) -> bool:
        """No."""
        self.refuse("tunnel", f"tap {unit}")
        return False

    # -- for the channels

    def refuse(self, what: str, reason: str) -> None:
        """Record that something was refused."""
        self._server.refuse(self.identity, self.address, self.peer, what, reason)

    def start(self, work: Awaitable[None]) -> None:
        """Run a task and keep it."""
        self._server.start(work)

    def closed(self, session: SshSession) -> None:
        """A channel is gone."""
        self.sessions.discard(session)
        self.active = time.monotonic()

    def busy(self) -> bool:
        """Whether a command or a shell runs here; a channel on which nothing was asked for doesn't count."""
        return any(session.serving for session in self.sessions)

    def write_blocked(self, blocked: bool) -> None:
        """The client does not read (or does again): hold everything that writes to it."""
        for session in self.sessions:
            session.block("connection", blocked)

    def end_revoked(self) -> None:
        """End the connection if its certificate counts no more. What runs on it ends as if it had been lost; the ends
        of its sessions say why."""
        if self.identity is None or self._candidate is None or not (reason := self.revoked(self._candidate)):
            return
        for session in self._server.services.sessions.all():
            if session.source == "ssh" and session.peer == self.peer:
                session.hang_up(reason)
        for channel in self.sessions:
            channel.notice(f"{reason}: this connection ends", "warning")
        self.refuse("connection", reason)
        self.disconnect(reason)

    def disconnect(self, reason: str) -> None:
        """End the connection."""
        if self._conn is not None:
            self._conn.disconnect(asyncssh.DISC_BY_APPLICATION, f"pact: {reason}")


class _Full(asyncio.Protocol):
    """What a client gets while too many others are logging in."""

    def __init__(self, refusals: Refusals) -> None:
        self._refusals = refusals

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say so in clear text, as sshd's MaxStartups does, and hang up."""
        name = transport.get_extra_info("peername")
        address = str(name[0]) if name else "unknown"
        self._refusals.note(None, address, f"ssh {address}", "connection", "too many are logging in at the same time")
        cast("asyncio.Transport", transport).write(b"pact: too many connections are logging in, try again\r\n")
        cast("asyncio.Transport", transport).close()


def advertised(ssh: Ssh | None, inherited: socket.socket | None) -> str:
    """Where clients find the SSH server: as configured, else this host's name and the port it listens on."""
    if ssh is None or ssh.advertise:
        return ssh.advertise if ssh else ""
    port = inherited.getsockname()[1] if inherited is not None else ssh.port
    return f"{os.uname().nodename}:{port}" if port else ""
