"""The uplink over a real connection: order, acknowledgement, lost connections, refusals for good.

The journal here is a small one that does as each test needs; the real one is in the end-to-end tests.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc import aio
from pact_agent.backoff import Backoff
from pact_agent.clock import SystemClock
from pact_agent.setaside import SetAside
from pact_agent.spool import Spool, Unnumbered
from pact_agent.uplink import Report, Uplink

from pactsh.auth.ca import Authority
from pactsh.model.entry import Author
from pactsh.rpc import pact_pb2 as pb
from pactsh.rpc.client import Journal
from pactsh.rpc.methods import METHODS


class SmallJournal:
    """Keeps drafts by (client, number). `refuse(draft)` names an error kind, or "" to accept."""

    def __init__(self, authority: Authority) -> None:
        self.cert, self.key = authority.server_certificate(["pact-journal"], lifetime_s=3600)
        self.kept: list[dict[str, Any]] = []
        self.seen: set[tuple[str, int]] = set()
        self.reports: list[pb.NodeReport] = []
        self.refuse: Callable[[dict[str, Any]], str] = lambda _draft: ""
        self.policy_error = False
        self.port = 0
        self._server: aio.Server | None = None

    async def start(self) -> None:
        handlers: dict[str, Any] = {
            "Journal/Append": grpc.stream_stream_rpc_method_handler,
            "Nodes/Report": grpc.unary_unary_rpc_method_handler,
            "Policy/Watch": grpc.unary_stream_rpc_method_handler,
        }
        self._server = aio.server()
        for name, make in handlers.items():
            method = METHODS[name]
            behaviour = {"Journal/Append": self.append, "Nodes/Report": self.report, "Policy/Watch": self.policy}[name]
            service, short = method.path[1:].split("/")
            rpc = make(
                behaviour,
                request_deserializer=method.request.FromString,
                response_serializer=method.reply.SerializeToString,
            )
            self._server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service, {short: rpc})])
        credentials = grpc.ssl_server_credentials([(self.key, self.cert)])
        self.port = self._server.add_secure_port(f"127.0.0.1:{self.port}", credentials)
        await self._server.start()

    async def stop(self) -> None:
        assert self._server is not None
        await self._server.stop(None)

    async def append(self, requests: AsyncIterator[pb.AppendRequest], context: Any) -> AsyncIterator[pb.AppendReply]:
        await context.send_initial_metadata(())  # as the journal does
        async for request in requests:
            acks = []
            for raw in request.drafts:
                draft = json.loads(raw)
                kind = self.refuse(draft)
                if kind:
                    acks.append(pb.Ack(number=draft["number"], error_kind=kind, error="no, never"))
                    continue
                if (draft["client"], draft["number"]) not in self.seen:
                    self.seen.add((draft["client"], draft["number"]))
                    self.kept.append(draft)
                acks.append(pb.Ack(number=draft["number"], seq=len(self.kept), hash="h"))
            head = pb.Head(seq=len(self.kept), hash="h", time="t", key_id="k", signature="s")
            yield pb.AppendReply(acks=acks, head=head)

    async def report(self, request: pb.NodeReport, _context: object) -> pb.NodeReportReply:
        self.reports.append(request)
        return pb.NodeReportReply(interval_s=60)

    async def policy(self, request: pb.PolicyRequest, context: Any) -> AsyncIterator[pb.PolicyDocument]:
        if self.policy_error:
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such vcluster")
        yield pb.PolicyDocument(vcluster=request.vcluster, document=b'{"a":1}', seq=7)
        await asyncio.Event().wait()


class World:
    """A spool, an uplink and a journal it may or may not reach."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.authority = Authority.create(directory / "ca")
        self.journal = SmallJournal(self.authority)
        self.spool = Spool(directory / "spool", node="n1", reserve_bytes=1 << 20, clock=SystemClock())
        self.refused = directory / "spool" / "refused.jsonl"
        self.policies: list[tuple[bytes, int]] = []
        self.state = "COMMITTED"
        self.uplink = Uplink(
            self.spool,
            lambda: Journal(f"127.0.0.1:{self.journal.port}", ca=self.authority.ca_pem, timeout_s=5),
            SetAside(self.refused, self.spool, SystemClock()),
            report=lambda: Report("n1", "vc", "127.0.0.1:22", self.state, "1"),
            on_policy=lambda document, seq, _judged: self.policies.append((document, seq)),
            backoff=Backoff(0.01, 0.02, 0.1, random.Random(1)),
        )

    async def add(self, *messages: str) -> None:
        for message in messages:
            await self.spool.append(Unnumbered("t", "intent", "node:n1", Author("a"), message=message))

    async def shipped(self) -> None:
        while self.spool.pending():
            await asyncio.sleep(0.005)

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            await asyncio.sleep(0.005)


def play(directory: Path, scenario: Callable[[World], Any]) -> World:
    async def run() -> World:
        world = World(directory)
        await world.journal.start()
        task = asyncio.create_task(world.uplink.run())
        try:
            await scenario(world)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await world.journal.stop()
            world.spool.close()
        return world

    return asyncio.run(run())


def kept(world: World) -> list[str]:
    return [d["message"] for d in world.journal.kept]


def test_entries_arrive_in_order_and_are_acknowledged(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        await world.add(*(str(n) for n in range(700)))
        await world.shipped()
        assert world.uplink.connected
        assert world.uplink.last_error == ""
        await world.until(lambda: bool(world.spool.heads()))

    world = play(tmp_path, scenario)
    assert kept(world) == [str(n) for n in range(700)]
    assert [d["number"] for d in world.journal.kept] == list(range(1, 701))
    assert world.spool.heads()[-1].seq == 700


def test_the_node_is_reported_and_its_policy_followed(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        await world.until(lambda: bool(world.policies and world.journal.reports))
        world.state = "DRIFT"
        world.uplink.report_soon()
        await world.until(lambda: len(world.journal.reports) > 1)

    world = play(tmp_path, scenario)
    assert world.policies[0] == (b'{"a":1}', 7)
    assert [r.state for r in world.journal.reports[:2]] == ["COMMITTED", "DRIFT"]
    assert world.journal.reports[0].ssh_address == "127.0.0.1:22"


def test_a_journal_that_goes_away_and_comes_back(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        await world.add("before")
        await world.shipped()
        await world.journal.stop()
        await world.until(lambda: not world.uplink.connected)
        await world.add("meanwhile", "too")
        assert world.uplink.last_error
        assert world.spool.pending() == 2
        await world.journal.start()
        await world.shipped()
        await world.add("after")
        await world.shipped()

    assert kept(play(tmp_path, scenario)) == ["before", "meanwhile", "too", "after"]


def test_a_policy_that_is_refused_does_not_stop_the_entries(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        world.journal.policy_error = True
        await world.add("a")
        await world.shipped()

    assert kept(play(tmp_path, scenario)) == ["a"]


@pytest.mark.parametrize("kind", ["usage", "forbidden"])
def test_a_poisoned_entry_is_set_aside_and_reported(tmp_path: Path, kind: str) -> None:
    async def scenario(world: World) -> None:
        world.journal.refuse = lambda draft: kind if draft["message"] == "poison" else ""
        await world.add("a", "poison", "b")
        await world.shipped()
        await world.until(lambda: len(world.journal.kept) == 3)

    world = play(tmp_path, scenario)
    assert kept(world)[:2] == ["a", "b"]
    report = world.journal.kept[2]
    assert report["type"] == "audit.degraded"
    assert report["body"]["number"] == 2
    assert report["body"]["reason"] == "refused-by-journal"
    (line,) = world.refused.read_text().splitlines()
    assert json.loads(line)["draft"]["message"] == "poison"
    assert json.loads(line)["kind"] == kind


def test_a_journal_that_refuses_everything_gets_no_endless_reports(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        world.journal.refuse = lambda _draft: "usage"
        await world.add("a")
        await world.shipped()

    world = play(tmp_path, scenario)
    assert [json.loads(line)["draft"]["type"] for line in world.refused.read_text().splitlines()] == [
        "intent",
        "audit.degraded",
    ]


def test_a_journal_in_trouble_is_asked_again(tmp_path: Path) -> None:
    tries = 0

    def refuse(draft: dict[str, Any]) -> str:
        nonlocal tries
        tries += 1
        return "timeout" if tries < 8 else ""

    async def scenario(world: World) -> None:
        world.journal.refuse = refuse
        await world.add("a")
        await world.shipped()

    world = play(tmp_path, scenario)
    assert kept(world) == ["a"]
    assert not world.refused.exists()


def test_a_number_the_journal_knows_otherwise_is_recorded_again(tmp_path: Path) -> None:
    """A restored snapshot of a spool gives out numbers again; nothing may get lost by that."""

    async def scenario(world: World) -> None:
        world.journal.refuse = lambda draft: "conflict" if draft["number"] <= 2 else ""
        await world.add("a", "b")
        await world.shipped()

    world = play(tmp_path, scenario)
    assert sorted(kept(world)) == ["a", "b"]
    assert not world.refused.exists()
