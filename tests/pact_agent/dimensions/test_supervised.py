"""The services of the supervisor as a dimension: seen, put back, and what can't be."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from pact_agent.dimensions import ApplyError
from pact_agent.dimensions.supervised import Supervised
from pact_agent.services.supervisor import Supervisor

from tests.pact_agent.services.processes import Services, is_there, shell, until

RUNNING, STOPPED = "state=running enabled=enabled", "state=stopped enabled=enabled"


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    made = Services(tmp_path)
    made.define("a", "/bin/sleep", "1000")
    made.define("fails", *shell("exit 3"), more='restart = "never"')
    try:
        yield made
    finally:
        made.end()


def dimension_of(supervisor: Supervisor) -> Supervised:
    loop = asyncio.get_running_loop()
    return Supervised(supervisor, lambda: loop)


def test_what_is_stopped_is_put_back(services: Services) -> None:
    async def go() -> None:
        async with services.agent() as supervisor:
            dimension = dimension_of(supervisor)
            woken = asyncio.Event()
            end = dimension.watch(woken.set)
            await until(lambda: dimension.snapshot() == {"a": RUNNING, "fails": "state=failed enabled=enabled"})
            assert dimension.summary() == "1 service running, 1 failed"
            await until(lambda: services.pid("a"))
            pid = services.pid("a")
            woken.clear()
            await asyncio.to_thread(dimension.apply, "a", STOPPED)
            assert (woken.is_set(), dimension.snapshot()["a"], is_there(pid)) == (True, STOPPED, False)
            await asyncio.to_thread(dimension.apply, "a", RUNNING)
            assert dimension.snapshot()["a"] == RUNNING
            assert is_there(services.pid("a"))
            await asyncio.to_thread(dimension.apply, "a", None)
            assert dimension.snapshot()["a"] == STOPPED
            end()

    asyncio.run(go())


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("nosuch", RUNNING, "nosuch: no service is defined by that name"),
        ("a", "state=running enabled=disabled", "a is enabled by its definition, a file"),
        ("a", "state=failed enabled=enabled", "a can't be made failed"),
        ("a", "running", "is not what a unit can be"),
        ("fails", RUNNING, "service: fails: start ended with status 3"),
    ],
)
def test_what_can_not_be_done_says_why(services: Services, key: str, value: str, says: str) -> None:
    async def go() -> None:
        async with services.agent() as supervisor:
            await until(lambda: supervisor.values()["fails"].startswith("state=failed"))
            with pytest.raises(ApplyError, match=says):
                await asyncio.to_thread(dimension_of(supervisor).apply, key, value)

    asyncio.run(go())


def test_a_node_without_any_has_none(tmp_path: Path) -> None:
    async def go() -> None:
        async with Services(tmp_path).agent() as supervisor:
            dimension = dimension_of(supervisor)
            assert (dimension.snapshot(), dimension.summary(), supervisor.is_empty) == ({}, None, True)

    asyncio.run(go())
