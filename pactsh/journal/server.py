"""`pact-journal`: the program. `serve` runs the journal; `join-token`, `export` and `verify` work on its files.

Wires everything together and does nothing else. Prints one line when it is ready; logs to stderr.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Self

# Before grpc is imported: a handshake that fails (garbage on the port, a foreign certificate) is
# only ever told at this level.
os.environ.setdefault("GRPC_VERBOSITY", "INFO")
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

import grpc
from grpc import aio

from pactsh.auth.ca import Authority, utc_now
from pactsh.auth.issuer import trusted_issuer
from pactsh.auth.tokens import Verifier
from pactsh.errors import PactError, UsageError
from pactsh.journal.approvals import ApprovalsService
from pactsh.journal.certificates import CertificatesService
from pactsh.journal.config import Config
from pactsh.journal.cordoning import Cordoning
from pactsh.journal.datadir import DataDir
from pactsh.journal.deeds import Deeds
from pactsh.journal.delegation import DelegationService
from pactsh.journal.events import Events
from pactsh.journal.fleet import FleetService
from pactsh.journal.gate import Gate
from pactsh.journal.judging import Judge, JudgeService
from pactsh.journal.ledger import Ledger, now_text
from pactsh.journal.login import LoginService
from pactsh.journal.projections import Projections
from pactsh.journal.revocations import Revocations
from pactsh.journal.revoking import RevokingService
from pactsh.journal.selfstatus import StatusService
from pactsh.journal.service import JournalService
from pactsh.journal.sqlite import SqliteStore
from pactsh.rpc.methods import MAX_MESSAGE_BYTES

if TYPE_CHECKING:
    from pactsh.delegates.deeds import Systems
    from pactsh.delegates.lattice.client import Lattice

_log = logging.getLogger(__name__)
_END_S = 2.0
LATTICE_TIMEOUT_S = 10.0
SERVER_LIFETIME_S = 825 * 86400  # made anew at every start

_OPTIONS = (
    ("grpc.so_reuseport", 0),  # a second journal on the port is an error, not a coin toss
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_metadata_size", 32 << 10),
    ("grpc.server_handshake_timeout_ms", 20_000),
    ("grpc.max_concurrent_streams", 1024),
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.http2.max_ping_strikes", 0),
    # Certificates are checked when a connection starts, so none may last much beyond them.
    ("grpc.max_connection_age_ms", 6 * 3600 * 1000),
    ("grpc.max_connection_age_grace_ms", 60_000),
)


class Server:
    """A running journal: `async with Server(config) as server`."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.endpoint = ""
        self.agents_endpoint = ""
        self.data = DataDir(config.data_dir)

    async def __aenter__(self) -> Self:
        self.data.open()
        try:
            await self._start()
        except BaseException:
            self.data.close()
            raise
        return self

    async def _start(self) -> None:
        config, data = self.config, self.data
        authority = data.authority()
        issuers = [] if config.dev_issuer is None else [trusted_issuer(config.dev_issuer)]
        trusted = [one.trusted(data.path / "oidc") for one in config.oidc]
        verifier = Verifier([*issuers, *(issuer for issuer, _ in trusted)], clock=utc_now)
        if config.dev_issuer is not None:
            _log.warning("tokens of the development issuer in %s are accepted", config.dev_issuer)
        engine = config.policy.engine()
        if engine is not None:
            await engine.start()
        self._engine = engine
        store = await SqliteStore.open(data.database, clock=now_text)
        ledger = Ledger(
            store,
            authority.head_key,
            head_every=config.head_every,
            head_interval_s=config.head_interval_s,
        )
        try:
            await ledger.start()
            views = Projections()
            await views.catch_up(store)
            judge, revocations = Judge(engine, views.policies), Revocations(views.revoked, utc_now)
            journal = JournalService(ledger, views, judge)
            deeds, systems = Deeds(ledger, views, judge), config.systems()
            approvals = ApprovalsService(ledger, views, journal, judge, deeds=deeds, systems=systems)
            fleet = FleetService(ledger, views, judge)
            handlers = {
                **journal.handlers(),
                **approvals.handlers(),
                **CertificatesService(ledger, authority, data.join_tokens(), revocations).handlers(),
                **RevokingService(ledger, views, revocations, judge).handlers(),
                **fleet.handlers(),
                **JudgeService(judge, ledger, views).handlers(),
                **DelegationService(deeds, approvals.delegated).handlers(),
                **StatusService(ledger, views, fleet, judge, systems.names).handlers(),
                **LoginService(config.oidc, verifier, revocations).handlers(),
            }
            server = aio.server(options=_OPTIONS)
            gate = Gate(verifier, revocations)
            server.add_generic_rpc_handlers(tuple(gate.generic_handlers(handlers)))
            self._listen(server, authority)
            await server.start()
        except BaseException:
            await store.close()
            await self._end_engine()
            raise
        self._server, self.ledger, self._delegated = server, ledger, approvals.delegated
        self._tasks = [
            asyncio.create_task(ledger.sign_at_intervals(), name="sign heads"),
            asyncio.create_task(approvals.run(), name="approvals"),
            asyncio.create_task(Events(store).run(views.seq), name="events"),
            asyncio.create_task(Cordoning(store, views, deeds, _connect(systems)).run(), name="stale emergencies"),
            *(asyncio.create_task(keys.run(), name="issuer's keys") for _, keys in trusted),
        ]
        for task in self._tasks:
            task.add_done_callback(_report_end)

    def _listen(self, server: aio.Server, authority: Authority) -> None:
        """Open the listeners: `listen` without, the others with client certificates."""
        config = self.config
        names = dict.fromkeys(("pact-journal", "localhost", "127.0.0.1", "::1", *config.names))
        certificate, key = authority.server_certificate(tuple(names), lifetime_s=SERVER_LIFETIME_S)
        people = grpc.ssl_server_credentials([(key, certificate)])
        agents = grpc.ssl_server_credentials([(key, certificate)], authority.ca_pem, require_client_auth=True)
        self.endpoint = _bind(server, config.listen, people)
        if config.listen_agents is not None:
            self.agents_endpoint = _bind(server, config.listen_agents, agents)
        if config.listen_unix is not None:
            config.listen_unix.unlink(missing_ok=True)  # a dead journal's: the lock says none is alive
            _bind(server, f"unix:{config.listen_unix}", agents)

    def ready(self) -> dict[str, str]:
        """What a client needs to connect: endpoints and the CA file."""
        unix = self.config.listen_unix
        return {
            "endpoint": self.endpoint,
            "agents": self.agents_endpoint,
            "unix": "" if unix is None else f"unix:{unix}",
            "ca": str(self.data.ca_file),
        }

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks, timeout=_END_S)  # they have connections to close
        await self._server.stop(self.config.stop_grace_s)
        await self._delegated.close()
        await self.ledger.close()
        await self._end_engine()
        if self.config.listen_unix is not None:
            self.config.listen_unix.unlink(missing_ok=True)
        self.data.close()

    async def _end_engine(self) -> None:
        if self._engine is not None:
            await self._engine.close()


def _connect(systems: Systems) -> Callable[[], Lattice] | None:
    """How the journal itself reaches lattice, as nobody's; None where it does not."""
    settings = systems.lattice
    if settings is None:
        return None
    from pactsh.delegates.lattice.client import Lattice

    return lambda: Lattice(settings, timeout_s=LATTICE_TIMEOUT_S)


def _report_end(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        _log.error("journal: %s ended", task.get_name(), exc_info=task.exception())


def _bind(server: aio.Server, address: str, credentials: grpc.ServerCredentials) -> str:
    try:
        port = server.add_secure_port(address, credentials)
    except RuntimeError as error:
        raise UsageError(f"can't listen on {address}", hint="is the port in use?", detail=str(error)) from error
    return f"{address.rpartition(':')[0]}:{port}" if not address.startswith("unix:") else address


async def serve(config: Config) -> None:
    """Run until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with Server(config) as server:
        facts = server.ready()
        if config.ready_file is not None:
            server.data.write_ready(config.ready_file, facts)
        where = ", ".join(facts[key] for key in ("endpoint", "agents", "unix") if facts[key])
        sys.stdout.write(f"pact-journal: ready on {where}\n")
        sys.stdout.flush()
        await stop.wait()
        _log.info("stopping")


def main() -> None:
    """The entry point: errors to stderr, exit status by `errors.py`."""
    from pactsh.journal.commands import run

    logging.basicConfig(level=logging.INFO, format="pact-journal: %(levelname)s %(message)s", stream=sys.stderr)
    logging.getLogger("httpx2").setLevel(logging.WARNING)  # it tells of every request
    try:
        status = run(sys.argv[1:])
    except PactError as error:
        sys.stderr.write(f"pact-journal: {error.message}\n" + (f"hint: {error.hint}\n" if error.hint else ""))
        if error.detail:
            _log.info("%s", error.detail)
        status = error.code
    except KeyboardInterrupt:
        status = 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        status = 1
    sys.exit(status)
