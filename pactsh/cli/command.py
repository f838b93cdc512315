"""The shape of every command: options → `Args` → `run` → `Result` → `render` (or JSON).

A command's module holds an `Args` and a `Result` (frozen, slotted dataclasses), `run(ctx, args)`, which
neither prints nor exits, `render(result, out)`, and `command = Command(...)`. `whoami.py` is the smallest.

- The JSON output is the `Result` itself: a document, or, when `run` returns an iterator, one object a line.
- `exit_status`, a property of a result, ends the program with something other than 0 without being
  an error (`exec` passes the remote status, `log --verify` a bad entry). Errors are raised: `PactError`.
- The global options are accepted after the verb too; an option of the command's own with the same name
  (`exec --timeout`) wins there.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import click

from pactsh.cli.context import Advance, Context, find_node
from pactsh.cli.render import Out, print_notice
from pactsh.cli.settled import SettledError
from pactsh.cli.settled import render as render_settled

if TYPE_CHECKING:
    from pactsh.cli.config import Settings

Args = TypeVar("Args")
Result = TypeVar("Result")

_META = "pactsh.options"


def _remember(ctx: click.Context, param: click.Parameter, value: object) -> None:
    """Keep a typed global option; the one nearest to the end of the line wins."""
    if param.name and ctx.get_parameter_source(param.name) is click.core.ParameterSource.COMMANDLINE:
        ctx.meta.setdefault(_META, {})[param.name] = value


def _show_version(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from pactsh import __version__

        click.echo(f"pact {__version__}")
        ctx.exit()


def global_options() -> list[click.Option]:
    """Fresh copies of the options that every command takes."""

    def option(*names: str, **rest: Any) -> click.Option:
        return click.Option(names, expose_value=False, callback=_remember, **rest)

    return [
        option("--endpoint", metavar="HOST:PORT", help="The journal: host:port or unix:/path."),
        option("--token", metavar="TOKEN", help="Bearer token (PACT_TOKEN keeps it out of process listings)."),
        option("--ca", metavar="FILE", help="CA certificate that signed the journal's."),
        option("--vcluster", metavar="NAME", help="vCluster to act in."),
        option("--output", metavar="text|json", help="How results are printed."),
        option("--timeout", metavar="SECONDS", help="How long to wait for the journal or a node."),
        option("-v", "--verbose", is_flag=True, help="Say more; tracebacks of unexpected errors."),
    ]


def version_option() -> click.Option:
    """`--version`, answered before anything else is read."""
    return click.Option(
        ["--version"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_show_version,
        help="Print the version.",
    )


class Command(click.Command, Generic[Args, Result]):
    """A verb. `help` is its text, the first line the summary that `tree` repeats."""

    def __init__(
        self,
        name: str,
        *,
        help: str,  # noqa: A002  click's name for it
        run: Callable[[Context, Args], Result | Iterator[Result]],
        render: Callable[[Result, Out], None],
        args: Callable[..., Args],
        params: Sequence[click.Parameter] = (),
        context_settings: dict[str, Any] | None = None,
    ) -> None:
        own = {opt for p in params for opt in p.opts}
        extra = [o for o in global_options() if own.isdisjoint(o.opts)]
        super().__init__(name, help=help, params=[*params, *extra, version_option()], context_settings=context_settings)
        self.own_params = tuple(params)
        self.run = run
        self.render = render
        self.args = args

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse; every error knows which verb it is about, which click forgets in some."""
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            error.ctx = error.ctx or ctx
            raise

    def invoke(self, ctx: click.Context) -> int:
        """Run with the resolved settings, print the result and return the exit status."""
        context = make_context(ctx.meta.get(_META, {}))
        out = Out(sys.stdout, colour=context.colour)
        try:
            return self._run(context, self.args(**ctx.params), out)
        except SettledError as settled:  # a second person had to agree
            self._show(settled.outcome, out, context, render_settled)
            out.flush()
            return 0

    def _run(self, context: Context, args: Args, out: Out) -> int:
        result = self.run(context, args)
        if isinstance(result, Iterator):
            status = 0
            for item in result:
                status = max(status, self._show(item, out, context, self.render))
                out.flush()
            return status
        status = self._show(result, out, context, self.render)
        out.flush()
        return status

    def _show(self, result: Any, out: Out, context: Context, render: Callable[[Any, Out], None]) -> int:
        if getattr(result, "is_out", False):  # what there is to say has gone by already
            pass
        elif context.json:
            import msgspec

            out.json(msgspec.to_builtins(result))
        else:
            render(result, out)
        return int(getattr(result, "exit_status", 0))

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The command's own options, then one line on the global ones."""
        records = [p.get_help_record(ctx) for p in self.own_params]
        own = [r for r in records if r is not None and r[1]]  # arguments speak for themselves
        if own:
            with formatter.section("Options"):
                formatter.write_dl(own)
        params = self.get_params(ctx)
        shared = [r for p in params if p not in self.own_params and (r := p.get_help_record(ctx)) is not None]
        with formatter.section("Global options"):
            formatter.write_dl(shared)


class Group(click.Group):
    """A verb with verbs of its own (`pact dev up`), given as a list in help order."""

    def __init__(self, name: str, *, help: str, commands: Sequence[click.Command]) -> None:  # noqa: A002
        super().__init__(
            name,
            help=help,
            commands={c.name: c for c in commands if c.name},
            params=[*global_options(), version_option()],
            no_args_is_help=False,
        )

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """The verbs in the order they were given."""
        return list(self.commands)

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Each verb with the first line of its help, whole."""
        with formatter.section("Commands"):
            formatter.write_dl([(n, (c.help or "").partition("\n")[0]) for n, c in self.commands.items()])


def make_context(typed: dict[str, object]) -> Context:
    """Wire a command to this process: environment, configuration files, clock, terminal."""
    from pactsh.cli.config import load_settings

    settings: Settings = load_settings(typed, os.environ)
    colour = settings.output == "text" and sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    return Context(
        settings=settings,
        environ=os.environ,
        now=lambda: datetime.now(UTC),
        node=find_node(os.environ),
        explicit=frozenset(typed),
        colour=colour and os.environ.get("TERM") != "dumb",
        sleep=time.sleep,
        notice=print_notice,
        progress=_progress,
    )


@contextmanager
def _no_progress() -> Iterator[Advance]:
    yield lambda _done: None


def _progress(label: str, total: int) -> AbstractContextManager[Advance]:
    """A progress bar on standard error, when that is a terminal."""
    if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        return _no_progress()
    from pactsh.cli.progress import progress_bar

    return progress_bar(label, total)
