"""Whether a service does its work, asked of real ports."""

from __future__ import annotations

import asyncio
import socket
import threading

import pytest
from pact_agent.services.definition import Health
from pact_agent.services.health import ails


def asked(answer: bytes | None, check: str = "http", *, timeout_s: float = 5.0) -> str:
    """What is found wrong with a server that says `answer` to whatever it is asked; None: nothing, ever."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if answer is None:
            await reader.read()
        else:
            await reader.readline()
            writer.write(answer)
        writer.close()

    async def go() -> str:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server:
            if check == "http":
                return await ails(Health("http", url=f"http://127.0.0.1:{port}/ready", timeout_s=timeout_s))
            return await ails(Health("tcp", address=f"127.0.0.1:{port}", timeout_s=timeout_s))

    return asyncio.run(go())


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (b"HTTP/1.0 200 OK\r\n\r\nfine", ""),
        (b"HTTP/1.1 302 Found\r\n\r\n", ""),
        (b"HTTP/1.1 503 Not yet\r\n\r\n", "/ready: HTTP status 503"),
        (b"HTTP/1.1 404\r\n", "/ready: HTTP status 404"),
        (b"SSH-2.0-OpenSSH_9\r\n", "/ready: no answer in HTTP"),
        (b"", "/ready: no answer in HTTP"),
        (b"x" * 100_000, "/ready: no answer in HTTP"),
        (b"HTTP/1.1 \xff\xff\r\n", "/ready: no answer in HTTP"),
    ],
)
def test_a_page_is_well_with_a_status_below_400(answer: bytes, says: str) -> None:
    assert asked(answer) == says


def test_a_port_is_well_when_it_takes_a_connection() -> None:
    assert asked(b"", "tcp") == ""


def test_who_does_not_answer_is_not_waited_for() -> None:
    assert asked(None, timeout_s=0.1).endswith(" within 0.1 s")


def test_a_port_that_nobody_has() -> None:
    assert "127.0.0.1:1: " in asyncio.run(ails(Health("tcp", address="127.0.0.1:1")))
    assert asyncio.run(ails(Health("process"))) == ""


def test_a_name_server_that_is_away_keeps_nobody_elses_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    answered = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answered.wait(20) and [])

    async def go() -> int:
        health = Health("tcp", address="db.example.org:5432", timeout_s=0.01)
        try:
            for _ in range(40):  # more than asyncio has threads
                assert await ails(health)
            async with asyncio.timeout(10):
                return await asyncio.to_thread(int, "7")
        finally:
            answered.set()

    assert asyncio.run(go()) == 7
