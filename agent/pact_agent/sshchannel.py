"""asyncssh's connection and channel, held to what pact allows. The one module that overrides their insides.

Each override refuses something or watches; should a later asyncssh stop calling one, certificates are refused
and forwarding stays off by options: it fails closed. `tests/pact_agent/test_sshd.py` holds it to that.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, cast

from pactsh.rpc.ssh import asyncssh  # before asyncssh's own modules: see there

# isort: split

from asyncssh.channel import SSHServerChannel
from asyncssh.connection import SSHServerConnection
from asyncssh.public_key import SSHOpenSSHCertificate

from pactsh.auth.names import parse_identity_from_ssh_principals
from pactsh.auth.sshcert import BACKDATE_S
from pactsh.errors import AuthError
from pactsh.model.identity import Identity

if TYPE_CHECKING:
    import asyncio

    from asyncssh.packet import SSHPacket

# The journal signs for 8 h at most (DESIGN.md section 7); the rest is for clocks that differ.
_LONGEST_S = 9 * 3600
_USER_CERTIFICATE = 1
_MIN_PACKET_BYTES = 256
_WRITE_LIMIT_BYTES = 512 << 10
_HARMLESS_VARIABLES = (b"LANG", b"LC_", b"COLORTERM", b"TERM")


@dataclass(frozen=True, slots=True)
class Certified:
    """Who a valid user certificate speaks for, until when, and since when (Unix time, whole seconds rounded down)."""

    identity: Identity
    expires_at: float
    signed_at: float


class Watcher(Protocol):
    """Who is told what a connection asks for (`sshd.Peer`)."""

    def revoked(self, certified: Certified) -> str:
        """Why a certificate that is good by itself counts no more; "": it does."""

    def certificate_checked(self, certified: Certified | None, reason: str) -> None:
        """A certificate is good, or is refused for `reason`."""

    def refuse(self, what: str, reason: str) -> None:
        """Something was asked for that is not offered."""

    def write_blocked(self, blocked: bool) -> None:
        """The client does not read as fast as it is sent to, or does again."""


class Connection(SSHServerConnection):
    """One client's connection; its owner is the `Watcher`."""

    @property
    def watcher(self) -> Watcher | None:
        """The owner, until the connection is closed."""
        return cast("Watcher | None", self._owner)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Bound what is buffered for a client that doesn't read."""
        cast("asyncio.Transport", transport).set_write_buffer_limits(high=_WRITE_LIMIT_BYTES)
        super().connection_made(transport)

    def pause_writing(self) -> None:
        """Stop both ways: whoever doesn't read gets no further requests answered."""
        if self._transport is not None:
            self._transport.pause_reading()
        if self.watcher is not None:
            self.watcher.write_blocked(True)

    def resume_writing(self) -> None:
        """Go on."""
        if self._transport is not None:
            self._transport.resume_reading()
        if self.watcher is not None:
            self.watcher.write_blocked(False)

    async def _validate_openssh_certificate(self, username: str, cert: SSHOpenSSHCertificate) -> asyncssh.SSHKey | None:
        key = await super()._validate_openssh_certificate(username, cert)
        certified, reason = None, ""
        if key is None:
            reason = self._why_not(cert)
        else:
            try:
                identity = parse_identity_from_ssh_principals(cert.principals, cert._key_id)
                if cert._valid_before - time.time() > _LONGEST_S:
                    raise AuthError("the certificate is valid for longer than any of the journal's")
                good = Certified(identity, cert._valid_before, cert._valid_after + BACKDATE_S)
                if self.watcher is None or (revoked := self.watcher.revoked(good)):
                    raise AuthError(revoked if self.watcher is not None else "the connection is closed")
                certified = good
            except AuthError as error:
                key, reason = None, error.message
        if self.watcher is not None:
            self.watcher.certificate_checked(certified, reason)
        return key

    def _why_not(self, cert: SSHOpenSSHCertificate) -> str:
        now = time.time()
        if self._authorized_client_keys is None or cert.signing_key not in cast("Any", self._authorized_client_keys):
            return "the certificate is signed by an authority that this node does not trust"
        if cert._cert_type != _USER_CERTIFICATE:
            return "the certificate is not a user's"
        if now < cert._valid_after:
            return "the certificate is not valid yet; do the clocks agree?"
        if now >= cert._valid_before:
            return "the certificate has expired; sign in again with pact login"
        return "the certificate is not valid here"

    def check_certificate_permission(self, permission: str) -> bool:
        """A terminal is all that is permitted, whatever a certificate says."""
        if permission == "pty":
            return super().check_certificate_permission(permission)
        if self.watcher is not None:
            self.watcher.refuse(permission.replace("-", " "), "not offered by pact")
        return False

    def create_server_channel(
        self, encoding: str | None = "", errors: str = "", window: int = 0, max_pktsize: int = 0
    ) -> SSHServerChannel[bytes]:
        """A channel of ours; bytes, never text."""
        del encoding, errors
        size = max_pktsize or self._max_pktsize
        self._update_recv_pktlen(size)
        return Channel(self, self._loop, True, False, False, 0, 0, None, "strict", window or self._window, size)


class Channel(SSHServerChannel[bytes]):
    """A session channel without environment, X11 and agent forwarding."""

    def process_open(self, send_chan: int, send_window: int, send_pktsize: int, session: Any) -> None:
        """Refuse a peer that can receive nothing: sending to it would never end (asyncssh 2.24.0 has no check)."""
        if send_pktsize < _MIN_PACKET_BYTES:
            self._refuse("tiny packets", f"a maximum packet size of {send_pktsize} bytes")
            self._loop.call_soon(self._cleanup)
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_CONNECT_FAILED, "pact: the maximum packet size is too small")
        super().process_open(send_chan, send_window, send_pktsize, session)

    def _refuse(self, what: str, reason: str) -> None:
        watcher = cast("Connection", self._conn).watcher if self._conn is not None else None
        if watcher is not None:
            watcher.refuse(what, reason)

    def say(self, text: str) -> None:
        """Show a line to the client, on its stderr."""
        if self._send_state == "open":
            self.write_stderr(text.encode("utf-8", "replace") + (b"\r\n" if self.get_terminal_type() else b"\n"))

    def _process_env_request(self, packet: SSHPacket) -> bool:
        name = packet.get_string()
        packet.get_string()
        packet.check_end()
        if not name.startswith(_HARMLESS_VARIABLES):  # stock clients send these unasked
            self._refuse("environment variable", name[:64].decode("ascii", "backslashreplace"))
        return False

    def _process_exec_request(self, packet: SSHPacket) -> bool:
        """Bytes that are no text go on as they are: what refuses and records lines does so with these too."""
        line = packet.get_string()
        packet.check_end()
        return self._start_session(command=line.decode("utf-8", "surrogateescape"))

    def _process_x11_req_request(self, _packet: SSHPacket) -> bool:
        self._refuse("X11 forwarding", "not offered by pact")
        self.say("pact: X11 forwarding is refused")
        return False

    def _process_auth_agent_req_at_openssh_dot_com_request(  # type: ignore[override]
        self, _packet: SSHPacket
    ) -> bool:
        self._refuse("agent forwarding", "not offered by pact")
        self.say("pact: agent forwarding is refused")
        return False
