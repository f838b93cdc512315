"""Copies between this terminal and the pseudo-terminal of a running pipeline.

While a pseudo-terminal is attached this terminal is raw, so that every key, ^C included, reaches
the pipeline's own line discipline. The modes are put back whatever happens. Imported only once the
agent has said that it started one. Standard library only.
"""

from __future__ import annotations

import os
import select
import signal
import termios
import time
from collections import deque
from types import FrameType
from typing import Any

from pactsh.shell.report import notice_text
from pactsh.shell.runner import terminal_fields
from pactsh.shell.terminal import raw_modes
from pactsh.shell.wire import Connection, Frame

_CHUNK_BYTES = 16384
_BACKLOG_LIMIT_BYTES = 65536
_DRAIN_LIMIT_S = 2.0  # for a pty kept open by someone after the agent has said that all is over
_HANGUP_LIMIT_S = 5.0


class Relay:
    """Relays one pipeline after the other until the line is over. Use: attach, receive…, finish, close."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._input = 0 if _is_own_terminal(0) else -1
        self._output = 1
        self._saved: list[Any] | None = None
        self._master = -1
        self._backlog = bytearray()
        self._frames: deque[Frame] = deque()
        self._held: deque[Frame] = deque()
        self._winch_before: Any = None
        self._hung_up_at: float | None = None
        self.needs_newline = False

    def attach(self, master: int) -> None:
        """Relay for this pty from now on; what the one before still holds is shown first."""
        self.detach()
        os.set_blocking(master, False)
        self._master = master
        self._make_raw()
        if self._winch_before is None:
            self._winch_before = signal.signal(signal.SIGWINCH, self._resized)

    def detach(self) -> None:
        """Show what the pty still holds, close it, and give this terminal its modes back."""
        if self._master >= 0:
            self._drain()
            os.close(self._master)
            self._master = -1
        self._restore()

    def receive(self) -> Frame:
        """Relay until the agent sends a frame. Raises ConnectionLost."""
        while True:
            if self._frames:
                return self._frames.popleft()
            frame = self._connection.next_frame()
            if frame is None:
                self._turn()
            elif frame.op == "notice" and self._is_full_screen():
                self._held.append(frame)  # a line across `top` helps nobody; it follows at the end
            elif frame.op == "notice":
                self._show(b"\r\n" + notice_text(frame).encode().replace(b"\n", b"\r\n"))
            else:
                return frame

    def finish(self) -> bytes:
        """End the relay; return typed input that reached no pipeline."""
        self._read_input_left()
        self.detach()
        left = bytes(self._backlog)
        self._backlog.clear()
        for frame in self._held:
            self._show(notice_text(frame).encode())
        self._held.clear()
        return left

    def close(self) -> None:
        """Put everything back; harmless after `finish`, needed when an error came between."""
        if self._master >= 0:
            os.close(self._master)
            self._master = -1
        self._restore()
        if self._winch_before is not None:
            signal.signal(signal.SIGWINCH, self._winch_before)
            self._winch_before = None

    # One turn of the loop

    def _turn(self) -> None:
        poll = select.poll()
        poll.register(self._connection.fileno(), select.POLLIN)
        if self._master >= 0:
            wanted = select.POLLIN if self._can_show() else 0
            poll.register(self._master, wanted | (select.POLLOUT if self._backlog else 0))
            if not wanted:
                poll.register(self._output, select.POLLOUT)
        if self._input >= 0 and self._hung_up_at is None and len(self._backlog) < _BACKLOG_LIMIT_BYTES:
            poll.register(self._input, select.POLLIN)
        events = dict(poll.poll(self._patience_ms()))
        if events.get(self._input, 0) and self._input >= 0:
            self._take_input()
        if self._master >= 0 and (event := events.get(self._master, 0)):
            if event & select.POLLOUT:
                self._feed()
            if event & (select.POLLIN | select.POLLHUP | select.POLLERR):
                self._show_some()
        if events.get(self._connection.fileno(), 0):
            self._connection.read_some()

    def _patience_ms(self) -> int | None:
        if self._hung_up_at is None:
            return None
        left_s = self._hung_up_at + _HANGUP_LIMIT_S - time.monotonic()
        if left_s <= 0:
            self.close()
            raise SystemExit(129)  # 128 + SIGHUP: the terminal is gone and the agent doesn't answer
        return int(left_s * 1000) + 1

    def _can_show(self) -> bool:
        """Tell whether the terminal takes output now: a stalled one must not block what is typed."""
        poll = select.poll()
        poll.register(self._output, select.POLLOUT)
        return bool(poll.poll(0))

    def _show_some(self) -> bool:
        """Copy one piece of output; False at its end."""
        try:
            data = os.read(self._master, _CHUNK_BYTES)
        except BlockingIOError:
            return True
        except OSError:  # EIO: every process has closed the terminal
            data = b""
        if not data:
            # The end of this pipeline's terminal, not of the line: only a frame tells that.
            os.close(self._master)
            self._master = -1
            return False
        self._show(data)
        return True

    def _show(self, data: bytes) -> None:
        self.needs_newline = not data.endswith(b"\n") if data else self.needs_newline
        try:
            while data:
                data = data[os.write(self._output, data) :]
        except BlockingIOError:
            select.select([], [self._output], [])
            self._show(data)
        except OSError:
            self._hang_up()

    def _take_input(self) -> None:
        try:
            data = os.read(self._input, 4096)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._hang_up()
            return
        if self._backlog:
            data = self._interrupt_past_backlog(data)
        self._backlog += data
        self._feed()

    def _interrupt_past_backlog(self, data: bytes) -> bytes:
        """Let ^C through when the pipeline takes no input: the keys before it are lost, as on a terminal."""
        if self._master < 0:
            return data
        try:
            modes = termios.tcgetattr(self._master)
        except termios.error:
            return data
        before, found, after = data.partition(modes[6][termios.VINTR])
        if not found or not modes[3] & termios.ISIG:
            return before + found + after
        self._backlog.clear()
        self._connection.post({"op": "signal", "name": "INT"})
        return after

    def _feed(self) -> None:
        if self._master < 0 or not self._backlog or self._is_over():
            return
        try:
            del self._backlog[: os.write(self._master, self._backlog[:_CHUNK_BYTES])]
        except BlockingIOError:
            pass
        except OSError:
            pass  # the pipeline's terminal is gone; what was typed waits for the prompt

    def _is_over(self) -> bool:
        """Tell whether the agent has closed the other end: what is written now would be lost without an error."""
        poll = select.poll()
        poll.register(self._master, 0)
        return any(event & select.POLLHUP for _fd, event in poll.poll(0))

    def _hang_up(self) -> None:
        if self._hung_up_at is None:
            self._hung_up_at = time.monotonic()
            self._connection.post({"op": "signal", "name": "HUP"})

    # The end

    def _drain(self) -> None:
        """Show all output that is left. The kernel hands it over a moment after the writer is gone."""
        deadline = time.monotonic() + _DRAIN_LIMIT_S
        poll = select.poll()
        poll.register(self._master, select.POLLIN)
        while self._master >= 0 and (left_s := deadline - time.monotonic()) > 0:
            if poll.poll(int(left_s * 1000)) and not self._show_some_or_end():
                return

    def _show_some_or_end(self) -> bool:
        try:
            data = os.read(self._master, _CHUNK_BYTES)
        except BlockingIOError:
            return True
        except OSError:
            return False
        self._show(data)
        return bool(data)

    def _read_input_left(self) -> None:
        """Take what is typed but not yet read: raw bytes make no line once the terminal is cooked again."""
        if self._input < 0 or self._saved is None or self._hung_up_at is not None:
            return
        poll = select.poll()
        poll.register(self._input, select.POLLIN)
        while len(self._backlog) < _BACKLOG_LIMIT_BYTES and poll.poll(0):
            try:
                data = os.read(self._input, 4096)
            except OSError:
                return
            if not data:
                return
            self._backlog += data

    # This terminal

    def _make_raw(self) -> None:
        if self._saved is not None or self._input < 0:
            return
        self._saved = termios.tcgetattr(self._input)
        termios.tcsetattr(self._input, termios.TCSANOW, raw_modes(self._saved))

    def _restore(self) -> None:
        if self._saved is None:
            return
        saved, self._saved = self._saved, None
        try:
            termios.tcsetattr(self._input, termios.TCSANOW, saved)
        except termios.error:
            pass  # hung up: there is no terminal left to restore

    def _resized(self, _number: int, _stack: FrameType | None) -> None:
        fields = terminal_fields()
        self._connection.post({"op": "resize", "rows": fields["rows"], "cols": fields["cols"]})

    def _is_full_screen(self) -> bool:
        """Tell whether the running program reads keys rather than lines, as `top` does."""
        try:
            return self._master >= 0 and not termios.tcgetattr(self._master)[3] & termios.ICANON
        except termios.error:
            return False


def _is_own_terminal(fd: int) -> bool:
    """Tell whether fd is a terminal that this process may change: in the background it may not."""
    try:
        return os.tcgetpgrp(fd) == os.getpgrp()
    except OSError:
        # Not our controlling terminal, or none. A terminal without job control is still ours to use.
        return os.isatty(fd)
