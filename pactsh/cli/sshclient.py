"""Connecting to a node over SSH: certificate, host certificate, address, and errors that say why.

The node's address and the host CA are cached for minutes, the user certificate for its life, so that
a second `pact exec` needs no journal. No question is ever asked: a host without a certificate of the
journal's CA for the node's name is not the node.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import Awaitable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from pactsh.auth import private
from pactsh.auth.credentials import Credentials, SshCredentials
from pactsh.auth.state import state_directory
from pactsh.cli import lastrun
from pactsh.cli.bearer import require_bearer
from pactsh.cli.nodes import Groups, resolve
from pactsh.errors import AuthError, NotFoundError, PactError, UnreachableError

if TYPE_CHECKING:
    import asyncssh

    from pactsh.cli.context import Context

CACHE_S = 300.0
CONNECT_TIMEOUT_S = 15.0
_FEW = 4  # nodes that are looked up one by one
# What an agent offers; in this order, as the first costs the least.
_CIPHERS = ("aes256-gcm@openssh.com", "aes128-gcm@openssh.com", "chacha20-poly1305@openssh.com", "aes256-ctr")
_ADDRESS = re.compile(
    r"(?:(?P<name>[A-Za-z0-9][A-Za-z0-9._-]{0,254})|\[(?P<v6>[0-9A-Fa-f:.]{2,64})\]):(?P<port>[0-9]{1,5})"
)
_HOST_ALGORITHMS = (
    "ssh-ed25519-cert-v01@openssh.com",
    "ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "rsa-sha2-512-cert-v01@openssh.com",
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a node's SSH server is, and the CA line its host certificate must come from."""

    node: str
    host: str
    port: int
    host_ca: str


class PlaceCache:
    """Addresses of nodes, of one journal with one host CA, in a private file. Damaged or old: as if empty."""

    def __init__(self, path: Path, binding: str) -> None:
        self._path, self._binding = path, binding
        self._content: Known | None = None

    def get(self, node: str, now: float) -> Place | None:
        """The node's place if it was looked up less than `CACHE_S` ago."""
        known = self._content = self._content or self._read()
        found = known.nodes.get(node)
        if found is None or not _is_recent(found, now):
            return None
        return Place(node, found[0], found[1], known.host_ca)

    def put(self, places: Iterable[Place], now: float) -> None:
        """Remember these, beside what another run has learnt meanwhile: nothing too old, and what the file may hold."""
        new = {place.node: place for place in places}
        if not new:
            return
        host_ca = next(iter(new.values())).host_ca
        before = self._read()
        kept = {n: k for n, k in before.nodes.items() if _is_recent(k, now) and before.host_ca == host_ca}
        nodes = kept | {name: (place.host, place.port, now) for name, place in new.items()}
        self._write(Known(self._binding, host_ca, nodes))

    def _write(self, known: Known) -> None:
        self._content = known
        private.make_private_directory(self._path.parent)
        while len(data := msgspec.json.encode(known)) > private.MAX_BYTES:
            newest = list(known.nodes.items())[len(known.nodes) // 4 + 1 :]
            known = Known(known.binding, known.host_ca, dict(newest))
        private.write_private(self._path, data)

    def _read(self) -> Known:
        try:
            known = msgspec.json.decode(private.read_private(self._path) or b"", type=Known)
        except ValueError:
            return Known(self._binding)
        return known if known.binding == self._binding else Known(self._binding)


class Known(msgspec.Struct):
    """What the file holds. Of each node its host, its port, and when it was looked up."""

    binding: str
    host_ca: str = ""
    nodes: dict[str, tuple[str, int, float]] = {}


def _is_recent(known: tuple[str, int, float], now: float) -> bool:
    return 0 <= now - known[2] < CACHE_S


class _Signer:
    """Asks the journal for a certificate; the connection is made only when one is needed."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx

    def sign_user(self, public_key: str, /) -> Awaitable[str]:
        async def ask() -> str:
            async with self._ctx.journal() as journal:
                return await journal.sign_user(public_key)

        return ask()


class Gate:
    """A person's way to nodes: prepared once, then `connect` for each node."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._binding = require_bearer(ctx.settings, ctx.environ).binding
        directory = state_directory(ctx.environ)
        self._credentials = Credentials(directory)
        self.directory = self._credentials.ssh_directory(self._binding)
        self._places = PlaceCache(self.directory / "nodes.json", self._binding)
        self._asked: set[str] = set()  # whom the journal was asked about by this run
        self._signed: SshCredentials | None = None
        self._signing = asyncio.Lock()

    async def certificate(self) -> SshCredentials:
        """A certificate that won't end soon, from the cache or from the journal."""
        async with self._signing:
            if self._signed is None or not self._signed.is_fresh(self._ctx.now()):
                self._signed = await self._credentials.ensure_ssh_certificate(
                    _Signer(self._ctx), self._ctx.now(), binding=self._binding
                )
            return self._signed

    async def resolve(self, text: str, exclude: str = "") -> tuple[str, ...]:
        """The nodes that a nodeset names; several at once are looked up together. Raises `PactError`, also for what
        would be the same for all of them: without a certificate there is no way to any."""
        await self.certificate()
        nodes = await resolve(text, exclude, self._members, lambda: lastrun.load(self.directory))
        now = time.time()
        unknown = [node for node in nodes if node not in self._asked and self._places.get(node, now) is None]
        if len(unknown) > _FEW:
            await self._members(Groups((), True))
        return nodes

    async def _members(self, groups: Groups) -> dict[str, list[str]]:
        """The nodes of vClusters; where those are is remembered."""
        async with self._ctx.journal() as journal:
            asked = ("",) if groups.all else groups.names
            listed = [node for name in asked for node in await journal.nodes(name, brief=True)]
            trust = await journal.trust()
        members: dict[str, list[str]] = {}
        places = []
        for node in listed:
            members.setdefault(node.vcluster, []).append(node.node)
            self._asked.add(node.node)
            with contextlib.suppress(NotFoundError):
                places.append(Place(node.node, *parse_address(node.node, node.ssh_address), trust.ssh_host_ca))
        self._places.put(places, time.time())
        return members

    def ran(self, run: lastrun.LastRun) -> None:
        """Remember a run on several nodes, for the next to name its nodes."""
        lastrun.save(self.directory, run)

    async def place(self, node: str, *, fresh: bool = False) -> Place:
        """Where `node` is; raises `NotFoundError` for one that never reported."""
        cached = None if fresh else self._places.get(node, time.time())
        if cached is not None:
            return cached
        async with self._ctx.journal() as journal:
            found = await journal.node(node)
            trust = await journal.trust()
        place = Place(node, *parse_address(node, found.ssh_address), trust.ssh_host_ca)
        self._asked.add(node)
        self._places.put((place,), time.time())
        return place

    async def connect(self, node: str, timeout_s: float = CONNECT_TIMEOUT_S) -> asyncssh.SSHClientConnection:
        """An authenticated connection. Raises `AuthError`, `NotFoundError`, `UnreachableError`."""
        credentials = await self.certificate()
        place = await self.place(node)
        try:
            return await _connect(place, credentials, timeout_s)
        except UnreachableError:
            if node in self._asked:
                raise
            # The node may have moved since its address was cached.
            moved = await self.place(node, fresh=True)
            if moved == place:
                raise
        return await _connect(moved, credentials, timeout_s)


def parse_address(node: str, address: str) -> tuple[str, int]:
    """Host and port of `host:port` or `[v6]:port`; raises `NotFoundError` when the node reported none.

    A node says this of itself, and it ends up in OpenSSH's configuration: a host is of harmless characters alone.
    """
    match = _ADDRESS.fullmatch(address)
    if match is None or not 0 < int(match["port"]) < 1 << 16:
        raise NotFoundError(f"{node}: it has reported no SSH address", hint="is its agent running with [ssh]?")
    return match["name"] or match["v6"], int(match["port"])


async def _connect(place: Place, credentials: SshCredentials, timeout_s: float) -> asyncssh.SSHClientConnection:
    from pactsh.rpc.ssh import asyncssh

    where = f"{place.node} ({place.host}:{place.port})"
    said: list[str] = []

    class Client(asyncssh.SSHClient):
        def auth_banner_received(self, msg: str, lang: str) -> None:
            """Why the node does not accept what it was shown; its host certificate has been checked by then."""
            del lang
            said.append(msg)

    try:
        authority = asyncssh.import_public_key(place.host_ca)
        return await asyncssh.connect(
            place.host,
            place.port,
            client_factory=Client,
            config=[],
            username=credentials.principal,
            client_keys=[(str(credentials.key), str(credentials.certificate))],
            known_hosts=([], [authority], []),
            host_key_alias=place.node,
            server_host_key_algs=list(_HOST_ALGORITHMS),
            agent_path=None,
            preferred_auth="publickey",
            password_auth=False,
            kbdint_auth=False,
            gss_auth=False,
            connect_timeout=timeout_s,
            login_timeout=timeout_s,
            encryption_algs=list(_CIPHERS),
            keepalive_interval=15,
            compression_algs=None,
        )
    except asyncssh.HostKeyNotVerifiable as error:
        raise AuthError(
            f"{where}: its host certificate is not of this journal's CA: {error.reason}",
            hint="this may be another machine at that address; `pact status` shows where the node is",
        ) from error
    except asyncssh.PermissionDenied as error:
        reasons = "; ".join(told(banner) for banner in said)
        raise AuthError(
            f"{where}: the node does not accept the certificate of {credentials.principal}"
            + (f": {reasons}" if reasons else ""),
            hint="" if reasons else "`pact whoami` shows until when it is valid; is the node's clock right?",
        ) from error
    except (OSError, TimeoutError) as error:
        raise UnreachableError(f"{where}: can't be reached: {str(error) or 'no answer in time'}") from error
    except asyncssh.Error as error:
        raise PactError(f"{where}: SSH: {error.reason}") from error


def told(banner: str) -> str:
    r"""What a node says before it lets somebody in, as text for a terminal.

    >>> told("pact: alice was revoked\r\n")
    'alice was revoked'
    """
    return "".join(c if c.isprintable() else " " for c in banner[:500]).strip().removeprefix("pact: ")
