"""The prompt without escape sequences: for dumb terminals, pipes and expect scripts.

The kernel does the line editing. Nothing is ever redrawn; the prompt is printed once a line.
Standard library only.
"""

import posix

from pactsh.shell.lines import Input, TerminalLines
from pactsh.shell.report import visible, write_error
from pactsh.shell.script import run_input
from pactsh.shell.wire import Connection, Frame

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
else:
    import _signal


class PlainShell:
    """Prompt, read, run, until the end of input or of the session."""

    def __init__(self, connection: Connection, session: Frame) -> None:
        self._connection = connection
        self._prompt = f"pact:{visible(session.text('node'))}> ".encode()
        self._lines = TerminalLines(0)
        self._status = 0

    def run(self) -> int:
        """Run to the end and return the last status. Raises ConnectionLost, AgentError."""
        _signal.signal(_signal.SIGINT, _interrupt)
        while (given := self._read()) is not None:
            if isinstance(given, bytes) and not given.strip():
                continue
            outcome = run_input(self._connection, given)
            self._status = outcome.status
            if outcome.status == 130:
                _write(b"\n")  # the terminal has echoed ^C; what comes next starts on a line of its own
            self._lines.put_back(outcome.unread)
            if outcome.end:
                return self._status
            if outcome.stopped_by:
                break
        _write(b"\n")  # after ^D, so that what comes next starts on a line of its own
        self._connection.post({"op": "bye", "status": self._status})
        return self._status

    def _read(self) -> Input:
        """Read a line; ^C gives it up and asks anew, with status 130."""
        while True:
            try:
                _write(self._prompt)
                return self._lines.read_line()
            except KeyboardInterrupt:
                self._lines.discard()
                self._status = 130
                _write(b"\n")
            except OSError:  # the terminal is gone
                self._connection.post({"op": "bye", "status": 129})
                return None


def _interrupt(_number: int, _stack: object) -> None:
    raise KeyboardInterrupt


def _write(data: bytes) -> None:
    try:
        posix.write(1, data)
    except OSError:
        write_error("")
