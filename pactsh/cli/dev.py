"""`pact dev`: a whole system on this machine, for trying, developing and testing.

The work is done in `pactsh.dev`; here are the options, and what is said about it.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pactsh.cli.arguments import NODE
from pactsh.cli.command import Command, Group
from pactsh.cli.context import Context
from pactsh.cli.render import Out
from pactsh.errors import NotFoundError

if TYPE_CHECKING:
    from pactsh.dev.control import Running


@dataclass(frozen=True, slots=True)
class UpArgs:
    """What to start, and where."""

    dir: Path | None
    node: tuple[str, ...]
    vcluster: str | None
    policy: Path | None = None
    detach: bool = True


@dataclass(frozen=True, slots=True)
class Up:
    """A step of a system's life: `ready`, later `stopped`."""

    event: str
    directory: str
    endpoint: str
    nodes: tuple[str, ...]


def run_up(ctx: Context, args: UpArgs) -> Iterator[Up]:
    """Start the system and, unless detached, stay until it ends or ^C ends it."""
    system = _start(ctx, args)
    try:
        for event in _events(ctx, system):
            yield Up(event[0], str(_directory(ctx, args.dir)), event[1], event[2])
            if args.detach and event[0] == "ready":
                return
    except GeneratorExit:
        system.stop()  # whoever reads us has gone
        raise
    finally:
        system.leave()


def _events(ctx: Context, system: Running) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Events but for notices, which go to standard error; ^C asks the system to end."""
    # A handler, and no KeyboardInterrupt, which would come wherever we are, in the middle of a notice as well.
    before = signal.signal(signal.SIGINT, lambda *_: system.stop())
    try:
        for event in system.events():
            if event.kind == "notice":
                ctx.notice(f"pact dev: {event.text}")
            else:
                yield event.kind, event.endpoint, event.nodes
    finally:
        signal.signal(signal.SIGINT, before)


def _start(ctx: Context, args: UpArgs, *, attached: bool | None = None) -> Running:
    from pactsh.dev.control import Running
    from pactsh.dev.layout import DEFAULT_NODE, DEFAULT_VCLUSTER
    from pactsh.dev.supervisor import Plan

    stays = args.detach if attached is None else not attached
    plan = Plan(
        directory=str(_directory(ctx, args.dir)),
        nodes=args.node or (DEFAULT_NODE,),
        vcluster=args.vcluster or DEFAULT_VCLUSTER,
        starter=0 if stays else os.getpid(),
        policy="" if args.policy is None else str(args.policy.absolute()),
    )
    return Running(plan)


def _directory(ctx: Context, given: Path | None) -> Path:
    from pactsh.dev.layout import default_directory

    return Path(os.path.abspath(given)) if given is not None else default_directory(ctx.environ)


def render_up(result: Up, out: Out) -> None:
    """The literal line that scripts wait for."""
    out.line(f"pact dev: {result.event}")
    out.flush()


@dataclass(frozen=True, slots=True)
class DirArgs:
    """Which system."""

    dir: Path | None


@dataclass(frozen=True, slots=True)
class Down:
    """`stopped`: something was running."""

    stopped: bool


def run_down(ctx: Context, args: DirArgs) -> Down:
    """End everything the system started."""
    from pactsh.dev.control import bring_down

    return Down(bring_down(_directory(ctx, args.dir)))


def render_down(result: Down, out: Out) -> None:
    """One line."""
    out.line("pact dev: stopped" if result.stopped else "pact dev: nothing was running")


@dataclass(frozen=True, slots=True)
class EnvArgs:
    """Which system, and whose local socket."""

    dir: Path | None
    node: str | None


@dataclass(frozen=True, slots=True)
class Env:
    """Variables for `pact` and `pactsh`."""

    environment: dict[str, str]


def run_env(ctx: Context, args: EnvArgs) -> Env:
    """The variables, with a fresh token of the development administrator."""
    from pactsh.dev.control import environment_of, running

    layout, state = running(_directory(ctx, args.dir))
    if args.node is not None and args.node not in state.nodes:
        raise NotFoundError(f"dev: no node {args.node} here", hint=f"nodes: {', '.join(state.nodes)}")
    return Env(environment_of(layout, state, args.node))


def render_env(result: Env, out: Out) -> None:
    """Lines for `eval "$(pact dev env)"`."""
    for name, value in result.environment.items():
        out.line(f"export {name}={shlex.quote(value)}")


@dataclass(frozen=True, slots=True)
class TokenArgs:
    """Whose token."""

    dir: Path | None
    principal: str
    role: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Token:
    """A token of the development issuer."""

    token: str


def run_token(ctx: Context, args: TokenArgs) -> Token:
    """Sign a token; whoever may read the directory may be anybody in it."""
    from pactsh.dev.control import running
    from pactsh.dev.journal import issue_token

    layout, _ = running(_directory(ctx, args.dir))
    return Token(issue_token(layout, args.principal, args.role))


def render_token(result: Token, out: Out) -> None:
    """The token alone."""
    out.line(result.token)


@dataclass(frozen=True, slots=True)
class Shell:
    """How the session ended."""

    node: str
    exit_status: int


def run_shell(ctx: Context, args: UpArgs) -> Shell:
    """Start a system unless one is up there, open a shell on its first node, end what was started."""
    from pactsh.dev.control import environment_of, running

    directory = _directory(ctx, args.dir)
    try:
        layout, state = running(directory)
        system = None
    except NotFoundError:
        system = _start(ctx, args, attached=True)
    try:
        if system is not None:
            ctx.notice("pact dev: starting")
            if not any(kind == "ready" for kind, _, _ in _events(ctx, system)):
                return Shell("", 130)
            layout, state = running(directory)
        node = args.node[0] if args.node else state.nodes[0]
        variables = environment_of(layout, state, None) | {"XDG_STATE_HOME": str(layout.client)}
        return Shell(node, _open_shell(ctx, node, variables))
    finally:
        if system is not None:
            system.finish()


def _open_shell(ctx: Context, node: str, variables: dict[str, str]) -> int:
    """Run `pact shell NODE` on our own terminal; returns its exit status, 128+N for a signal."""
    from pactsh.dev.part import program

    own = {k: v for k, v in ctx.environ.items() if k not in {"PACT_AGENT_SOCKET", "PACT_SESSION_FD"}}
    # ^C is for the session. A handler, and not SIG_IGN, which the session would inherit.
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        process = subprocess.Popen((program("pact"), "shell", node), env={**own, **variables})
        status = process.wait()
    finally:
        signal.signal(signal.SIGINT, before)
    return status if status >= 0 else 128 - status


def render_shell(_result: Shell, _out: Out) -> None:
    """Nothing: the session said it all."""


def _dir_option() -> click.Option:
    path = click.Path(path_type=Path)
    return click.Option(["--dir"], type=path, metavar="DIR", help="Where the system keeps its things.")


def _up_options() -> list[click.Parameter]:
    return [
        _dir_option(),
        click.Option(["--node"], type=NODE, multiple=True, help="A node to simulate (node042); more than once."),
        click.Option(["--vcluster"], type=NODE, metavar="NAME", help="The nodes' vCluster (ml-training)."),
        click.Option(
            ["--policy"], type=click.Path(path_type=Path), metavar="DIR", help="Modules in Rego that decide as well."
        ),
    ]


UP: Command[UpArgs, Up] = Command(
    "up",
    help="Start a journal and simulated nodes; ready when it prints `pact dev: ready`.",
    run=run_up,
    render=render_up,
    args=UpArgs,
    params=[*_up_options(), click.Option(["--detach"], is_flag=True, help="Return when it is ready.")],
)
ENV: Command[EnvArgs, Env] = Command(
    "env",
    help="Print variables that make pact and pactsh use the running system.",
    run=run_env,
    render=render_env,
    args=EnvArgs,
    params=[_dir_option(), click.Option(["--node"], type=NODE, help="Act on this node, as if typed there.")],
)
TOKEN: Command[TokenArgs, Token] = Command(
    "token",
    help="Print a token of the development issuer.",
    run=run_token,
    render=render_token,
    args=TokenArgs,
    params=[
        _dir_option(),
        click.Option(["--principal"], required=True, metavar="P", help="Whose: a name such as alice@example.org."),
        click.Option(["--role"], multiple=True, required=True, metavar="R", help="A role; more than once."),
    ],
)
DOWN: Command[DirArgs, Down] = Command(
    "down",
    help="End everything that `pact dev up` started.",
    run=run_down,
    render=render_down,
    args=DirArgs,
    params=[_dir_option()],
)
SHELL: Command[UpArgs, Shell] = Command(
    "shell",
    help="Start a system, open a shell on its first node, end the system after it.",
    run=run_shell,
    render=render_shell,
    args=UpArgs,
    params=_up_options(),
)

command = Group(
    "dev",
    help="Run a whole system on this machine, for development.",
    commands=[UP, ENV, TOKEN, DOWN, SHELL],
)
