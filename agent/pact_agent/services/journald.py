"""What units of systemd have said, as journalctl(1) tells it: bounded, or followed until nobody listens any more."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator

from pactsh.errors import PactError

_PROGRAMS = ("/usr/bin/journalctl", "/bin/journalctl")
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "SYSTEMD_PAGER": "", "SYSTEMD_COLORS": "0"}
_CHUNK_BYTES = 48 << 10  # what a frame takes, however it is escaped
_LIMIT_S = 30.0


async def unit_logs(unit: str, lines: int, *, follow: bool) -> AsyncGenerator[list[str], None]:
    """Lines of a unit, oldest first. Raises `PactError`."""
    program = next((path for path in _PROGRAMS if os.access(path, os.X_OK)), "")
    if not program:
        raise PactError(f"service: {unit}: this node has no journalctl", hint="its log is where its syslog keeps it")
    words = (f"--unit={unit}", f"--lines={lines}", "--output=short-iso", "--no-pager", "--quiet")
    process = await asyncio.create_subprocess_exec(
        program, *words, *(("--follow",) if follow else ()), env=_ENVIRONMENT,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        rest = b""
        while True:
            try:  # around what is waited for alone: whoever reads this may be slow, and would be cancelled in its place
                async with asyncio.timeout(None if follow else _LIMIT_S):
                    data = await process.stdout.read(_CHUNK_BYTES)
            except TimeoutError:
                raise PactError(f"service: {unit}: its log can't be read: nothing for {_LIMIT_S:.0f} s") from None
            if not data:
                break
            *whole, rest = (rest + data).split(b"\n")
            if len(rest) > _CHUNK_BYTES:
                whole, rest = [*whole, rest], b""
            if whole:
                yield [text_of(line) for line in whole]
        if rest:
            yield [text_of(rest)]
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await asyncio.shield(process.wait())


def text_of(line: bytes) -> str:
    r"""A line as text; bytes that are none are shown as such.

    >>> text_of(b"caf\xc3\xa9 \xff")
    'café \\xff'
    """
    return line.decode("utf-8", "backslashreplace")
