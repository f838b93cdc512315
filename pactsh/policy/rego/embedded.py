"""Modules evaluated by regopy, in a process beside the journal: one that crashes, or never ends, is replaced.

The directory is looked at every second. A set of modules that can't be used is told in the log, and the set before it
stays.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pactsh.errors import PactError, PolicyError, UsageError
from pactsh.policy.rego.modules import read_modules
from pactsh.policy.rego.verdict import Verdict, read_verdict

if TYPE_CHECKING:
    from pactsh.model.entry import JsonObject

_log = logging.getLogger(__name__)
LIMIT_S = 2.0
_START_S = 15.0
_LOOK_S = 1.0
_LONGEST_ANSWER = 4 << 20
_WORKER = (sys.executable, "-P", "-m", "pactsh.policy.rego.worker")


class _Worker:
    """One process with one set of modules."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._turn = asyncio.Lock()

    @classmethod
    async def start(cls, modules: dict[str, str]) -> _Worker:
        """Raises `UsageError` for modules that it can't use."""
        process = await asyncio.create_subprocess_exec(
            *_WORKER, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=_LONGEST_ANSWER
        )
        worker = cls(process)
        try:
            answer = await worker.ask({"modules": modules}, _START_S)
        except PolicyError as error:
            raise UsageError(error.message) from error
        if "error" in answer:
            await worker.close()
            raise UsageError(str(answer["error"]))
        return worker

    async def ask(self, question: object, limit_s: float) -> dict[str, object]:
        """Its answer. Raises `PolicyError`, and has ended then. Who waits no longer leaves the exchange to its end, or
        the next would get this one's answer."""
        exchange = asyncio.create_task(self._exchange(question, limit_s))
        exchange.add_done_callback(lambda task: task.cancelled() or task.exception())  # nobody may be there to see it
        return await asyncio.shield(exchange)

    async def _exchange(self, question: object, limit_s: float) -> dict[str, object]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        async with self._turn:
            try:
                async with asyncio.timeout(limit_s):
                    self._process.stdin.write(json.dumps(question).encode() + b"\n")
                    await self._process.stdin.drain()
                    answer = json.loads(await self._process.stdout.readline() or b"null")
            except TimeoutError:
                why = f"it takes longer than {limit_s:g} s"
            except (OSError, ValueError) as error:
                why = str(error)
            else:
                if isinstance(answer, dict):
                    return answer
                why = "its process ended"
            await self.close()
            raise PolicyError(f"the policy can't be evaluated: {why}", hint="the journal's log has more", detail=why)

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return self._process.returncode is None

    async def retire(self) -> None:
        """End it when all who are asking it have their answers."""
        async with self._turn:
            await self.close()

    async def close(self) -> None:
        """End it."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()


class Embedded:
    """The engine over the modules of `directory`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._modules: dict[str, str] = {}
        self._worker: _Worker | None = None
        self._restarting = asyncio.Lock()
        self._looking: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Load the modules, and follow the directory from then on. Raises `UsageError`."""
        self._modules = await asyncio.to_thread(read_modules, self._directory)
        try:
            self._worker = await _Worker.start(self._modules)
        except UsageError as error:
            raise UsageError(f"{self._directory}: {error.message}", hint=error.hint) from error
        self._looking = asyncio.create_task(self._look(), name="policy modules")

    async def evaluate(self, given: JsonObject) -> Verdict:
        """Raises `PolicyError`."""
        answer = await (await self._alive()).ask({"input": given}, LIMIT_S)
        if "error" in answer:
            _log.error("policy: %s (action %s)", answer["error"], given.get("action"))
            raise PolicyError(f"the policy can't be evaluated: {answer['error']}", hint="the journal's log has more")
        return read_verdict(answer.get("value"))

    async def _alive(self) -> _Worker:
        async with self._restarting:
            assert self._worker is not None
            if not self._worker.alive:
                _log.error("policy: the engine has ended and is started again")
                try:
                    self._worker = await _Worker.start(self._modules)
                except UsageError as error:
                    raise PolicyError(f"the policy can't be evaluated: {error.message}") from error
            return self._worker

    async def _look(self) -> None:
        told: dict[str, str] | str = self._modules
        while True:
            await asyncio.sleep(_LOOK_S)
            try:
                modules = await asyncio.to_thread(read_modules, self._directory)
            except PactError as error:
                if told != error.message:
                    told = error.message
                    _log.error("policy: %s; the modules from before stay", error.message)
                continue
            if modules not in (self._modules, told):
                told = modules
                await self._replace(modules)

    async def _replace(self, modules: dict[str, str]) -> None:
        try:
            worker = await _Worker.start(modules)
        except UsageError as error:
            _log.error("policy: %s: %s; the modules from before stay", self._directory, error.message)
            return
        async with self._restarting:
            old, self._worker, self._modules = self._worker, worker, modules
        _log.info("policy: %d modules of %s are in force", len(modules), self._directory)
        if old is not None:
            await old.retire()

    async def close(self) -> None:
        """End the process."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait({self._looking})
        if self._worker is not None:
            await self._worker.close()
