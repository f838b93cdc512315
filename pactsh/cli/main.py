"""`pact`'s way in and its only way out: errors become two lines on standard error and an exit status.

130 after Ctrl-C. 141 (128 + SIGPIPE) and silence when the reader of our output has gone, as for a program
that the signal ended. click's own exit status 2 never leaks: wrong usage is 1.
"""

from __future__ import annotations

import itertools
import os
import sys
import traceback
from collections.abc import Mapping, Sequence

import click

from pactsh.cli.interrupts import INTERRUPTED, install
from pactsh.cli.render import print_error, print_error_json
from pactsh.cli.tree import Tree
from pactsh.errors import PactError, UsageError

BROKEN_PIPE = 141
_COMPLETE = "_PACT_COMPLETE"


def main(argv: Sequence[str] | None = None) -> int:
    """Run `pact` and return its exit status."""
    args = list(sys.argv[1:] if argv is None else argv)
    install()
    try:
        return _run(args)
    except BrokenPipeError:
        _give_up_output()
        return BROKEN_PIPE
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED


def _run(args: list[str]) -> int:
    try:
        status = _invoke(args)
        sys.stdout.flush()
        return status
    except PactError as error:
        return _report(args, error)
    except click.ClickException as error:
        return _report(args, _usage_error(error))
    except (BrokenPipeError, click.Abort):
        raise
    except OSError as error:
        # Commands turn theirs into a PactError that names the file; what is left is our own output.
        if _typed(args, "-v", "--verbose"):
            traceback.print_exc()
        _give_up_output()
        return _report(args, PactError(f"output: {error.strerror or error}"))
    except Exception as error:  # noqa: BLE001  the top of the program
        if _typed(args, "-v", "--verbose"):
            traceback.print_exc()
        text = f"internal error: {type(error).__name__}: {error}"
        return _report(args, PactError(text, hint="run it again with -v for the traceback"))


def _give_up_output() -> None:
    """Point standard output at /dev/null, or the interpreter's last flush would fail and complain."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)


def _invoke(args: list[str]) -> int:
    tree = Tree()
    if instruction := os.environ.get(_COMPLETE):
        from click.shell_completion import shell_complete

        return shell_complete(tree, {}, "pact", _COMPLETE, instruction)
    try:
        with tree.make_context("pact", list(args)) as ctx:  # click eats its list
            status = tree.invoke(ctx)
    except click.exceptions.Exit as stop:
        return stop.exit_code
    return status if isinstance(status, int) else 0


def _usage_error(error: click.ClickException) -> PactError:
    """Put a message of click's into our form: `what: why`, and where to read on."""
    message = " ".join(error.format_message().split()).rstrip(".")
    message = _number_expected(error) or message[:1].lower() + message[1:]
    ctx = getattr(error, "ctx", None)
    if ctx is None:
        return UsageError(message, hint="see pact --help")
    verb = ctx.command_path.removeprefix("pact").strip()
    return UsageError(f"{verb}: {message}" if verb else message, hint=f"see {ctx.command_path} --help")


def _number_expected(error: click.ClickException) -> str:
    """What to say of a value that is no number, or out of its bounds: click says "not a valid float range"."""
    param = error.param if isinstance(error, click.BadParameter) else None
    kind = None if param is None else param.type
    if param is None or not isinstance(kind, click.IntRange | click.FloatRange):
        return ""
    name = param.opts[-1] if isinstance(param, click.Option) else (param.metavar or param.opts[0]).strip("[]").upper()
    value = error.format_message().partition(": ")[2].partition(" is not ")[0].strip("'")
    noun = "a whole number" if isinstance(kind, click.IntRange) else "a number"
    low, high = kind.min, kind.max
    bounds = f" from {low} to {high}" if None not in {low, high} else f" of at least {low}" if low is not None else ""
    return f"{name}: expected {noun}{bounds}, got {value}"


def _report(args: Sequence[str], error: PactError) -> int:
    more = error.more if isinstance(error, UsageError) else ()
    if wants_json(args, os.environ):
        print_error_json(error.code, error.kind, error.message, error.hint, more)
    else:
        print_error(error.message, error.hint, more)
    return error.code


def _typed(args: Sequence[str], *names: str) -> bool:
    own = args[: args.index("--")] if "--" in args else args
    return any(name in own for name in names)


def wants_json(args: Sequence[str], environ: Mapping[str, str]) -> bool:
    """Whether an error is to be JSON: as the settings say, and as far as they can be read.

    It looks at the words rather than at the parsed command line, because that may be what is wrong.
    """
    own = list(args[: args.index("--")] if "--" in args else args)
    chosen = [b for a, b in itertools.pairwise(own) if a == "--output"]
    chosen += [a.removeprefix("--output=") for a in own if a.startswith("--output=")]
    if chosen:
        return chosen[-1] == "json"
    if environ.get("PACT_OUTPUT"):
        return environ["PACT_OUTPUT"] == "json"
    from pactsh.cli.config import load_settings

    try:
        return load_settings({}, environ).output == "json"
    except PactError:
        return False
