"""Runs one line through the agent and tells how it ended. Shared by `-c`, scripts and the prompt.

Imports built-in C modules alone; the terminal relay and the rendering of refusals are imported
when the agent's answer asks for them.
"""

import posix

from pactsh.shell.wire import Connection, ConnectionLost, Frame

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Callable
    from typing import Self

    from pactsh.shell.relay import Relay
else:
    import _signal

LINE_LIMIT_BYTES = 65536
_FORWARDED: dict[int, str] = {
    _signal.SIGINT: "INT",
    _signal.SIGQUIT: "QUIT",
    _signal.SIGTERM: "TERM",
    _signal.SIGHUP: "HUP",
}


class Outcome:
    """How a line ended.

    `end`: the session is over. `unread`: typed input that nobody read. `cwd`: the session's directory
    from now on, "" when unknown. `stopped_by`: TERM or HUP reached this program meanwhile, else 0.
    `needs_newline`: the output shown ended inside a line.
    """

    __slots__ = ("cwd", "end", "needs_newline", "refusal", "status", "stopped_by", "unread")

    def __init__(self, status: int, *, refusal: Frame | None = None) -> None:
        self.status = status
        self.refusal = refusal
        self.end = False
        self.unread = b""
        self.cwd = ""
        self.stopped_by = 0
        self.needs_newline = False


class AgentError(Exception):
    """The agent's `error` frame: it ends the connection."""

    def __init__(self, frame: Frame) -> None:
        super().__init__(frame.text("message"))
        self.code = frame.number("code", 1)
        self.kind = frame.text("kind") or "error"
        self.message = frame.text("message") or "unknown error"
        self.hint = frame.text("hint")
        self.may_sign_in = frame.flag("sign_in")


def is_terminal(fd: int) -> bool:
    """Tell whether a descriptor is a terminal; a closed one is not."""
    return posix.isatty(fd)


def terminal_fields() -> dict[str, object]:
    """Describe the terminal for `session` and `run` frames; 0 rows and columns without one."""
    fields: dict[str, object] = {
        "term": posix.environ.get(b"TERM", b"dumb").decode("utf-8", "replace"),
        "rows": 0,
        "cols": 0,
    }
    for fd in (1, 0, 2):
        try:
            size = posix.get_terminal_size(fd)
        except OSError:
            continue
        fields["rows"], fields["cols"] = size.lines, size.columns
        break
    return fields


def language_of_messages() -> str:
    """Return the caller's locale name, which commands print in if the agent allows it."""
    environ = posix.environ
    value = environ.get(b"LC_ALL") or environ.get(b"LC_MESSAGES") or environ.get(b"LANG") or b""
    return value.decode("ascii", "replace")


class _Forwarding:
    """While a line runs, signals sent to this program go to the line's processes instead.

    Without this ^C would end the client alone when no pseudo-terminal stands between, and
    leave the command running. A signal that was ignored at the start (nohup) stays ignored. A
    second TERM or HUP ends this program, whatever the agent does; the agent then stops the line.
    """

    __slots__ = ("_before", "_connection", "stopped_by")

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._before: dict[int, Callable[..., object] | int | None] = {}
        self.stopped_by = 0

    def __enter__(self) -> "Self":
        for number in _FORWARDED:
            before = _signal.getsignal(number)
            if before is not _signal.SIG_IGN and before != 1:  # `_signal` names it by number
                self._before[number] = before
                _signal.signal(number, self._forward)
        return self

    def __exit__(self, *exc: object) -> None:
        for number, before in self._before.items():
            _signal.signal(number, before)

    def _forward(self, number: int, _stack: object) -> None:
        if number in (_signal.SIGTERM, _signal.SIGHUP):
            if self.stopped_by:  # asked twice: the agent may hang, and must not hold us up
                raise SystemExit(128 + number)
            self.stopped_by = number
        self._connection.post({"op": "signal", "name": _FORWARDED[number]})


def send_line(connection: Connection, line: str) -> None:
    """Send one line with this process's stdin, stdout and stderr. Raises ConnectionLost, OSError."""
    request: dict[str, object] = {"op": "run", "line": line, "fds": 3, **terminal_fields()}
    request["lang"] = language_of_messages()
    connection.send(request, (0, 1, 2))


def run_line(
    connection: Connection,
    line: str,
    *,
    on_frame: "Callable[[Frame], None] | None" = None,
    sent: bool = False,
    first: Frame | None = None,
) -> Outcome:
    """Send one line, unless it is `sent` already, and wait for its end. `first`: what was answered to it so far.

    `on_frame` gets every frame that is not about the run (notices, late answers). A refusal is
    returned, not printed. Raises ConnectionLost, AgentError.
    """
    relay: Relay | None = None
    refusal: Frame | None = None
    with _Forwarding(connection) as forwarding:
        try:
            if not sent:
                send_line(connection, line)
            while True:
                if first is not None:
                    frame, first = first, None
                else:
                    frame = connection.receive() if relay is None else relay.receive()
                if frame.op == "started":
                    relay = _follow(connection, relay, frame)
                elif frame.op == "refused" and frame.flag("rest"):
                    refusal = frame  # what stood before has run: its exit frame follows
                elif frame.op in ("exit", "refused"):
                    outcome = _outcome(frame, relay)
                    outcome.refusal = outcome.refusal or refusal
                    outcome.stopped_by = forwarding.stopped_by
                    return outcome
                elif frame.op == "error":
                    raise AgentError(frame)
                elif on_frame is not None:
                    on_frame(frame)
                elif frame.op == "notice":
                    _print_notice(frame)
        finally:
            if relay is not None:
                relay.close()


def _follow(connection: Connection, relay: "Relay | None", frame: Frame) -> "Relay | None":
    """Take over the pseudo-terminal of the pipeline that has just started, if it has one."""
    if frame.flag("pty"):
        if not frame.fds:
            raise ConnectionLost("the agent started a terminal without handing it over")
        if relay is None:
            from pactsh.shell.relay import Relay

            relay = Relay(connection)
        relay.attach(frame.fds[0])
    elif relay is not None:
        relay.detach()
    return relay


def _outcome(frame: Frame, relay: "Relay | None") -> Outcome:
    if frame.op == "refused":
        outcome = Outcome(frame.number("status", 6), refusal=frame)
    else:
        outcome = Outcome(frame.number("status"))
        outcome.end = frame.flag("end")
        outcome.cwd = frame.text("cwd")
    if text := frame.text("unread"):
        from binascii import a2b_base64

        outcome.unread = a2b_base64(text)
    if relay is not None:
        outcome.unread += relay.finish()
        outcome.needs_newline = relay.needs_newline
    return outcome


def _print_notice(frame: Frame) -> None:
    from pactsh.shell.report import notice_text, write_error

    write_error(notice_text(frame))
