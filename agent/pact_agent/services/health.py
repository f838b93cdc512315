"""Finding out whether a service does its work: its process is there, its port takes a connection, its page is well."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket

from pact_agent.aside import aside
from pact_agent.services.definition import Health, target_of
from pactsh.errors import PactError

_LONGEST_LINE = 4096


async def ails(health: Health) -> str:
    """What is wrong with it; "" when nothing is. Its process is looked after by others."""
    target = target_of(health) if health.check != "process" else None
    if target is None:
        return ""
    host, port, path = target
    try:
        async with asyncio.timeout(health.timeout_s):
            reader, writer = await _connected(host, port, health.timeout_s)
            try:
                return await _page(reader, writer, host, path) if health.check == "http" else ""
            finally:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
    except TimeoutError:
        return f"no answer from {host}:{port} within {health.timeout_s:g} s"
    except OSError as error:
        return f"{host}:{port}: {error.strerror or error}"
    except PactError as error:
        return error.message


async def _connected(host: str, port: int, limit_s: float) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection to the first of its addresses that takes one. Names are looked up aside: asyncio's own threads are
    few and others', and a name server that is away would keep them all."""
    find = functools.partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    found = await aside(limit_s, f"looking up {host}", find)
    *others, last = dict.fromkeys(str(address[0]) for *_, address in found)
    for address in others:
        with contextlib.suppress(OSError):
            return await asyncio.open_connection(address, port, limit=_LONGEST_LINE)
    return await asyncio.open_connection(last, port, limit=_LONGEST_LINE)


async def _page(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, path: str) -> str:
    name = f"[{host}]" if ":" in host else host
    writer.write(f"GET {path} HTTP/1.0\r\nHost: {name}\r\nUser-Agent: pact-agent\r\n\r\n".encode("ascii"))
    await writer.drain()
    try:
        line = await reader.readline()
    except ValueError:  # longer than any status line
        line = b""
    words = line.split()
    if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
        return f"{path}: no answer in HTTP"
    return "" if 200 <= int(words[1]) < 400 else f"{path}: HTTP status {int(words[1])}"
