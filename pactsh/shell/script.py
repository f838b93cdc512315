"""Runs a script: the lines of a file or of stdin, one after the other. Standard library only."""

import posix

from pactsh.shell.lines import FileLines, SharedLines, TooLong
from pactsh.shell.report import error_text, refusal_text, write_error
from pactsh.shell.runner import AgentError, Outcome, is_terminal, run_line, terminal_fields
from pactsh.shell.wire import Connection, Frame

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def open_session(connection: Connection, kind: str) -> Frame:
    """Begin a session and return the agent's answer. Raises ConnectionLost, AgentError.

    The answer is `started` where the agent runs the session itself, to record it: all there is to do is to relay.
    """
    fields = terminal_fields()
    if not (is_terminal(0) and is_terminal(1)):
        fields["term"] = "dumb"  # nobody who draws may take it for a terminal
    connection.send({"op": "session", "kind": kind, **fields})
    while True:
        frame = connection.receive()
        if frame.op in ("session", "started"):
            return frame
        if frame.op == "error":
            raise AgentError(frame)


def run_input(
    connection: Connection,
    given: bytes | TooLong,
    *,
    where: str = "",
    on_frame: "Callable[[Frame], None] | None" = None,
    sent: bool = False,
) -> Outcome:
    """Run one line as read (or as `sent` already), printing why if it can't run. Raises ConnectionLost, AgentError.

    What is no line (bytes that are no text, too many) goes to the agent too: it refuses and records it.
    """
    if isinstance(given, TooLong):
        write_error(error_text(1, "usage", f"{where}malformed: the line is longer than {given.limit_bytes} bytes"))
        return Outcome(1)
    line = given.decode("utf-8", "surrogateescape")
    outcome = run_line(connection, line, on_frame=on_frame, sent=sent)
    if outcome.refusal is not None:
        write_error(refusal_text(line, outcome.refusal, where=where))
    return outcome


def run_script(connection: Connection, path: str | None, *, stop_at_failure: bool) -> int:
    """Run the lines of a file (None: stdin) and return the last one's status."""
    if path is None:
        lines: FileLines | SharedLines = SharedLines(0)
    else:
        try:
            lines = FileLines(posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC))
        except OSError as error:
            write_error(error_text(1, "usage", f"{path}: {error.strerror}"))
            return 1
    open_session(connection, "script")
    status = number = 0
    while True:
        try:
            given = lines.read_line()
        except OSError as error:  # a directory, or a descriptor that is not open for reading
            write_error(error_text(1, "usage", f"{path or 'stdin'}: {error.strerror}"))
            status = 1
            break
        if given is None:
            break
        number += 1
        if isinstance(given, bytes) and not given.strip():
            continue
        where = "" if path is None else f"{path}:{number}: "
        outcome = run_input(connection, given, where=where)
        status = outcome.status
        if outcome.end or outcome.stopped_by or (stop_at_failure and status):
            break
    connection.post({"op": "bye", "status": status})
    return status
