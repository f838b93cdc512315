"""The parts of a node's agent, made for each other: what calls what, and nothing else."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable
from pathlib import Path

from pact_agent.approvals import Approvals
from pact_agent.broker import Broker
from pact_agent.calls import Calls
from pact_agent.capabilities.manifest import Keeper
from pact_agent.capabilities.prober import Prober
from pact_agent.capabilities.report import reported
from pact_agent.clock import SystemClock
from pact_agent.config import Config
from pact_agent.configcalls import ConfigCalls
from pact_agent.contents import Contents
from pact_agent.deciding import Decider
from pact_agent.declared import Declared
from pact_agent.diag.gather import Diagnostics
from pact_agent.diag.services import KeptLogs
from pact_agent.dimensions.files import Files
from pact_agent.dimensions.gpu import Gpus
from pact_agent.dimensions.kernel import Kernel
from pact_agent.dimensions.mounts import Mounts
from pact_agent.dimensions.network import Network
from pact_agent.dimensions.packages import Packages
from pact_agent.dimensions.services import Services
from pact_agent.dimensions.supervised import Supervised
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
from pact_agent.recordings import Recordings
from pact_agent.revoked import Revoked
from pact_agent.saved import StateFiles
from pact_agent.secondperson import SecondPerson
from pact_agent.servicecalls import ServiceCalls
from pact_agent.services import Backend
from pact_agent.services.supervisor import Supervisor
from pact_agent.services.units import Units, is_booted
from pact_agent.session import Session, Sessions
from pact_agent.sessioncalls import SessionCalls
from pact_agent.setaside import SetAside
from pact_agent.shellhost import ShellHost, Visitor
from pact_agent.spawnclient import Spawner
from pact_agent.spool import Spool
from pact_agent.sshd import Sshd
from pact_agent.sshrefusals import Refusals
from pact_agent.sshsession import Services as SshServices
from pact_agent.strangers import Strangers
from pact_agent.tools import Tools
from pact_agent.uplink import Report, Uplink
from pactsh import __version__
from pactsh.catalog import Catalog, load_catalog
from pactsh.model.approval import Approval
from pactsh.model.entry import Author
from pactsh.model.identity import Identity
from pactsh.policy.model import Policy
from pactsh.policy.rbac import highest_class
from pactsh.policy.whitelist import whitelist

_log = logging.getLogger(__name__)
_HEAR_S = 60.0


class Wiring:
    """Everything that `agent` runs. Makes files, and no sockets; nothing is recorded yet."""

    def __init__(self, config: Config, spawner: Spawner, secrets: tuple[str, ...]) -> None:
        self.config, self.spawner, self.clock = config, spawner, SystemClock()
        self._secrets, self._catalog = SecretPaths(secrets), load_catalog()
        self.identity = Identity(f"agent:{config.node}", ("pact-service-agent",), "agent", "tls")
        self._author = Author(self.identity.principal, self.identity.roles, self.identity.kind)
        kept, limits = config.state_dir / "config", config.limits
        self.spool = Spool(
            config.state_dir / "spool", node=config.node, reserve_bytes=limits.spool_bytes, clock=self.clock
        )
        self.recorder = Recorder(self.spool, config.node, self.clock, LastResort(config.node))
        self.recordings = Recordings(
            config.state_dir / "recordings",
            config.node,
            self._in_force,
            self.recorder,
            self.clock,
            limit_bytes=limits.recording_bytes,
        )
        self.sessions = Sessions(self.recorder, limits, self.clock, self.recordings)
        self.levels = Levels(self.recorder, self.identity, self.tell)
        self._revoked = Revoked(kept / "revoked.json", self._end_revoked)
        self.membership = Membership(config.vcluster, kept / "vcluster")
        self._policies = self._make_policies(kept)
        self._tools, self.link = Tools(config.shell_user), JournalLink(config)
        self.contents = Contents(kept / "contents")
        self.declared = Declared(StateFiles(kept), self.recorder, self._state_changed)
        self._gpus = Gpus()
        self.emergency = Emergency(self.recorder, self.clock, self.declared, agent=self._author, tell=self.tell)
        self.supervisor = None if is_booted() else Supervisor(config.services.directory, config.state_dir / "services")
        self._backend: Backend = Units() if self.supervisor is None else self.supervisor
        self._services = Services() if self.supervisor is None else Supervised(self.supervisor, self._running_loop)
        self.lifecycle = self._make_lifecycle()
        self._approvals = self._make_approvals()
        self.uplink = self.link.uplink = self._make_uplink()
        self.facts = self._make_facts()
        self.prober = Prober(self.facts, self._gpus)
        self.keeper = Keeper(config.run_dir, self.prober, self.clock, self._report_soon)
        judging = self._make_judging()
        second_person = SecondPerson(config.node, self._approvals, self.lifecycle, self.clock)
        self._executor = self._make_executor(judging, second_person)
        calls = self._make_calls(judging, second_person)
        self._executing = Executing(self.sessions, self._executor, calls)
        strangers = Strangers(self.recorder, self.link)
        self._host = ShellHost(spawner, self._tools, self._adopt, self.recordings)
        self.broker = Broker(
            self.sessions, self._executor, calls, config.local_users, strangers, self._state, self._host
        )
        self.sshd = self._make_sshd()
        self.ssh_address = ""
        self.loop: asyncio.AbstractEventLoop | None = None

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        """The agent's, for who asks in a thread."""
        assert self.loop is not None
        return self.loop

    # -- making

    def _make_policies(self, kept: Path) -> PolicyInForce:
        default = Policy(vcluster=self.membership.vcluster, containment=self.config.containment)
        policies = PolicyInForce(default, self._catalog, kept / "policy.json")
        if policies.load():
            self.recorder.policy = policies.label
        if self.config.journal is None:
            policies.heard.set()  # nobody will say anything
        return policies

    def _make_calls(self, judging: Judging, second_person: SecondPerson) -> Calls:
        config = self.config
        history = self.link.history(self.spool)
        return Calls(
            self.facts,
            SessionCalls(config.node, self.sessions, self.recordings, self.recorder),
            self._in_force,
            history,
            self.emergency,
            ConfigCalls(config.node, self.lifecycle, self.recorder, self.clock, history),
            judging,
            second_person,
            Diagnostics(
                config.node,
                self._in_force,
                self._secrets.current,
                services=KeptLogs(config.state_dir / "services"),
            ),
            self.prober,
            self._make_service_calls(),
        )

    def _make_approvals(self) -> Approvals:
        return Approvals(
            self.declared,
            self.recorder,
            self._author,
            request=self.link.request_approval,
            execute=self._execute,
            now=self.clock.now,
            closed=lambda approval: self.lifecycle.release(approval.id, undo=approval.state == "expired"),
        )

    def _make_facts(self) -> NodeFacts:
        return NodeFacts(
            self.config.node,
            self.membership.vcluster,
            clock=self.clock,
            sessions=self.sessions,
            backlog=self.spool,
            link=lambda: self.uplink,
            features=self.spawner.features,
            containment=lambda: self._policies.current.containment,
            missing=self.config.missing,
            emergency=self.emergency.begun,
            configuration=lambda: self.lifecycle,
            supervisor=self._services.summary,
            capabilities=self._has,
        )

    def _has(self) -> str | None:
        return self.prober.summary()

    def _make_judging(self) -> Judging:
        return Judging(
            self.config.node,
            self._in_force,
            self.link.evaluate,
            heard=self._policies.heard,
            in_force=lambda: self._policies.judged,
            emergency=lambda: self.emergency.active() is not None,
        )

    def _make_executor(self, judging: Judging, second_person: SecondPerson) -> Executor:
        node = Node(
            name=self.config.node,
            vcluster=self.membership.vcluster,
            host=os.uname().nodename,
            catalog=self._catalog,
            policy=self._in_force,
            degraded=lambda: not self.facts.connected(),
            enforced=self.facts.enforced,
            secrets=self._secrets.current,
            remote=RemoteMounts(),
            emergency=lambda: self.emergency.active() is not None,
            own=frozenset({os.getpid(), self.spawner.pid}),
        )
        pipelines = Pipelines(
            self.spawner, self._tools, self.config.limits, self._whitelist, self._secrets.current, self._connect
        )
        self.decider = Decider(node, self.recorder, judging)
        return Executor(node, self.decider, pipelines, self.recorder, self.clock, self.lifecycle, second_person)

    def _make_service_calls(self) -> ServiceCalls:
        return ServiceCalls(
            self.config.node,
            lambda: None if self.supervisor is not None and self.supervisor.is_empty else self._backend,
            self.recorder,
            self.lifecycle,
            self.clock,
            policy=self._in_force,
            catalog=self._catalog,
            emergency=lambda: self.emergency.active() is not None,
        )

    def _make_uplink(self) -> Uplink | None:
        if self.config.journal is None:
            _log.warning("no journal is configured: entries stay in the spool")
            return None
        set_aside = SetAside(self.config.state_dir / "spool" / "refused.jsonl", self.spool, self.clock)
        return Uplink(
            self.spool,
            self.link.open,
            set_aside,
            report=self._report,
            on_policy=self._policy_arrived,
            on_overlay=self.lifecycle.overlay_arrived,
            on_sequenced=self.declared.sequenced,
            on_approval=self._approvals.arrived,
            open_approvals=self._approvals.open_ids,
            on_member=self.membership.told,
            on_revoked=self._revoked.arrived,
        )

    def _make_lifecycle(self) -> Lifecycle:
        return Lifecycle(
            Observers(
                [Kernel(), Mounts(), Files(self.contents), Network(), self._services, Packages(), self._gpus],
                self.clock,
            ),
            self.declared,
            self.recorder,
            self.clock,
            node=self.config.node,
            reached=self._reaches_journal,
            agent=self._author,
            policy=self._in_force,
            tell=self.tell,
            tell_each=self.tell_each,
            suspended=lambda: self.emergency.begun() is not None,
        )

    def _state_changed(self) -> None:
        """What has changed may be how a GPU is, which the manifest says too."""
        self.keeper.look_soon()
        self._report_soon()

    def _report_soon(self) -> None:
        """Let who asks the journal see it at once."""
        if self.uplink is not None:
            self.uplink.report_soon()

    async def _reaches_journal(self) -> bool:
        """Whether the journal answers now: asked after the network was changed."""
        return self.uplink is None or await self.uplink.hear(_HEAR_S)

    def tell(self, text: str, level: str) -> None:
        """Reach everybody who has a session here."""
        self.tell_each(lambda _principal: text, level)

    def tell_each(self, told: Callable[[str], str], level: str) -> None:
        """Reach those who have a session here with what there is for their principal, where that is something."""
        for session in self.sessions.all():
            if text := told(session.identity.principal):
                session.notify(text, level)

    def _make_sshd(self) -> Sshd | None:
        if self.config.ssh is None:
            return None
        services = SshServices(self.sessions, self._executor, self._host)
        refusals = Refusals(self.recorder)
        return Sshd(self.config.ssh, self.config.limits, services, refusals, self._revoked.refusal)

    def _adopt(self, sock: socket.socket, visitor: Visitor) -> None:
        """Serve the `pactsh` that was started for somebody."""
        self.broker.adopt(sock, None, visitor.identity, visitor.peer, visitor.reached, visitor.recording)

    def _end_revoked(self) -> None:
        self.broker.end_revoked(self._revoked.refusal)
        if self.sshd is not None:
            self.sshd.end_revoked()

    async def renewed(self) -> None:
        """Show the new certificate to whoever connects from now on."""
        if self.sshd is not None:
            await self.sshd.reload()

    def _report(self) -> Report:
        return Report(
            node=self.config.node,
            vcluster=self.membership.vcluster,
            ssh_address=self.ssh_address,
            state=self.lifecycle.state(),
            version=__version__,
            details=reported(self.facts, self.prober),
        )

    def _in_force(self) -> Policy:
        return self._policies.current

    async def _execute(self, approval: Approval) -> int:
        return await self._executing.execute(approval)

    def _policy_arrived(self, document: bytes, seq: int, judged: bool) -> None:
        self._policies.arrived(document, seq, judged)
        self.recorder.policy = self._policies.label
        self.lifecycle.look_soon()

    def _state(self, session: Session | None) -> dict[str, object]:
        """What the toolbar shows, and which policy is in force: when it changes, a prompt asks for its whitelist."""
        return self.facts.toolbar(session) | {"policy": self._policies.label}

    def _whitelist(self, identity: Identity) -> Catalog:
        """The commands and forms that someone may use in a session here."""
        policy = self._policies.current
        return whitelist(self._catalog, policy.commands, highest_class(identity, "shell", policy))

    def _connect(self, session: Session) -> socket.socket:
        """A socket for a `pact` inside a session; the agent's end is served as that session."""
        ours, theirs = socket.socketpair()
        self.broker.adopt(ours, session, session.identity, f"session {session.id}", session.reached)
        return theirs
