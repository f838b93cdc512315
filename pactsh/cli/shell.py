"""`pact shell`: an interactive session on a node.

The node runs the shell; this side only carries bytes between the terminal and the channel, raw, with
window sizes. With a pipe instead of a terminal the lines are read from it, and nothing is drawn.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pactsh.cli import interrupts
from pactsh.cli.arguments import NODE
from pactsh.cli.command import Command
from pactsh.cli.context import Context
from pactsh.cli.render import Out
from pactsh.cli.stdio import CHUNK_BYTES, feed, write_all
from pactsh.errors import UnreachableError, UsageError

if TYPE_CHECKING:
    import asyncssh

    from pactsh.cli.ownrecording import OwnRecording


@dataclass(frozen=True, slots=True)
class Args:
    """The node to sit at, and a new file for a copy of what is shown."""

    node: str
    record: Path | None = None


# What a prompt or a full-screen program, cut off, can't take back itself: the other screen, bracketed paste,
# application keys, a hidden cursor, colours; then a new line, and nothing below it (the toolbar).
_FORSAKEN = b"\x1b[?47l\x1b[?2004l\x1b[?1l\x1b>\x1b[?25h\x1b[0m\n\x1b[J"


@dataclass(frozen=True, slots=True)
class Result:
    """How the session ended: the status of its last line, or what `exit` was given."""

    node: str
    status: int

    @property
    def exit_status(self) -> int:
        """The session's own."""
        return self.status


def run(ctx: Context, args: Args) -> Result:
    """Connect and stay until the session ends."""
    from pactsh.cli.ownrecording import OwnRecording
    from pactsh.cli.sshclient import Gate

    term = ctx.environ.get("TERM") or "dumb"
    if args.record is None:
        return interrupts.run(_session(Gate(ctx), args.node, term, None))
    if not (os.isatty(0) and os.isatty(1)):
        raise UsageError("shell: --record is for a session on a terminal, and this is none")
    gate, size = Gate(ctx), _size()
    with OwnRecording(args.record, f"shell on {args.node}", size[:2], term, ctx.now()) as recording:
        result = interrupts.run(_session(gate, args.node, term, recording))
    if recording.problem:
        ctx.notice(f"pact: {args.record}: the copy is not whole: {recording.problem}")
    return result


async def _session(gate: object, node: str, term: str, recording: OwnRecording | None) -> Result:
    from pactsh.cli.sshclient import Gate

    assert isinstance(gate, Gate)
    connection = await gate.connect(node)
    try:
        interactive = os.isatty(0) and os.isatty(1)
        process = await connection.create_process(
            None,
            encoding=None,
            term_type=term if interactive else None,
            term_size=_size() if interactive else (0, 0, 0, 0),
        )
        status = await (_terminal(process, recording) if interactive else _pipes(process))
    finally:
        connection.close()
        with contextlib.suppress(Exception):
            await asyncio.wait_for(connection.wait_closed(), 1.0)
    if status is None:
        if interactive and term != "dumb":
            os.write(1, _FORSAKEN)
        raise UnreachableError(f"{node}: the connection was lost", hint="what was running there was ended by its agent")
    return Result(node, 128 - status if status < 0 else status)


def _size() -> tuple[int, int, int, int]:
    size = os.get_terminal_size(1)
    return size.columns, size.lines, 0, 0


@contextmanager
def _raw(fd: int) -> Iterator[None]:
    """Every key goes to the node; the modes come back whatever happens."""
    before = termios.tcgetattr(fd)
    try:
        tty.setraw(fd, termios.TCSANOW)
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)


async def _terminal(process: asyncssh.SSHClientProcess[bytes], recording: OwnRecording | None) -> int | None:
    def resized() -> None:
        size = _size()
        process.change_terminal_size(*size)
        if recording is not None:
            recording.resized(*size[:2])

    asyncio.get_running_loop().add_signal_handler(signal.SIGWINCH, resized)
    with _raw(0):
        return await _carry(process, recording)


async def _pipes(process: asyncssh.SSHClientProcess[bytes]) -> int | None:
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, lambda: process.send_signal("INT"))
    return await _carry(process)


async def _carry(process: asyncssh.SSHClientProcess[bytes], recording: OwnRecording | None = None) -> int | None:
    """Bytes both ways until the far end is done; returns its status, None when the connection was lost."""
    import asyncssh

    feeding = asyncio.ensure_future(feed(process))
    try:
        await asyncio.gather(_show(process.stdout, 1, recording), _show(process.stderr, 2, recording))
        await process.wait_closed()
    except (asyncssh.DisconnectError, ConnectionResetError, TimeoutError):
        return None
    finally:
        feeding.cancel()
    return process.returncode


async def _show(reader: asyncssh.SSHReader[bytes], fd: int, recording: OwnRecording | None) -> None:
    while data := await reader.read(CHUNK_BYTES):
        if recording is not None:
            recording.shown(data)
        await write_all(fd, data)


def render(_result: Result, out: Out) -> None:
    """Nothing: the session has said it all."""
    out.flush()
    sys.stdout.flush()


command = Command(
    "shell",
    help="""Open an interactive session on a node.

    Every line typed there is parsed, authorised, journaled and only then run. The prompt is pact:NODE>.""",
    run=run,
    render=render,
    args=Args,
    params=[
        click.Argument(["node"], metavar="NODE", type=NODE),
        click.Option(
            ["--record"],
            type=click.Path(dir_okay=False, path_type=Path),
            metavar="FILE",
            help="Keep a copy of what is shown in a new FILE (asciicast).",
        ),
    ],
)
