"""The agent's connection while the prompt waits: frames in the event loop, state asked for regularly.

At most one `state` and one `check` are out at a time, so sending never blocks on an agent that is
slow to answer. While a line runs the loop stands still and `runner` reads the connection instead.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from pactsh.shell.runner import AgentError
from pactsh.shell.wire import Connection, ConnectionLost, Frame


class Link:
    """Reads the connection between `start` and `stop`. Frames go to `on_frame`, the end to `on_lost`."""

    def __init__(
        self,
        connection: Connection,
        on_frame: Callable[[Frame], None],
        on_lost: Callable[[ConnectionLost | AgentError], None],
    ) -> None:
        self.connection = connection
        self.lost = False
        self._on_frame = on_frame
        self._on_lost = on_lost
        self._state_asked = False
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Begin to read; frames that came while a line ran are handed out at once."""
        if self.lost:
            return
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self.connection.fileno(), self._readable)
        self._hand_out()

    def stop(self) -> None:
        """Leave the connection to someone else."""
        if self._loop is not None:
            self._loop.remove_reader(self.connection.fileno())
            self._loop = None

    def replace(self, connection: Connection) -> None:
        """Go on with a new connection after the old one was lost."""
        self.stop()
        self.connection.close()
        self.connection = connection
        self.lost = False
        self._state_asked = False

    def ask_state(self) -> None:
        """Ask for the toolbar's facts unless an answer is due."""
        if not self._state_asked and self._send({"op": "state"}):
            self._state_asked = True

    def ask_whitelist(self) -> bool:
        """Ask what this person may run here; the answer is an `item` frame."""
        return self._send({"op": "call", "method": "whitelist"})

    def ask_check(self, line: str) -> bool:
        """Ask what would be decided about a line; False when that is not possible now."""
        return self._send({"op": "check", "line": line})

    def take(self, frame: Frame) -> None:
        """Hand out one frame, wherever it was read."""
        if frame.op == "state":
            self._state_asked = False
        self._on_frame(frame)

    def mark_lost(self, error: ConnectionLost | AgentError) -> None:
        """Note that the connection has ended, and say so once."""
        if not self.lost:
            self.lost = True
            self.stop()
            self._on_lost(error)

    def _send(self, fields: dict[str, object]) -> bool:
        if self.lost or self._loop is None:
            return False
        try:
            self.connection.send(fields)
        except (ConnectionLost, OSError) as error:
            self.mark_lost(error if isinstance(error, ConnectionLost) else ConnectionLost(str(error)))
            return False
        return True

    def _readable(self) -> None:
        try:
            self.connection.read_some()
        except ConnectionLost as error:
            self.mark_lost(error)
            return
        self._hand_out()

    def _hand_out(self) -> None:
        try:
            while (frame := self.connection.next_frame()) is not None:
                if frame.op == "error":
                    raise AgentError(frame)
                self.take(frame)
        except (ConnectionLost, AgentError) as error:
            self.mark_lost(error)
