"""The entry of `pactsh`: arguments, and which of `-c`, script, stdin or prompt it is.

Arguments are parsed by hand and everything beyond `-c` is imported late, because `pactsh -c`
runs as often as a program does (docs/internals.md, section 3; CLI.md, "The shell").
"""

import posix
import sys

from pactsh.shell.runner import AgentError, is_terminal, run_line
from pactsh.shell.wire import Connection, ConnectionLost, connect, socket_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

USAGE = """\
usage: pactsh [-l] [-e] [-c LINE | FILE]

An interactive shell when stdin is a terminal; every line is authorised and journaled by the
node's agent before it runs.

  -c LINE     run one line and end with its status
  FILE        run the lines of FILE ("-": stdin)
  -e          stop at the first line that fails (FILE and stdin)
  -l          act as a login shell
  --version   print the version
  --help      print this text

Ends with the status of the last line; 1 usage or syntax, 2 unknown or unauthorised user,
3 refused by policy, 5 the agent can't be reached, 6 not whitelisted.
"""


class Arguments:
    """What the command line asks for."""

    __slots__ = ("file", "interactive", "line", "login", "stop_at_failure")

    def __init__(self) -> None:
        self.line: str | None = None
        self.file: str | None = None
        self.login = False
        self.stop_at_failure = False


class UsageProblem(Exception):  # noqa: N818  errors.UsageError costs an import that -c can't afford
    """The command line is wrong; the text says how."""


def parse_arguments(argv: list[str]) -> Arguments:
    """Parse `argv` (program name first). Raises UsageProblem; `--help` and `--version` are not seen here."""
    arguments = Arguments()
    # A script's interpreter line loses the dash that login(1) puts before the name; it is seen
    # when the program is started in another way. A login shell is interactive all the same.
    arguments.login = argv[0].startswith("-") and argv[0] not in ("-c", "-m")  # those are python's own
    rest = argv[1:]
    while rest and rest[0].startswith("-") and rest[0] != "-":
        option = rest.pop(0)
        if option == "--":
            break
        if option == "--login":
            option = "-l"
        if option.startswith("--"):
            raise UsageProblem(f"unknown option {option}")
        for letter in option[1:]:
            if letter == "l":
                arguments.login = True
            elif letter == "e":
                arguments.stop_at_failure = True
            elif letter == "c":
                if not rest:
                    raise UsageProblem("-c needs a line")
                arguments.line = rest.pop(0)
            else:
                raise UsageProblem(f"unknown option -{letter}")
        if arguments.line is not None:
            break
    if arguments.line is None and rest:
        file = rest.pop(0)
        arguments.file = None if file == "-" else file
    if rest:
        raise UsageProblem(f"unexpected argument {rest[0]!r}")
    return arguments


def main(site_packages: tuple[str, ...] = ()) -> "NoReturn":
    """Run `pactsh`; never returns, and skips the interpreter's shutdown.

    `site_packages` are the directories that join sys.path when more than the standard library is
    needed: the launcher starts without `site` (see `launcher`).
    """
    try:
        status = run(sys.argv, site_packages)
    except KeyboardInterrupt:
        status = 130
    except SystemExit as end:  # the relay gave up: the terminal has hung up
        status = end.code if isinstance(end.code, int) else 1
    posix._exit(status & 0xFF)


def run(argv: list[str], site_packages: tuple[str, ...] = ()) -> int:
    """Do what the command line asks and return the exit status."""
    _fill_standard_descriptors()
    if len(argv) == 2 and argv[1] in ("--version", "--help", "-h"):
        return _tell(argv[1])
    try:
        arguments = parse_arguments(argv)
    except UsageProblem as problem:
        return fail(1, "usage", f"usage: {problem}", "pactsh --help")
    try:
        connection = connect()
    except (OSError, ValueError) as error:
        return _unreachable(error)
    try:
        if arguments.line is not None:
            return _one_shot(connection, arguments.line)
        if arguments.file is None and is_terminal(0):
            from pactsh.shell.interactive import run_interactive

            sys.path += site_packages
            return run_interactive(connection, login=arguments.login)
        from pactsh.shell.script import run_script

        return run_script(connection, arguments.file, stop_at_failure=arguments.stop_at_failure)
    except ConnectionLost as error:
        return fail(5, "timeout", f"agent: {error}", "whether the last line finished is unknown: `pact log` tells")
    except AgentError as error:
        return fail(error.code, error.kind, error.message, error.hint)


def _fill_standard_descriptors() -> None:
    """Put /dev/null where stdin, stdout or stderr is closed.

    The number would otherwise go to the next file opened, and the agent's own socket would become the
    command's input. The interpreter has noted which were closed when it started.
    """
    for fd, stream in enumerate((sys.stdin, sys.stdout, sys.stderr)):
        if stream is None:
            null = posix.open("/dev/null", posix.O_RDWR)
            if null != fd:
                posix.dup2(null, fd)
                posix.close(null)


def _one_shot(connection: Connection, line: str) -> int:
    outcome = run_line(connection, line)
    if outcome.refusal is not None:
        from pactsh.shell.report import refusal_text, write_error

        write_error(refusal_text(line, outcome.refusal))
    return outcome.status


def fail(code: int, kind: str, message: str, hint: str = "") -> int:
    """Print an error and return its exit status."""
    from pactsh.shell.report import error_text, write_error

    write_error(error_text(code, kind, message, hint))
    return code


def _tell(option: str) -> int:
    if option == "--version":
        from pactsh import __version__

        text = f"pactsh {__version__}\n"
    else:
        text = USAGE
    try:
        posix.write(1, text.encode())
    except OSError:
        return 1
    return 0


def _unreachable(error: OSError | ValueError) -> int:
    if b"PACT_SESSION_FD" in posix.environ:
        return fail(5, "timeout", "agent: the session's connection is gone", "open the session anew")
    path = socket_path().decode("utf-8", "replace")
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    if isinstance(error, PermissionError):
        return fail(2, "auth", f"agent: {path}: {reason}", "only users that the agent knows may connect")
    return fail(
        5,
        "timeout",
        f"agent: can't be reached at {path}: {reason}",
        "is pact-agent running? PACT_AGENT_SOCKET names another socket",
    )
