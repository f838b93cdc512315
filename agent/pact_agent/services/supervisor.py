"""The services of a node without systemd: defined in files, kept by holders of their own, looked after from here.

Services outlive the agent: what a holder has started is found again by the next one. An agent that ends in order leaves
them running too, unless it is told otherwise.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import pwd
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from pathlib import Path

import msgspec

from pact_agent.aside import aside
from pact_agent.services import Changed, Service, Verb, unknown
from pact_agent.services.definition import NAME, Definition, Definitions, load_definitions, signal_number
from pact_agent.services.instance import Instance
from pact_agent.services.limits import ServiceGroups, take_away
from pact_agent.services.logfiles import file_logs
from pact_agent.services.order import before, cycles, dependants, needed, start_order
from pact_agent.services.run import Run, Spec, find, is_held, start
from pact_agent.spoolfiles import replace_file
from pactsh.errors import PactError, UsageError

_log = logging.getLogger(__name__)

_CHANGE_S, _WAIT_S, _WHO_S = 25.0, 60.0, 15.0
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Stopped(msgspec.Struct, frozen=True):
    """Services that somebody has stopped in this boot: the next agent does not start them."""

    boot: str = ""
    names: tuple[str, ...] = ()


class Supervisor:
    """Of one node. `definitions` is the directory of files, `state` where each service has one of its own."""

    name = "supervisor"

    def __init__(self, definitions: Path, state: Path, groups: ServiceGroups | None = None) -> None:
        self._directory, self._state = definitions, state
        self._groups = ServiceGroups(str(state)) if groups is None else groups
        self._defined = Definitions()
        self._instances: dict[str, Instance] = {}
        self._boot = ""
        self._stopped: set[str] = set()
        self._changing: dict[str, asyncio.Lock] = {}
        self._wakes: list[Callable[[], None]] = []
        self._tasks: set[asyncio.Task[None]] = set()

    # -- the agent's start and end

    async def begin(self, boot: str) -> None:
        """Find what an earlier agent has started, then have up what is to be up, in order and beside the rest."""
        self._boot = boot
        self._load()
        self._stopped = set(self._read_stopped())
        wanted: list[str] = []
        for name in start_order(self._defined.known):
            instance = self._instance(name)
            try:
                found = await find(self._state / name, boot)
            except PactError as error:
                _log.error("service %s: %s", name, error.message)
                continue
            if found is not None and (isinstance(found, Run) or name not in self._stopped):
                instance.adopt(found)
            elif instance.definition.enabled and name not in self._stopped:
                wanted.append(name)
        await self._adopt_others()
        if wanted:
            for name in wanted:
                self._instances[name].expect()
            task = asyncio.get_running_loop().create_task(self._start_all(tuple(wanted)), name="services")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _adopt_others(self) -> None:
        """Services that run though nothing says any more, or nothing that can be read, what they are: to be stopped."""
        with contextlib.suppress(FileNotFoundError):
            for place in sorted(self._state.iterdir()):
                if place.name not in self._instances and NAME.fullmatch(place.name) and is_held(place):
                    nothing = Definition(("/",), restart="never", enabled=False)
                    instance = self._instances[place.name] = Instance(place.name, nothing, self._launch, self._tell)
                    with contextlib.suppress(PactError):
                        if isinstance(found := await find(place, self._boot), Run):
                            instance.adopt(found)

    async def _start_all(self, names: tuple[str, ...]) -> None:
        for name in names:
            instance = self._instances[name]
            waits_for = [self._instances[one] for one in before(instance.definition) if one in self._instances]
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_WAIT_S):
                    for other in waits_for:
                        await other.settled()
            failed = [o.name for o in waits_for if o.name in instance.definition.requires and o.counts_as != "running"]
            if failed:
                instance.blame(f"it can't be without {', '.join(failed)}, which is not up")
            elif instance.expected:
                instance.start()

    async def close(self, *, stop: bool) -> None:
        """Look after them no more; with `stop` stop them first, those that need others before those."""
        for task in self._tasks:
            task.cancel()
        if stop:
            order = reversed(start_order(self._defined.known))
            for name in dict.fromkeys((*order, *self._instances)):
                if name in self._instances:
                    await self._instances[name].stop()
        for instance in self._instances.values():
            instance.let_go()
        self._groups.close()

    # -- definitions

    def _load(self) -> None:
        """Read the files again."""
        found = load_definitions(self._directory)
        problems = dict(found.problems)
        for name, circle in cycles(found.known).items():
            problems[name] = f"it waits for itself: {circle}"
        for name in problems.keys() - self._defined.problems.keys():
            _log.error("service %s: %s", name, problems[name])
        known = {name: one for name, one in found.known.items() if name not in problems}
        self._defined = Definitions(known, problems)

    def _instance(self, name: str) -> Instance:
        if name not in self._instances:
            self._instances[name] = Instance(name, self._defined.known[name], self._launch, self._tell)
        return self._instances[name]

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to keep."""
        if not self._instances and not self._defined.problems:
            self._load()
        return not (self._instances or self._defined.known or self._defined.problems)

    # -- what `pact service` wants

    async def all(self) -> tuple[Service, ...]:
        """All that are defined, and those that run without a definition any more."""
        self._load()
        names = {*self._defined.known, *self._defined.problems, *(n for n, i in self._instances.items() if i.is_up)}
        return tuple(self._shown(name) for name in sorted(names))

    async def one(self, name: str) -> Service:
        """The one of that name."""
        self._load()
        name = name.removesuffix(".service")
        if not NAME.fullmatch(name):
            raise UsageError(f"service: {name[:80]!r} is not the name of a service")
        known = {*self._defined.known, *self._defined.problems, *self._instances}
        if name not in known:
            raise unknown(name, sorted(known))
        return self._shown(name)

    def _shown(self, name: str) -> Service:
        problem, definition = self._defined.problems.get(name, ""), self._defined.known.get(name)
        instance = self._instances.get(name)
        if instance is None:
            if definition is None:
                return Service(name, "failed", why=problem)
            enabled = "enabled" if definition.enabled else "disabled"
            return Service(name, "stopped", enabled=enabled, description=definition.description)
        shown = instance.shown()
        if problem or definition is None:
            return msgspec.structs.replace(shown, why=problem or "its definition is not there any more")
        if not shown.why and not instance.runs(definition):
            return msgspec.structs.replace(shown, why="its definition has changed since it was started")
        return shown

    def refusal(self, _verb: Verb, _name: str) -> str:
        """The agent is no service of its own."""
        return ""

    def along(self, verb: Verb, name: str) -> tuple[str, ...]:
        """Those that run and can't be without it."""
        if verb == "start":
            return ()
        return tuple(one for one in dependants(self._defined.known, name) if self._is_up(one))

    async def change(self, verb: Verb, name: str) -> Changed:
        """Start it with what it needs, stop it with what needs it."""
        work = asyncio.get_running_loop().create_task(self._change(verb, name), name=f"{verb} {name}")
        try:
            async with asyncio.timeout(_CHANGE_S):
                return await asyncio.shield(work)
        except TimeoutError:
            self._keep_going(work)
            raise PactError(
                f"service: {name}: {verb} has not ended after {_CHANGE_S:.0f} s, and goes on",
                hint=f"pact service status {name} shows how far it is",
            ) from None

    def _keep_going(self, work: asyncio.Task[Changed]) -> None:
        async def follow() -> None:
            with contextlib.suppress(PactError):
                await work

        task = asyncio.get_running_loop().create_task(follow())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _change(self, verb: Verb, name: str) -> Changed:
        self._load()
        async with self._turn(name):
            self._load()
            if verb != "stop" and (problem := self._defined.problems.get(name)):
                raise PactError(f"service: {name}: {problem}", hint="docs/services.md has the keys of a definition")
            if verb != "stop" and name not in self._defined.known:
                raise PactError(f"service: {name}: its definition is not there any more")
            ended = await self._stop(name, lasting=verb == "stop") if verb != "start" else ()
            begun: tuple[str, ...] = ()
            if verb != "stop":
                begun = await self._start(name)
            if verb == "restart":
                for other in reversed(ended):
                    begun += tuple(one for one in await self._start(other) if one not in begun)
            others = tuple(dict.fromkeys(one for one in (*ended, *begun) if one != name))
            return Changed(self._shown(name), others)

    @contextlib.asynccontextmanager
    async def _turn(self, name: str) -> AsyncIterator[None]:
        """One change at a time of a service and of all that may go along with it; one that takes long to end keeps
        nobody from the others."""
        known = self._defined.known
        users = (name, *dependants(known, name))
        async with contextlib.AsyncExitStack() as held:
            for one in sorted({*users, *(other for user in users for other in needed(known, user))}):
                await held.enter_async_context(self._changing.setdefault(one, asyncio.Lock()))
            yield

    async def _stop(self, name: str, *, lasting: bool) -> tuple[str, ...]:
        """Stop it, for the next agent too if that is to last; gives those that were stopped before it, since they can't
        be without it."""
        users = self.along("stop", name)
        for one in (*users, name):
            if lasting:
                self._remember(one, stopped=True)
            if one in self._instances:
                await self._instances[one].stop()
        return users

    def _is_up(self, name: str) -> bool:
        instance = self._instances.get(name)
        return instance is not None and (instance.is_up or instance.state == "exited")

    async def _start(self, name: str) -> tuple[str, ...]:
        """Start what it needs, and it; gives those that were started. Raises `PactError` for the first that fails."""
        started: list[str] = []
        for one in needed(self._defined.known, name):
            instance = self._instance(one)
            if one != name and instance.counts_as == "running" and not instance.expected:
                continue
            self._remember(one, stopped=False)
            instance.start(self._defined.known[one])
            started.append(one)
            await instance.settled()
            if instance.state in {"failed", "waiting", "unhealthy"}:
                why = instance.why
                raise PactError(f"service: {one}: start ended with {why}", hint=await self._last_words(one))
        return tuple(started)

    async def _last_words(self, name: str) -> str:
        said = [line async for lines in self.logs(name, 3, follow=False) for line in lines]
        return " | ".join(said) if said else f"pact service logs {name}"

    def logs(self, name: str, lines: int, *, follow: bool) -> AsyncGenerator[list[str], None]:
        """What its holder has kept."""
        return file_logs(self._state / name, lines, follow=follow)

    # -- what the services dimension wants

    def values(self) -> dict[str, str]:
        """`state=running enabled=enabled` by name."""
        instances, defined = dict(self._instances), self._defined.known  # in a thread, beside the loop
        known = {name: ("stopped", one) for name, one in defined.items()}
        known |= {name: (i.counts_as, defined[name]) for name, i in instances.items() if name in defined}
        return {
            name: f"state={state} enabled={'enabled' if one.enabled else 'disabled'}"
            for name, (state, one) in known.items()
        }

    async def make(self, name: str, *, running: bool) -> None:
        """Have it run, or not. Raises `PactError`."""
        if running != (self.values().get(name, "").startswith("state=running")):
            await self._change("start" if running else "stop", name)

    def summary(self) -> str | None:
        """How many run and have failed; None where there are none."""
        states = [value.split()[0] for value in self.values().values()]
        if not states and not self._defined.problems:
            return None
        failed = states.count("state=failed") + len(self._defined.problems)
        count = states.count("state=running")
        return f"{count} service{'' if count == 1 else 's'} running" + (f", {failed} failed" if failed else "")

    def watch(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` when a service's state has changed."""
        self._wakes.append(wake)
        return lambda: self._wakes.remove(wake)

    def _tell(self) -> None:
        for wake in self._wakes:
            wake()

    # -- starting one

    async def _launch(self, name: str, definition: Definition, restarts: int) -> Run:
        place = self._state / name
        try:
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise PactError(f"{place}: {error.strerror}") from error
        held = await find(place, self._boot)
        if isinstance(held, Run):
            return held
        groups, note = self._groups.make(name, definition.limits)
        if note:
            _log.warning("service %s: limits %s", name, note)
        self._instances[name].note = note and f"limits {note}"
        try:
            boot = self._boot  # groups of a user are asked of a directory service, which may be away
            spec = await aside(
                _WHO_S, f"service {name}: whose it is", lambda: _spec(definition, groups, boot, restarts)
            )
            return await start(place, spec)
        except PactError:
            take_away(groups)
            raise

    # -- what somebody has stopped

    def _remember(self, name: str, *, stopped: bool) -> None:
        before_ = set(self._stopped)
        (self._stopped.add if stopped else self._stopped.discard)(name)
        if self._stopped != before_:
            kept = Stopped(self._boot, tuple(sorted(self._stopped)))
            try:
                self._state.mkdir(mode=0o700, parents=True, exist_ok=True)
                replace_file(self._state / "stopped.json", msgspec.json.encode(kept))
            except OSError as error:
                _log.error("what is stopped can't be kept: %s", error.strerror)

    def _read_stopped(self) -> tuple[str, ...]:
        try:
            kept = msgspec.convert(json.loads((self._state / "stopped.json").read_bytes()), Stopped)
        except (OSError, ValueError):
            return ()
        return kept.names if kept.boot == self._boot else ()


def _spec(definition: Definition, groups: tuple[str, ...], boot: str, restarts: int) -> Spec:
    """What its holder has to know. Raises `PactError` for a user who is not there, or whom only root can be."""
    try:
        who = pwd.getpwnam(definition.user)
    except KeyError:
        raise PactError(f"there is no user {definition.user} on this node") from None
    if os.geteuid() != 0 and who.pw_uid != os.geteuid():
        raise PactError(f"to run as {definition.user} takes an agent that root has started")
    environment: Mapping[str, str] = {
        "PATH": _PATH, "LANG": "C.UTF-8", "HOME": who.pw_dir, "USER": who.pw_name, "LOGNAME": who.pw_name,
        **definition.environment,
    }  # fmt: skip
    return Spec(
        command=definition.command,
        environment={**environment},
        directory=definition.directory,
        uid=who.pw_uid,
        gid=who.pw_gid,
        gids=tuple(os.getgrouplist(who.pw_name, who.pw_gid)) if os.geteuid() == 0 else None,
        stop_signal=signal_number(definition.stop_signal) or 15,
        stop_timeout_s=definition.stop_timeout_s,
        max_bytes=definition.output.max_bytes,
        files=definition.output.files,
        groups=groups,
        digest=definition.digest,
        boot=boot,
        restarts=restarts,
    )
