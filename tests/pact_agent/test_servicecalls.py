"""What `pact service` asks of a node: who may, what is on record before and after, and what is refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from pact_agent.services import Backend, Changed, Service, Verb, unknown

from pactsh.errors import (
    ForbiddenError,
    NotFoundError,
    NotWhitelistedError,
    PactError,
    PolicyError,
    UnreachableError,
    UsageError,
)
from pactsh.model.identity import Identity
from pactsh.policy.model import Policy
from pactsh.rpc import pact_pb2 as pb
from tests.pact_agent.recording import ALICE, BOB, Recording, calls_of, judging, recording

CHANGES = ("service_start", "service_stop", "service_restart")


class Keeper:
    """Two services; what is done to them is kept in a setting of the node, so that it shows as drift."""

    name = "keeper"

    def __init__(self, node: Recording) -> None:
        self.node, self.done = node, list[tuple[Verb, str]]()
        self.closed = self.fails = False
        node.set("service.chrony", "running")

    async def all(self) -> tuple[Service, ...]:
        return (await self.one("chrony"), Service("agent", "running"))

    async def one(self, name: str) -> Service:
        name = "chrony" if name in {"ntp", "chrony.service"} else name
        if name not in {"chrony", "agent", "logger", "debug-shell"}:
            raise unknown(name, ("chrony", "agent"))
        if name != "chrony":
            return Service(name, "running", aliases=("syslog.service",) if name == "logger" else ())
        return Service(name, self.node.value("service.chrony"), pid=7)

    def refusal(self, verb: Verb, name: str) -> str:
        return "agent does not stop itself" if (verb, name) == ("stop", "agent") else ""

    def along(self, verb: Verb, name: str) -> tuple[str, ...]:
        return ("rsyslog",) if verb != "start" and name == "agent" else ()

    async def change(self, verb: Verb, name: str) -> Changed:
        assert [e.type for e in self.node.entries()][-1] == "service.begun", "it is on record before it is done"
        self.done.append((verb, name))
        if self.fails:
            raise PactError("service: chrony: start ended with exit-code (status 3)")
        self.node.set("service.chrony", "stopped" if verb == "stop" else "running")
        return Changed(await self.one(name))

    async def logs(self, name: str, lines: int, *, follow: bool) -> AsyncGenerator[list[str], None]:
        try:
            yield [f"line {n}" for n in range(lines)]
            while follow:
                yield ["more"]
        finally:
            self.closed = True


def ask(
    node: Recording, who: Identity, keeper: Backend | None, method: str, policy: Policy | None = None, **params: object
) -> list[Any]:
    async def go() -> list[Any]:
        calls = calls_of(node, policy=policy, keeper=keeper)
        return [item async for item in calls.answer(who, method, params, "s1")]

    return asyncio.run(go())


def body(node: Recording, index: int) -> dict[str, Any]:
    return dict(node.entries()[index].body or {})


def test_status_of_all_and_of_one(tmp_path: Path) -> None:
    with recording(tmp_path) as node:
        (told,) = ask(node, BOB, Keeper(node), "service_status")
        assert (told["backend"], [s["name"] for s in told["services"]]) == ("keeper", ["chrony", "agent"])
        (told,) = ask(node, BOB, Keeper(node), "service_status", service="chrony")
        assert [s["state"] for s in told["services"]] == ["running"]
        assert node.entries() == []


def test_a_change_is_on_record_before_and_after_and_its_drift_is_whose_it_was(tmp_path: Path) -> None:
    with recording(tmp_path) as node:
        keeper = Keeper(node)
        asyncio.run(node.lifecycle.start("boot-1"))
        (told,) = ask(node, ALICE, keeper, "service_stop", service="chrony")
        assert (told["verb"], told["service"]["state"]) == ("stop", "stopped")
        begun, done = node.entries()[-2:]
        assert [(e.type, e.author.principal, e.session) for e in (begun, done)] == [
            ("service.begun", "alice@org", "s1"),
            ("service.done", "alice@org", "s1"),
        ]
        assert body(node, -1) == {**body(node, -2), "status": 0, "duration_ms": 0, "reason": ""}
        assert (done.message, body(node, -1)["service"]) == ("stop chrony: done", "chrony")


def test_one_that_fails_is_on_record_as_that(tmp_path: Path) -> None:
    with recording(tmp_path) as node:
        keeper = Keeper(node)
        keeper.fails = True
        with pytest.raises(PactError, match="exit-code"):
            ask(node, ALICE, keeper, "service_start", service="chrony")
        assert (body(node, -1)["status"], "exit-code" in body(node, -1)["reason"]) == (1, True)


REFUSED: list[tuple[str, dict[str, Any], type[PactError], str]] = [
    ("service_stop", {"service": "chrnoy"}, NotFoundError, "no such service on this node"),
    ("service_stop", {"service": "agent"}, PolicyError, "does not stop itself"),
    ("service_stop", {"service": "logger"}, NotWhitelistedError, "log daemons are not changed"),
    ("service_restart", {"service": "agent"}, NotWhitelistedError, "log daemons are not changed"),
    ("service_start", {"service": "debug-shell"}, NotWhitelistedError, "are not changed through systemctl"),
    ("service_stop", {}, UsageError, "which one"),
    ("service_stop", {"service": 7}, UsageError, "expected text"),
    ("service_stop", {"service": "chrony", "force": True}, UsageError, "unknown parameter"),
    ("service_status", {"service": "chrnoy"}, NotFoundError, "no such service"),
    ("service_logs", {"service": "chrony", "n": 10_001}, UsageError, "expected a number up to 10000"),
    ("service_logs", {"service": "chrony", "n": "all"}, UsageError, "expected a number"),
    ("service_logs", {}, UsageError, "which one"),
]


@pytest.mark.parametrize(("method", "params", "kind", "says"), REFUSED)
def test_what_is_refused_is_not_begun(
    tmp_path: Path, method: str, params: dict[str, Any], kind: type[PactError], says: str
) -> None:
    with recording(tmp_path) as node:
        keeper = Keeper(node)
        for policy in (Policy("ml-training"), Policy("ml-training", two_person_approval=True)):
            with pytest.raises(kind, match=says):
                ask(node, ALICE, keeper, method, policy, **params)
        assert (keeper.done, node.entries()) == ([], [])


def test_names_that_are_like_it_are_the_hint(tmp_path: Path) -> None:
    with recording(tmp_path) as node, pytest.raises(NotFoundError) as caught:
        ask(node, ALICE, Keeper(node), "service_status", service="chrnoy")
    assert (caught.value.code, caught.value.hint) == (1, "did you mean chrony?")


@pytest.mark.parametrize("method", CHANGES)
def test_a_viewer_changes_nothing(tmp_path: Path, method: str) -> None:
    with recording(tmp_path) as node:
        keeper = Keeper(node)
        with pytest.raises(ForbiddenError, match=r"bob@org may not \w+ services of a node"):
            ask(node, BOB, keeper, method, service="chrony")
        assert keeper.done == []


@pytest.mark.parametrize("method", ["service_status", "service_logs", *CHANGES])
def test_somebody_without_a_role_here_sees_nothing(tmp_path: Path, method: str) -> None:
    stranger = Identity("eve@org", ("pact-ops-other",), "human", "ssh")
    with recording(tmp_path) as node:
        with pytest.raises(ForbiddenError, match=r"eve@org may not"):
            ask(node, stranger, Keeper(node), method, service="chrony")


def test_a_node_that_keeps_no_services_says_so(tmp_path: Path) -> None:
    with recording(tmp_path) as node:
        for method in ("service_status", *CHANGES):
            with pytest.raises(NotFoundError, match="neither systemd nor services"):
                ask(node, ALICE, None, method, service="chrony")


@pytest.mark.parametrize("typed", ["chrony", "chrony.service", "ntp"])
@pytest.mark.parametrize("method", CHANGES)
def test_the_sites_policy_is_asked_with_the_name_whatever_was_typed(tmp_path: Path, method: str, typed: str) -> None:
    asked: list[bytes] = []

    async def deny(given: bytes) -> pb.Judgement:
        asked.append(given)
        return pb.Judgement(deny=["frozen until Monday"])

    async def go(node: Recording, keeper: Keeper) -> None:
        calls = calls_of(node, judging(deny, in_force=True), keeper=keeper)
        async for _ in calls.answer(ALICE, method, {"service": typed}):
            pass

    with recording(tmp_path) as node:
        keeper = Keeper(node)
        with pytest.raises(PolicyError, match="frozen until Monday"):
            asyncio.run(go(node, keeper))
        assert (keeper.done, len(asked)) == ([], 1)
        assert f'"action": "{method}"'.encode() in asked[0]
        assert b'"params": {"service": "chrony"}' in asked[0]


@pytest.mark.parametrize("method", CHANGES)
def test_a_second_person_is_asked_where_the_policy_wants_one(tmp_path: Path, method: str) -> None:
    with recording(tmp_path) as node:
        keeper = Keeper(node)
        policy = Policy("ml-training", two_person_approval=True)
        with pytest.raises(UnreachableError, match="no journal is configured"):  # who would know of one
            ask(node, ALICE, keeper, method, policy, service="chrony")
        assert keeper.done == []


def test_nothing_is_changed_that_the_journal_has_to_confirm_and_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with recording(tmp_path) as node:
        monkeypatch.setattr("pact_agent.servicecalls._STRICT_TIMEOUT_S", 0.01)
        keeper = Keeper(node)
        with pytest.raises(UnreachableError, match="has not confirmed this change"):
            ask(node, ALICE, keeper, "service_stop", Policy("ml-training", audit="strict"), service="chrony")
        assert keeper.done == []
        assert [(e.type, (e.body or {}).get("status")) for e in node.entries()] == [
            ("service.begun", None),
            ("service.done", 5),
        ]


def test_nothing_is_changed_that_can_not_be_recorded(tmp_path: Path) -> None:
    with recording(tmp_path) as node:
        keeper = Keeper(node)
        node.disk.fails = True
        for _ in range(2):  # found out by trying, then known
            with pytest.raises(PactError):
                ask(node, ALICE, keeper, "service_stop", service="chrony")
        assert keeper.done == []


def test_who_leaves_ends_what_is_followed(tmp_path: Path) -> None:
    async def go(node: Recording, keeper: Keeper) -> list[Any]:
        answer = calls_of(node, keeper=keeper).answer(
            BOB, "service_logs", {"service": "chrony", "n": 2, "follow": True}
        )
        items = [await anext(answer), await anext(answer)]
        await answer.aclose()
        return items

    with recording(tmp_path) as node:
        keeper = Keeper(node)
        first, then = asyncio.run(go(node, keeper))
        assert (first["lines"], then["lines"], keeper.closed) == (["line 0", "line 1"], ["more"], True)


@pytest.mark.parametrize(("verb", "warned"), [("start", False), ("stop", True), ("restart", True)])
def test_who_stops_what_the_node_is_reached_through_is_told(verb: Verb, warned: bool) -> None:
    from pact_agent.servicecalls import _warning

    assert bool(_warning(verb, "systemd-networkd.service")) == warned
    assert _warning(verb, "chrony.service") == ""


def test_nobody_follows_so_many_logs_that_the_node_is_full_of_readers(tmp_path: Path) -> None:
    async def go(node: Recording) -> None:
        calls, params = calls_of(node, keeper=Keeper(node)), {"service": "chrony", "n": 2, "follow": True}
        mine = [calls.answer(BOB, "service_logs", params) for _ in range(8)]
        for items in mine:
            await anext(items)
        with pytest.raises(PolicyError, match="too many logs are read"):
            await anext(calls.answer(BOB, "service_logs", params))
        other = calls.answer(ALICE, "service_logs", params)
        await anext(other)
        await mine.pop().aclose()
        mine.append(calls.answer(BOB, "service_logs", params))
        await anext(mine[-1])
        for items in (*mine, other):
            await items.aclose()

    with recording(tmp_path) as node:
        asyncio.run(go(node))
