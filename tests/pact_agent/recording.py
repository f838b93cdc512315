"""A real spool and recorder on a clock that a test sets, for parts that record without a whole agent."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pact_agent.approvals import Approvals
from pact_agent.calls import Calls, History
from pact_agent.capabilities.prober import Prober
from pact_agent.config import Limits
from pact_agent.configcalls import Caller, ConfigCalls
from pact_agent.declared import Declared
from pact_agent.diag.gather import Diagnostics
from pact_agent.diag.services import KeptLogs
from pact_agent.dimensions import ApplyError, Dimension, Holder
from pact_agent.dimensions.gpu import Gpus
from pact_agent.dimensions.kernel import Kernel
from pact_agent.emergency import Emergency
from pact_agent.facts import Link, NodeFacts
from pact_agent.judging import Judging
from pact_agent.lifecycle import Lifecycle
from pact_agent.observers import Observers
from pact_agent.recorder import Recorder
from pact_agent.recordings import Recordings
from pact_agent.saved import StateFiles
from pact_agent.secondperson import SecondPerson
from pact_agent.segments import Disk
from pact_agent.servicecalls import ServiceCalls
from pact_agent.services import Backend
from pact_agent.session import Sessions
from pact_agent.sessioncalls import SessionCalls
from pact_agent.spool import Spool

from pactsh.catalog import load_catalog
from pactsh.errors import UnreachableError
from pactsh.model.approval import Approval
from pactsh.model.entry import Author, Draft
from pactsh.model.identity import Identity
from pactsh.policy.model import Policy
from pactsh.rpc import pact_pb2 as pb

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
ALICE = Identity("alice@org", ("pact-ops-ml-training",), "human", "uid")
BOB = Identity("bob@org", ("pact-viewer-ml-training",), "human", "ssh")


ENFORCED: dict[str, object] = {
    "landlock_abi": 6,
    "seccomp": True,
    "masks": 12,
    "masks_error": "",
    "capabilities": True,
    "cgroups": True,
    "bounded": True,
}


class FakeClock:
    """Time stands still until it is moved."""

    def __init__(self) -> None:
        self._passed_s = 0.0

    def pass_s(self, seconds: float) -> None:
        self._passed_s += seconds

    def now(self) -> datetime:
        return NOON + timedelta(seconds=self._passed_s)

    def monotonic(self) -> float:
        return 1000.0 + self._passed_s


class FailingDisk(Disk):
    """Storage that fails while told so, or takes its time: with `slow` unset it waits, and says so in `waiting`."""

    fails = False

    def __init__(self) -> None:
        self.slow, self.waiting = threading.Event(), threading.Event()
        self.slow.set()

    def write(self, fd: int, data: bytes, offset: int) -> None:
        self.waiting.set()
        assert self.slow.wait(30)
        if self.fails:
            raise OSError(5, "Input/output error")
        super().write(fd, data, offset)


class Settings(Kernel):
    """Another dimension, kept as the kernel's settings are: in files of a directory. What `refuses` names can't be
    applied; it is `held` by somebody, where there is such. While `broken` nothing can be read."""

    interval_s = 0.0

    def __init__(self, directory: Path, name: str, *, lasting: bool = False) -> None:
        super().__init__(str(directory), str(directory / "no-modules"))
        self.name, self.lasting, self.directory = name, lasting, directory
        self.refuses: set[str] = set()
        self.held: tuple[Holder, ...] = ()
        self.broken = self.breaks_after_apply = False
        self.tries = 0
        directory.mkdir(exist_ok=True)

    def set(self, key: str, value: str) -> None:
        (self.directory / key).write_text(value + "\n")

    def value(self, key: str) -> str:
        return (self.directory / key).read_text().strip()

    def snapshot(self) -> dict[str, str]:
        if self.broken:
            raise ApplyError(f"{self.name} does not answer")
        return super().snapshot()

    def apply(self, key: str, value: str | None) -> None:
        self.tries += 1
        if key in self.refuses:
            raise ApplyError(f"{key} can't be changed", self.held)
        super().apply(key, value)
        self.broken = self.breaks_after_apply


class Recording:
    """What a node records, in order."""

    def __init__(self, directory: Path, limits: Limits) -> None:
        self.directory = directory
        self.clock, self.disk = FakeClock(), FailingDisk()
        self.spool = Spool(directory, node="node042", reserve_bytes=1 << 20, clock=self.clock, disk=self.disk)
        self.recorder = Recorder(self.spool, "node042", self.clock)
        self.recordings = Recordings(
            directory / "recordings", "node042", lambda: self.policy, self.recorder, self.clock
        )
        self.sessions = Sessions(self.recorder, limits, self.clock, self.recordings)
        self.settings, self.modules = directory / "sys", directory / "modules"
        self.told: list[str] = []
        self.told_each: list[tuple[str, str]] = []  # what alice and bob were told, each in their own sessions
        self.policy = Policy("ml-training", enforcement_mode="enforce")
        self.emergency, self.reaches = False, True
        self.also: list[Dimension] = []
        self.lifecycle = self.restarted()

    def set(self, key: str, value: str) -> None:
        """Give a kernel setting a value, as somebody at the console would."""
        path = self.settings / key.replace(".", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(value + "\n")

    def value(self, key: str) -> str:
        """The value of a kernel setting."""
        return (self.settings / key.replace(".", "/")).read_text().strip()

    def restarted(self) -> Lifecycle:
        """A new agent's lifecycle, over the same files: its kernel is a directory of settings and a list of modules."""
        self.declared = Declared(StateFiles(self.directory / "config"), self.recorder)
        self.lifecycle = Lifecycle(
            Observers([Kernel(str(self.settings), str(self.modules)), *self.also], self.clock),
            self.declared,
            self.recorder,
            self.clock,
            node="node042",
            reached=self._reaches,
            agent=Author("agent:node042", (), "agent"),
            policy=lambda: self.policy,
            tell=lambda text, _level: self.told.append(text),
            tell_each=self._tell_each,
            suspended=lambda: self.emergency,
        )
        return self.lifecycle

    def _tell_each(self, told: Callable[[str], str], _level: str) -> None:
        self.told_each += [(who, text) for who in ("alice@org", "bob@org") if (text := told(who))]

    async def _reaches(self) -> bool:
        return self.reaches

    def entries(self) -> list[Draft]:
        return self.spool.read_from(1, 1000)


def config_calls(node: Recording) -> ConfigCalls:
    """What answers questions about this node's configuration."""
    return ConfigCalls("node042", node.lifecycle, node.recorder, node.clock)


def caller(identity: Identity, reached: float = 0.0) -> Caller:
    """Somebody in session s1."""
    return Caller(Author(identity.principal, identity.roles, identity.kind), "s1", reached)


def no_policy(policy: Policy | None = None) -> Judging:
    """What judges where the site has no modules of its own."""

    async def ask(_given: bytes) -> pb.Judgement:
        raise AssertionError("nobody is asked")

    return judging(ask, policy)


def judging(
    ask: Callable[[bytes], Awaitable[pb.Judgement]],
    policy: Policy | None = None,
    *,
    in_force: bool = False,
    emergency: bool = False,
    heard: asyncio.Event | None = None,
) -> Judging:
    """What judges here, asking only where the site has modules (`in_force`); `heard`: once the journal has told of the
    policy (None: it has)."""
    if heard is None:
        heard = asyncio.Event()
        heard.set()
    return Judging(
        "node042",
        lambda: policy or Policy("ml-training"),
        ask,
        heard=heard,
        in_force=lambda: in_force,
        emergency=lambda: emergency,
    )


def calls_of(
    node: Recording,
    judges: Judging | None = None,
    *,
    policy: Policy | None = None,
    history: History | None = None,
    emergency: Emergency | None = None,
    keeper: Backend | None = None,
) -> Calls:
    """What answers the node's own `pact`."""
    facts = facts_of(node)
    return Calls(
        facts,
        SessionCalls("node042", node.sessions, node.recordings, node.recorder),
        lambda: policy or Policy("ml-training"),
        history,
        emergency or emergency_of(node),
        config_calls(node),
        judges or no_policy(policy),
        second_person(node),
        Diagnostics("node042", lambda: policy or Policy("ml-training"), tuple, services=KeptLogs(Path("/nowhere"))),
        Prober(facts, Gpus()),
        service_calls(node, keeper, policy),
    )


def service_calls(node: Recording, keeper: Backend | None, policy: Policy | None = None) -> ServiceCalls:
    """What answers questions about this node's services, which `keeper` keeps."""
    return ServiceCalls(
        "node042",
        lambda: keeper,
        node.recorder,
        node.lifecycle,
        node.clock,
        policy=lambda: policy or Policy("ml-training"),
        catalog=load_catalog(),
        emergency=lambda: node.emergency,
    )


def second_person(node: Recording) -> SecondPerson:
    """What asks for a second person, of whom no journal here has heard."""

    async def request(_action: str, _operation: bytes, _summary: str, _requester: bytes) -> Approval:
        raise UnreachableError("no journal is configured on this node")

    async def execute(_approval: Approval) -> int:
        raise AssertionError("nothing is approved")

    async def closed(_approval: Approval) -> None:
        pass

    agent = Author("agent:node042", (), "agent")
    approvals = Approvals(
        node.declared, node.recorder, agent, request=request, execute=execute, closed=closed, now=node.clock.now
    )
    return SecondPerson("node042", approvals, node.lifecycle, node.clock)


def emergency_of(node: Recording, boot: str = "boot-1") -> Emergency:
    """The node's emergency, as a new agent finds it."""
    made = Emergency(
        node.recorder,
        node.clock,
        node.declared,
        agent=Author("agent:node042", (), "agent"),
        tell=lambda text, _level: node.told.append(text),
    )
    made.resume(boot)
    return made


def facts_of(
    node: Recording, *, link: Link | None = None, features: dict[str, object] | None = None, required: str = "required"
) -> NodeFacts:
    """What the node knows of itself; all is enforced but for what `features` say."""
    return NodeFacts(
        "node042",
        "ml-training",
        clock=node.clock,
        sessions=node.sessions,
        backlog=node.spool,
        link=lambda: link,
        features=ENFORCED | (features or {}),
        containment=lambda: required,
        missing=("no hardware",),
        configuration=lambda: node.lifecycle,
    )


@contextmanager
def recording(directory: Path, limits: Limits | None = None) -> Iterator[Recording]:
    """An open spool, closed afterwards."""
    made = Recording(directory, limits or Limits())
    try:
        yield made
    finally:
        made.spool.close()
