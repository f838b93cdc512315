"""The life of one service: started, watched, started again as its definition says, and stopped when asked."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from pact_agent.services import Service
from pact_agent.services.definition import Definition, Health
from pact_agent.services.health import ails
from pact_agent.services.restarts import Ended, Restarts
from pact_agent.services.run import Run
from pactsh.errors import PactError

_log = logging.getLogger(__name__)

Launch = Callable[[str, Definition, int], Awaitable[Run]]
_SETTLE_S = 0.3  # one that can't do its work mostly ends at once
UP = frozenset({"running", "exited", "starting", "waiting", "unhealthy", "stopping"})


class Instance:
    """Of one name. `launch(name, definition, restarts)` starts it; `told` is called when its state has changed."""

    def __init__(self, name: str, definition: Definition, launch: Launch, told: Callable[[], None]) -> None:
        self.name, self.definition = name, definition
        self._launch, self._told = launch, told
        self._restarts = Restarts(definition)
        self._run: Run | None = None
        self._task: asyncio.Task[None] | None = None
        self._ending = asyncio.Event()
        self._changed = asyncio.Event()
        self._is_well = False
        self.state, self.why, self.note = "stopped", "", ""
        self.expected = False

    # -- what it is like

    @property
    def counts_as(self) -> str:
        """As the services dimension has it: what lasts, so that one that is started again is no change."""
        if self.state == "failed" or self._restarts.given_up:
            return "failed"
        is_up = self.expected or (self.state in UP and not self._ending.is_set())
        return "running" if is_up else "stopped"

    @property
    def is_up(self) -> bool:
        """Whether somebody wants it up, and it has not failed for good."""
        return self._task is not None

    def runs(self, definition: Definition) -> bool:
        """Whether what runs, if anything does, was started with this definition, by whichever agent."""
        return self._run is None or self._run.state.digest == definition.digest

    def shown(self) -> Service:
        """As `pact service status` shows it."""
        run, state = self._run, self.state
        if self._restarts.given_up and state == "waiting":
            state = "failed"
        return Service(
            name=self.name,
            state=state,
            enabled="enabled" if self.definition.enabled else "disabled",
            pid=run.state.pid if run is not None else None,
            uptime_s=round(run.lasted_s, 1) if run is not None else None,
            restarts=self._restarts.count,
            description=self.definition.description,
            why=self.why or self.note,
        )

    def _set(self, state: str, why: str = "") -> None:
        self.state, self.why, self.expected = state, why, False
        self._changed.set()
        self._told()

    # -- what is wanted

    def start(self, definition: Definition | None = None) -> None:
        """Have it up. One that waits for its next try is tried at once."""
        if self._task is not None and (self._run is not None or self.state == "starting"):
            return
        self._take(definition)
        self._restarts.reset()
        self._begin(None, 0.0)

    def expect(self) -> None:
        """It is to be started once those before it are up."""
        self.expected = True

    def blame(self, why: str) -> None:
        """It can't be started."""
        self._set("failed", why)

    def adopt(self, found: Run | Ended) -> None:
        """Go on with what an earlier agent has started."""
        if isinstance(found, Run):
            self._restarts.count = found.state.restarts
            self._begin(found, 0.0)
            return
        if self._restarts.wants(found):
            delay_s = self._restarts.resume(found)
            self._set("waiting", self._said(found, delay_s))
            self._begin(None, delay_s)
        else:
            self._over(found)

    def _take(self, definition: Definition | None) -> None:
        if definition is not None and definition != self.definition:
            self.definition, self._restarts = definition, Restarts(definition)

    def _begin(self, run: Run | None, delay_s: float) -> None:
        if self._task is not None:
            self._task.cancel()
        self._ending.clear()
        self._run, self._is_well = run, False
        if not delay_s:
            self._set("starting" if run is None else "running")
        self._task = task = asyncio.get_running_loop().create_task(
            self._live(run, delay_s), name=f"service {self.name}"
        )
        task.add_done_callback(self._lived)

    def _lived(self, task: asyncio.Task[None]) -> None:
        if task is self._task:
            self._task = None
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("service %s", self.name, exc_info=error)
            self._set("failed", "a fault of pact's: please report it")
        self._changed.set()

    async def stop(self) -> None:
        """Have it end, and wait for that: it is killed when it does not."""
        task = self._task
        self._ending.set()
        if task is not None:
            if self._run is not None:
                self._set("stopping")
                self._run.stop()
            await asyncio.wait({task})
        self._restarts.reset()
        if self.state != "stopped" or self.expected:
            self._set("stopped")

    def let_go(self) -> None:
        """Look after it no more; what runs goes on."""
        if self._task is not None:
            self._task.cancel()

    async def settled(self) -> None:
        """Wait until it has come up, and does its work if that is checked, or has not."""
        while self._task is not None and not (self.state == "running" and self._is_well):
            if self.state in {"waiting", "failed", "unhealthy"}:
                return
            self._changed.clear()
            await self._changed.wait()

    # -- its life

    async def _live(self, run: Run | None, delay_s: float) -> None:
        while True:
            if delay_s and await self._told_to_end(delay_s):
                break
            ended, lasted_s = await self._once(run)
            run = None
            if self._ending.is_set():
                break
            if not self._restarts.wants(ended):
                self._over(ended)
                return
            delay_s = self._restarts.after_s(lasted_s)
            self._set("waiting", self._said(ended, delay_s))
            _log.warning("service %s: %s", self.name, self.why)

    def _said(self, ended: Ended, delay_s: float) -> str:
        if self._restarts.given_up:
            return (
                f"it ended {self.definition.burst} times in a row or more, the last time with {ended.told}: tried again"
                f" every {self.definition.retry_s:g} s"
            )
        return f"{ended.told}: started again in {delay_s:.0f} s" if delay_s >= 1 else ended.told

    def _over(self, ended: Ended) -> None:
        """It is not started again. Work that is done once and has gone well counts as being up."""
        if not ended.is_well:
            self._set("failed", ended.told)
            _log.warning("service %s: %s", self.name, ended.told)
        else:
            self._set("exited" if self.definition.restart == "never" else "stopped")

    async def _told_to_end(self, delay_s: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(delay_s):
                await self._ending.wait()
        return self._ending.is_set()

    async def _once(self, run: Run | None) -> tuple[Ended, float]:
        """One run, from its start or from where it was found to its end; how it ended, and how long it had been up."""
        if run is None:
            self._set("starting")
            try:
                run = await self._launch(self.name, self.definition, self._restarts.count)
            except PactError as error:
                return Ended(why=error.message), 0.0
        self._run = run
        if self._ending.is_set():
            run.stop()
        loop = asyncio.get_running_loop()
        watching = loop.create_task(self._watch(run), name=f"health of {self.name}")
        steady = loop.call_later(max(0.0, self.definition.steady_s - run.lasted_s), self._steady)
        try:
            ended = await run.ended()
            lasted_s = run.lasted_s
        finally:
            watching.cancel()
            steady.cancel()
            self._run = None
        (problem,) = await asyncio.gather(watching, return_exceptions=True)
        return (Ended(ended.status, ended.signal, problem) if isinstance(problem, str) and problem else ended), lasted_s

    async def _watch(self, run: Run) -> str:
        """Tell how it is while it runs. Gives what is wrong with it, once it has been told to end for that."""
        health = self.definition.health
        if health is None or health.check == "process":
            self._set("running")
            await asyncio.sleep(max(0.0, _SETTLE_S - run.lasted_s))
            self._up()
            return ""
        while True:
            problem = await self._until_it_ails(health)
            if self.definition.restart != "never":
                run.stop()
                return f"its check fails: {problem}"

    def _steady(self) -> None:
        self._restarts.steady()
        self._told()

    def _up(self) -> None:
        self._is_well = True
        if not self._ending.is_set():
            self._set("running")

    async def _until_it_ails(self, health: Health) -> str:
        loop = asyncio.get_running_loop()
        starts, failures = loop.time() + health.start_s, 0
        pause_s = min(health.interval_s, 0.5)
        while True:
            problem = await ails(health)
            if not problem:
                failures, starts, pause_s = 0, 0.0, health.interval_s
                if self.state != "running":
                    self._up()
            elif loop.time() >= starts:
                failures += 1
                if failures >= health.retries and not self._ending.is_set():
                    self._is_well = False
                    self._set("unhealthy", problem)
                    return problem
            await asyncio.sleep(pause_s)
