"""Where the output of nodes goes: straight through, line by line behind the node's name, or kept until the end."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from pactsh.cli.stdio import write_all

_LONGEST_LINE = 64 << 10


class Raw:
    """Of a node that is alone: as it comes."""

    async def write(self, fd: int, data: bytes) -> None:
        """Pass it on."""
        await write_all(fd, data)


class Prefixed:
    """Of one node among several: whole lines, each behind `NODE: `; `clear` takes away what is drawn on the screen.

    A line that does not end is broken after 64 KiB.
    """

    def __init__(self, node: str, clear: Callable[[], None]) -> None:
        self._prefix = f"{node}: ".encode()
        self._clear = clear
        self._partial = {1: b"", 2: b""}

    async def write(self, fd: int, data: bytes) -> None:
        """Print the lines that are whole."""
        whole, newline, rest = (self._partial[fd] + data).rpartition(b"\n")
        if len(rest) > _LONGEST_LINE:
            whole, newline, rest = whole + newline + rest, b"\n", b""
        self._partial[fd] = rest
        if newline:
            await self._print(fd, whole)

    async def finish(self) -> None:
        """Print a last line that had no newline."""
        for fd, rest in self._partial.items():
            if rest:
                await self._print(fd, rest)

    async def _print(self, fd: int, lines: bytes) -> None:
        self._clear()
        await write_all(fd, b"".join(self._prefix + line + b"\n" for line in lines.split(b"\n")))


class Kept:
    """Kept, for JSON and for folding."""

    def __init__(self) -> None:
        self._kept = {1: bytearray(), 2: bytearray()}

    async def write(self, fd: int, data: bytes) -> None:
        """Keep it."""
        self._kept[fd] += data

    def bytes_of(self, fd: int) -> bytes:
        """All of it."""
        return bytes(self._kept[fd])

    def text(self, fd: int) -> str:
        """As text, undecodable bytes escaped."""
        return self._kept[fd].decode("utf-8", "backslashreplace")


class Folded:
    """Outputs of many nodes, each different one kept once, up to `limit` bytes in all."""

    def __init__(self, limit: int) -> None:
        self._room = limit
        self._outputs: dict[bytes, tuple[bytes, bytes]] = {}
        self._nodes: dict[tuple[bytes, str, int], list[str]] = {}

    def add(self, node: str, kept: Kept, result: str, status: int) -> bool:
        """Take the output of a node; false: there is no room left, and only how it ended is taken."""
        stdout, stderr = kept.bytes_of(1), kept.bytes_of(2)
        digest = hashlib.sha256(len(stdout).to_bytes(8, "big") + stdout + stderr).digest()
        is_new, size = digest not in self._outputs, len(stdout) + len(stderr)
        fits = not is_new or size <= self._room
        if not fits:
            digest, stdout, stderr = b"", b"", b""
        elif is_new:
            self._room -= size
        self._outputs.setdefault(digest, (stdout, stderr))
        self._nodes.setdefault((digest, result, status), []).append(node)
        return fits

    def groups(self) -> list[tuple[list[str], str, int, bytes, bytes]]:
        """Nodes, result, status, stdout, stderr: of most nodes first."""
        ordered = sorted(self._nodes.items(), key=lambda item: (-len(item[1]), item[1][0]))
        return [(sorted(nodes), key[1], key[2], *self._outputs[key[0]]) for key, nodes in ordered]
