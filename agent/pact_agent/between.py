"""Bytes between a terminal that the agent holds and a socket whose other end somebody has, recorded on the way."""

from __future__ import annotations

import os
import socket

from pact_agent.recording import Recording
from pact_agent.sshrelay import Input, Output

_STALLED_S = 2.0


class Between:
    """Owns `master`, the terminal's other end. `theirs` is to be handed over, and then closed by `handed_over`."""

    def __init__(self, master: int, recording: Recording) -> None:
        self._recording = recording
        self._blocked: set[str] = set()
        ours, self.theirs = socket.socketpair()
        self._screen = Input(lambda held: self._block("screen", held))
        self._screen.attach(os.dup(ours.fileno()), terminal=False)
        self._keys = Input(self._hold_keys)
        self._keys.attach(os.dup(master), terminal=True)
        self._shown = Output(master, self.show)
        self._typed = Output(ours.detach(), self._keys.feed)
        recording.on_lag = lambda lagging: self._block("recording", lagging)

    def handed_over(self) -> None:
        """They have it."""
        self.theirs.close()

    def show(self, data: bytes) -> None:
        """Record and show it."""
        if self._recording.shown(data):
            self._screen.feed(data)

    def _block(self, reason: str, blocked: bool) -> None:
        (self._blocked.add if blocked else self._blocked.discard)(reason)
        self._shown.pause(bool(self._blocked))

    def _hold_keys(self, held: bool) -> None:
        self._typed.pause(held)

    async def finish(self) -> None:
        """Show what the terminal still holds, and wait until they have taken it."""
        await self._shown.drain(_STALLED_S)
        self._no_more()
        self._screen.end()
        await self._screen.detached.wait()

    def close(self) -> None:
        """Carry no more, whatever they have not taken yet: whoever doesn't read must not keep this for ever."""
        self._no_more()
        self._screen.detach()

    def _no_more(self) -> None:
        self._shown.close()
        self._typed.close()
        self._keys.detach()
        self.theirs.close()
