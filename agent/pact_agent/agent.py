"""One agent: the parts of a node's daemon, made and connected in one place."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from typing import TYPE_CHECKING

from pact_agent.approvals import Approvals
from pact_agent.broker import Broker
from pact_agent.calls import Calls
from pact_agent.capability import reported
from pact_agent.clock import SystemClock
from pact_agent.config import Config
from pact_agent.configcalls import ConfigCalls
from pact_agent.contents import Contents
from pact_agent.deciding import Decider
from pact_agent.declared import Declared
from pact_agent.dimensions.files import Files
from pact_agent.dimensions.gpu import Gpus
from pact_agent.dimensions.kernel import Kernel
from pact_agent.dimensions.mounts import Mounts
from pact_agent.dimensions.network import Network
from pact_agent.dimensions.packages import Packages
from pact_agent.dimensions.services import Services
from pact_agent.emergency import Emergency
from pact_agent.executing import Executing
from pact_agent.executor import Executor
from pact_agent.facts import NodeFacts
from pact_agent.inforce import PolicyInForce
from pact_agent.journallink import JournalLink
from pact_agent.judging import Judging
from pact_agent.lastresort import LastResort
from pact_agent.levels import Levels
from pact_agent.lifecycle import Lifecycle
from pact_agent.masks import SecretPaths
from pact_agent.membership import Membership
from pact_agent.mounted import RemoteMounts
from pact_agent.node import Node
from pact_agent.observers import Observers
from pact_agent.pipeline import Pipelines
from pact_agent.recorder import Recorder
from pact_agent.revoked import Revoked
from pact_agent.saved import StateFiles, boot_id
from pact_agent.secondperson import SecondPerson
from pact_agent.session import Session, Sessions
from pact_agent.setaside import SetAside
from pact_agent.spawnclient import Spawner
from pact_agent.spool import Spool
from pact_agent.sshd import Sshd, advertised
from pact_agent.sshrefusals import Refusals
from pact_agent.sshsession import Services as SshServices
from pact_agent.strangers import Strangers
from pact_agent.tools import Tools
from pact_agent.uplink import Report, Uplink
from pactsh import __version__
from pactsh.catalog import Catalog, load_catalog
from pactsh.errors import PactError
from pactsh.model.approval import Approval
from pactsh.model.entry import Author
from pactsh.model.identity import Identity
from pactsh.policy.model import Policy
from pactsh.policy.rbac import highest_class
from pactsh.policy.whitelist import whitelist

if TYPE_CHECKING:
    from pactsh.model.entry import JsonObject

_log = logging.getLogger(__name__)

_IDLE_CHECK_S = 15.0
_RESTORE_RETRY_S = 3.0
_HEAR_S = 60.0
_DRAIN_S = 3.0
_BEGIN_S = 10.0


class Agent:
    """The daemon's parts. `start` opens the sockets, `run` works until told to stop, `close` ends it in order."""

    def __init__(self, config: Config, spawner: Spawner, secrets: tuple[str, ...]) -> None:
        self._config, self._spawner = config, spawner
        self._clock = SystemClock()
        self._secrets = SecretPaths(secrets)
        self._level_tasks: set[asyncio.Task[None]] = set()
        self._identity = Identity(f"agent:{config.node}", ("pact-service-agent",), "agent", "tls")
        self._spool = Spool(
            config.state_dir / "spool", node=config.node, reserve_bytes=config.limits.spool_bytes, clock=self._clock
        )
        self._recorder = Recorder(self._spool, config.node, self._clock, LastResort(config.node))
        self._sessions = Sessions(self._recorder, config.limits, self._clock)
        self._catalog = load_catalog()
        self._revoked = Revoked(config.state_dir / "config" / "revoked.json", self._end_revoked)
        self._membership = Membership(config.vcluster, config.state_dir / "config" / "vcluster")
        default = Policy(vcluster=self._membership.vcluster, containment=config.containment)
        self._policies = PolicyInForce(default, self._catalog, config.state_dir / "config" / "policy.json")
        if self._policies.load():
            self._recorder.policy = self._policies.label
        self._tools, self._link = Tools(config.shell_user), JournalLink(config)
        self._contents = Contents(config.state_dir / "config" / "contents")
        self._declared = Declared(StateFiles(config.state_dir / "config"), self._recorder, self._report_soon)
        author = Author(self._identity.principal, self._identity.roles, self._identity.kind)
        self._levels = Levels(self._recorder, self._identity, self._tell)
        self._emergency = Emergency(self._recorder, self._clock, self._declared, agent=author, tell=self._tell)
        self._lifecycle = self._make_lifecycle(author)
        self._approvals = Approvals(
            self._declared,
            self._recorder,
            author,
            request=self._link.request_approval,
            execute=self._execute,
            closed=lambda approval: self._lifecycle.release(approval.id, undo=approval.state == "expired"),
        )
        self._uplink = self._link.uplink = self._make_uplink()
        self._facts = NodeFacts(
            config.node,
            self._membership.vcluster,
            clock=self._clock,
            sessions=self._sessions,
            backlog=self._spool,
            link=lambda: self._uplink,
            features=spawner.features,
            containment=lambda: self._policies.current.containment,
            missing=config.missing,
            emergency=self._emergency.begun,
            configuration=lambda: self._lifecycle,
        )
        node = Node(
            name=config.node,
            vcluster=self._membership.vcluster,
            host=os.uname().nodename,
            catalog=self._catalog,
            policy=self._in_force,
            degraded=lambda: not self._facts.connected(),
            enforced=self._facts.enforced,
            secrets=self._secrets.current,
            remote=RemoteMounts(),
            emergency=lambda: self._emergency.active() is not None,
            own=frozenset({os.getpid(), spawner.pid}),
        )
        judging = Judging(
            config.node,
            self._in_force,
            self._link.evaluate,
            in_force=lambda: self._policies.judged,
            emergency=lambda: self._emergency.active() is not None,
        )
        pipelines = Pipelines(
            spawner, self._tools, config.limits, self._whitelist, self._secrets.current, self._connect
        )
        self._decider = Decider(node, self._recorder, judging)
        second_person = SecondPerson(config.node, self._approvals, self._lifecycle, self._clock)
        self._executor = Executor(
            node, self._decider, pipelines, self._recorder, self._clock, self._lifecycle, second_person
        )
        history = self._link.history(self._spool)
        config_calls = ConfigCalls(config.node, self._lifecycle, self._recorder, self._clock, history)
        calls = Calls(
            self._facts,
            self._sessions,
            self._in_force,
            history,
            self._emergency,
            config_calls,
            judging,
            second_person,
        )
        self._executing = Executing(self._sessions, self._executor, calls)
        strangers = Strangers(self._recorder, self._link)
        self._broker = Broker(self._sessions, self._executor, calls, config.local_users, strangers, self._state)
        self._sshd = self._make_sshd()
        self._ssh_address = ""

    # -- making

    def _make_uplink(self) -> Uplink | None:
        if self._config.journal is None:
            _log.warning("no journal is configured: entries stay in the spool")
            return None
        set_aside = SetAside(self._config.state_dir / "spool" / "refused.jsonl", self._spool, self._clock)
        return Uplink(
            self._spool,
            self._link.open,
            set_aside,
            report=self._report,
            on_policy=self._policy_arrived,
            on_overlay=self._lifecycle.overlay_arrived,
            on_sequenced=self._declared.sequenced,
            on_approval=self._approvals.arrived,
            open_approvals=self._approvals.open_ids,
            on_member=self._membership.told,
            on_revoked=self._revoked.arrived,
        )

    def _make_lifecycle(self, author: Author) -> Lifecycle:
        return Lifecycle(
            Observers(
                [Kernel(), Mounts(), Files(self._contents), Network(), Services(), Packages(), Gpus()], self._clock
            ),
            self._declared,
            self._recorder,
            self._clock,
            node=self._config.node,
            reached=self._reaches_journal,
            agent=author,
            policy=self._in_force,
            tell=self._tell,
            suspended=lambda: self._emergency.begun() is not None,
        )

    def _report_soon(self) -> None:
        """Let who asks the journal see it at once."""
        if self._uplink is not None:
            self._uplink.report_soon()

    async def _reaches_journal(self) -> bool:
        """Whether the journal answers now: asked after the network was changed."""
        return self._uplink is None or await self._uplink.hear(_HEAR_S)

    def _tell(self, text: str, level: str) -> None:
        """Reach everybody who has a session here."""
        for session in self._sessions.all():
            session.notify(text, level)

    def _make_sshd(self) -> Sshd | None:
        if self._config.ssh is None:
            return None
        services = SshServices(
            self._sessions,
            self._executor,
            self._spawner,
            self._tools,
            lambda sock, identity, peer, reached: self._broker.adopt(sock, None, identity, peer, reached),
        )
        refusals = Refusals(self._recorder)
        return Sshd(self._config.ssh, self._config.limits, services, refusals, self._revoked.refusal)

    def _end_revoked(self) -> None:
        self._broker.end_revoked(self._revoked.refusal)
        if self._sshd is not None:
            self._sshd.end_revoked()

    async def _renewed(self) -> None:
        """Show the new certificate to whoever connects from now on."""
        if self._sshd is not None:
            await self._sshd.reload()

    def _report(self) -> Report:
        return Report(
            node=self._config.node,
            vcluster=self._membership.vcluster,
            ssh_address=self._ssh_address,
            state=self._lifecycle.state(),
            version=__version__,
            details=reported(self._facts),
        )

    def _in_force(self) -> Policy:
        return self._policies.current

    async def _execute(self, approval: Approval) -> int:
        return await self._executing.execute(approval)

    def _policy_arrived(self, document: bytes, seq: int, judged: bool) -> None:
        self._policies.arrived(document, seq, judged)
        self._recorder.policy = self._policies.label
        self._lifecycle.look_soon()

    def _state(self, session: Session | None) -> dict[str, object]:
        """What the toolbar shows, and which policy is in force: when it changes, a prompt asks for its whitelist."""
        return self._facts.toolbar(session) | {"policy": self._policies.label}

    def _whitelist(self, identity: Identity) -> Catalog:
        """The commands and forms that someone may use in a session here."""
        policy = self._policies.current
        return whitelist(self._catalog, policy.commands, highest_class(identity, "shell", policy))

    def _connect(self, session: Session) -> socket.socket:
        """A socket for a `pact` inside a session; the agent's end is served as that session."""
        ours, theirs = socket.socketpair()
        self._broker.adopt(ours, session, session.identity, f"session {session.id}", session.reached)
        return theirs

    # -- running

    async def start(self, inherited: dict[str, socket.socket]) -> None:
        """Record the start, then accept connections. Raises PactError where the node can't be served."""
        self._ssh_address = advertised(self._config.ssh, inherited.get("ssh"))
        body: JsonObject = {
            "version": __version__,
            "vcluster": self._membership.vcluster,
            "ssh_address": self._ssh_address,
            "containment": self._facts.containment(),
            "missing": list(self._config.missing),
        }
        recovered = self._spool.recovery.facts()
        if recovered:
            _log.warning("spool: found after the last end: %s", recovered)
            body["spool"] = recovered
        await self._recorder.write("agent.start", self._identity, body, message="agent started")
        self._spool.watch_level(self._levels.changed)
        boot = boot_id()
        self._emergency.resume(boot)
        await self._make_as_declared(boot)
        self._spawner.request({"op": "reclaim", "id": 0})  # the spool's lock says that no other agent is at work here
        self._broker.listen(self._config.socket_path, inherited.get("agent"))
        if self._sshd is not None:
            await self._sshd.listen(inherited.get("ssh"))

    async def _make_as_declared(self, boot: str) -> None:
        """Before anybody is let in; but a server that doesn't answer, or a full disk, keeps nobody out for long: who
        mends the node needs this agent."""
        beginning = asyncio.get_running_loop().create_task(self._lifecycle.start(boot), name="declared state")
        beginning.add_done_callback(_begun)
        self._level_tasks.add(beginning)
        beginning.add_done_callback(self._level_tasks.discard)
        if not (await asyncio.wait({beginning}, timeout=_BEGIN_S))[0]:
            _log.warning("the node is not as declared yet: it goes on beside the work")

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop`: the uplink, the idle check. Raises PactError when the spawner has died, or the node is in
        another vCluster: the agent ends then, in order, and the service manager starts it again."""
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._watch_idle(), name="idle sessions"),
                group.create_task(self._lifecycle.run(), name="drift"),
            ]
            if self._uplink is not None:
                tasks.append(group.create_task(self._uplink.run(), name="uplink"))
                tasks.append(
                    group.create_task(self._link.renewal(self._clock, self._renewed).run(), name="certificates")
                )
                if self._declared.is_new:
                    tasks.append(group.create_task(self._restore(), name="deltas"))
            message = await self._stopped(stop)
            self._tell("the agent of this node is stopping", "warning")
            if self._sshd is not None:
                await self._sshd.close()
            await self._broker.close()
            await self._recorder.write("agent.stop", self._identity, {"version": __version__}, message=message)
            await self._drain()
            for task in tasks:
                task.cancel()
        if not stop.is_set():
            raise PactError(message, hint="the service manager restarts the agent")

    async def _restore(self) -> None:
        """Fetch what was committed on this node from the journal, once it answers: the files that had it are gone."""
        history = self._link.history(self._spool)
        assert history is not None
        while True:
            try:
                if not self._spool.pending():  # else it may not know yet what has ended
                    return await self._lifecycle.restore(await history.deltas(self._config.node))
            except PactError as error:
                _log.info("what was committed here is not known yet: %s", error.message)
            await asyncio.sleep(_RESTORE_RETRY_S)

    async def _stopped(self, stop: asyncio.Event) -> str:
        """Wait for the end and say why it comes."""
        while not stop.is_set():
            if not self._spawner.alive:
                return "the command spawner died"
            if self._membership.moved:
                return self._membership.moved
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await stop.wait()
        return "agent stopped"

    async def _drain(self) -> None:
        """Give the last entries a moment to reach the journal; the spool keeps what doesn't."""
        if self._uplink is None or not self._uplink.connected:
            return
        deadline = self._clock.monotonic() + _DRAIN_S
        while self._spool.pending() and self._clock.monotonic() < deadline:  # noqa: ASYNC110  bounded, once in a life
            await asyncio.sleep(0.02)

    async def _watch_idle(self) -> None:
        while True:
            await asyncio.sleep(_IDLE_CHECK_S)
            self._sessions.expire_idle()
            await self._emergency.check()
            self._decider.tidy()
            if self._sshd is not None:
                self._sshd.expire_idle()

    async def close(self) -> None:
        """Close what is left; the spool last."""
        await self._broker.close()
        self._spool.close()
        self._contents.close()


def _begun(beginning: asyncio.Task[None]) -> None:
    if beginning.cancelled() or (error := beginning.exception()) is None:
        return
    text = error.message if isinstance(error, PactError) else ""
    _log.error("what is declared of this node can't be kept: %s", text, exc_info=None if text else error)
