"""The client against a real journal, and against what is none."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from pactsh.auth.ca import Authority
from pactsh.errors import AuthError, PactError, UnreachableError, UsageError
from pactsh.journal.server import Server
from pactsh.rpc.client import Journal
from tests.pactsh.journal.material import draft
from tests.pactsh.journal.site import ADMIN, collect, config, running


def test_it_loads_neither_pydantic_nor_rich_and_keeps_grpc_quiet() -> None:
    code = (
        "import sys, os, pactsh.rpc.client\n"
        "assert not {'pydantic', 'rich', 'cryptography'} & set(sys.modules)\n"
        "assert os.environ['GRPC_VERBOSITY'] == 'NONE' and os.environ['GRPC_ENABLE_FORK_SUPPORT'] == '0'"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GRPC_")}
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, env=environment)


@pytest.mark.parametrize(
    "options",
    [
        {"endpoint": "nonsense"},
        {"endpoint": "http://x:1"},
        {"endpoint": "unix:relative"},
        {"endpoint": "x:99999"},
        {"endpoint": "x:1", "cert": b"x"},
        {"endpoint": "x:1", "token": "t", "cert": b"x", "key": b"y"},
    ],
)
def test_what_can_not_be_a_connection_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Journal(ca=b"", **options)


def test_a_token_with_a_line_break_is_refused() -> None:
    with pytest.raises(AuthError):
        Journal("x:1", ca=b"", token="abc\r\nx: y")


@asynccontextmanager
async def listener(answer: bytes | None) -> AsyncIterator[str]:
    """Something on a port that is no journal: says `answer`, or nothing at all."""

    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        if answer is not None:
            writer.write(answer)
        with contextlib.suppress(ConnectionError):
            await reader.read()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        try:
            yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            for writer in writers:  # whoever still waits is not left to the next test
                writer.transport.abort()
                with contextlib.suppress(ConnectionError):
                    await writer.wait_closed()


def test_nobody_there_is_unreachable_within_the_timeout(tmp_path: Path) -> None:
    ca = Authority.create(tmp_path / "ca").ca_pem

    async def run() -> None:
        async with listener(None) as silent:
            closed = silent
            async with Journal(silent, ca=ca, timeout_s=1) as journal:
                started = time.monotonic()
                with pytest.raises(UnreachableError, match=silent):
                    await journal.list()
                assert time.monotonic() - started < 5
        for endpoint in (closed, f"unix:{tmp_path}/none"):
            async with Journal(endpoint, ca=ca, timeout_s=5) as journal:
                for attempt in (
                    journal.list(),
                    journal.append([draft(1)]),
                    journal.trust(),
                    collect(journal.watch(1), 1),
                ):
                    with pytest.raises(UnreachableError, match=endpoint) as caught:
                        await attempt
                    assert caught.value.code == 5

    asyncio.run(run())


def test_a_server_of_another_authority_is_not_trusted(tmp_path: Path) -> None:
    stranger = Authority.create(tmp_path / "stranger").ca_pem

    async def run() -> None:
        async with running(tmp_path) as site:
            token = site.token("root@x", ADMIN)
            async with Journal(site.server.endpoint, ca=stranger, token=token, timeout_s=5) as journal:
                with pytest.raises(AuthError, match="can't be trusted"):
                    await journal.list()
        async with listener(b"HTTP/1.1 400 Bad Request\r\n\r\n") as web:
            async with Journal(web, ca=stranger, timeout_s=5) as journal:
                with pytest.raises((AuthError, UnreachableError), match=web):
                    await journal.list()

    asyncio.run(run())


def test_a_ca_file_that_is_none_is_an_error_not_a_default(tmp_path: Path) -> None:
    async def run() -> None:
        async with running(tmp_path) as site, Journal(site.server.endpoint, ca=b"garbage", timeout_s=3) as journal:
            with pytest.raises(PactError):
                await journal.trust()

    asyncio.run(run())


def test_unix_socket(tmp_path: Path) -> None:
    async def run() -> None:
        async with running(tmp_path) as site, site.agent(unix=True) as agent:
            assert (await agent.append([draft(1)]))[0][0].seq == 1
            assert await agent.report_node(vcluster="ml", ssh_address="10.0.0.1:9445") > 0
            assert [(n.node, n.present) for n in await agent.nodes()] == [("node042", True)]

    asyncio.run(run())


def test_a_watch_goes_on_after_the_server_was_away(tmp_path: Path) -> None:
    """Three restarts; everything arrives once, in order, what was appended meanwhile too."""

    async def run() -> None:
        seen: list[int] = []
        lost: list[PactError] = []
        more = asyncio.Event()
        server = Server(config(tmp_path))

        async def follow(journal: Journal) -> None:
            async for entry in journal.watch(1, on_lost=lost.append):
                seen.append(entry.seq)
                more.set()

        async def until(count: int) -> None:
            while len(seen) < count:
                await asyncio.wait_for(more.wait(), 20)
                more.clear()

        async with running(tmp_path) as site:
            fixed = {"listen": site.server.endpoint, "listen_agents": site.server.agents_endpoint}
            agent, admin = site.agent(), site.admin()
        async with agent, admin:
            watching: asyncio.Task[None] | None = None
            for restart in range(3):
                server = Server(config(tmp_path, **fixed))
                async with server:
                    if watching is None:
                        watching = asyncio.ensure_future(follow(admin))
                    await append_patiently(agent, [draft(n) for n in range(restart * 10, restart * 10 + 10)])
                    await until((restart + 1) * 10)
            async with Server(config(tmp_path, **fixed)):
                await append_patiently(agent, [draft(100)])
                await until(31)
            assert watching is not None
            watching.cancel()
        assert seen == list(range(1, 32))
        assert len(lost) >= 3

    asyncio.run(run())


async def append_patiently(agent: Journal, drafts: list[Any]) -> None:
    """As the uplink does: the same again until the journal is there."""
    for _ in range(100):
        try:
            await agent.append(drafts)
            return
        except UnreachableError:
            await asyncio.sleep(0.1)
    raise AssertionError("the journal never came back")


def test_a_stream_of_appends_survives_nothing_but_says_so(tmp_path: Path) -> None:
    async def run() -> None:
        async with running(tmp_path) as site:
            agent = site.agent()
            await agent.__aenter__()
            stream = agent.open_append()
            await stream.send([draft(1)])
            acks, _ = await stream.receive()
            assert acks[0].seq == 1

        async def again() -> None:
            await stream.send([draft(2)])
            await stream.receive()

        with pytest.raises(UnreachableError):
            await again()
        await agent.__aexit__(None, None, None)

    asyncio.run(run())
