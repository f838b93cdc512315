"""An interactive session: opens it, and chooses between the full prompt and plain mode."""

import posix

from pactsh.shell.report import visible
from pactsh.shell.runner import AgentError, is_terminal, run_line
from pactsh.shell.script import open_session
from pactsh.shell.wire import Connection, Frame

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
else:
    import _signal


def wants_plain() -> bool:
    """Tell whether escape sequences must not be sent: a dumb terminal, or none."""
    term = posix.environ.get(b"TERM", b"")
    return term in (b"", b"dumb") or not (is_terminal(0) and is_terminal(1))


def run_interactive(connection: Connection, *, login: bool) -> int:
    """Run an interactive session to its end and return its status. Raises ConnectionLost, AgentError."""
    session = _open(connection, "login" if login else "interactive")
    # A login shell stopped by ^Z would leave nobody to continue it.
    for number in (_signal.SIGTSTP, _signal.SIGTTIN, _signal.SIGTTOU, _signal.SIGQUIT):
        _signal.signal(number, _signal.SIG_IGN)
    if session.op == "started":
        return run_line(connection, "", sent=True, first=session).status
    if wants_plain():
        from pactsh.shell.plain import PlainShell

        return PlainShell(connection, session).run()
    return _run_prompt(connection, session)


def _open(connection: Connection, kind: str) -> Frame:
    """Begin a session, after signing in where the uid alone stands for nobody. Raises ConnectionLost, AgentError."""
    try:
        return open_session(connection, kind)
    except AgentError as error:
        if not error.may_sign_in:
            raise
        from pactsh.shell.signin import sign_in

        sign_in(connection)
        return open_session(connection, kind)


def _run_prompt(connection: Connection, session: Frame) -> int:
    from pactsh.shell.early import EarlyPrompt

    early = EarlyPrompt(f"pact:{visible(session.text('node'))}> ")
    try:
        from pactsh.shell.repl import Repl

        repl = Repl(connection, session)
        early.cover()
        return repl.run(after_first_line=early.restore)
    finally:
        early.restore()
