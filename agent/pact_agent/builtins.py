"""The shell's builtins: what they print, their status, and what they change in the session.

They compute an `Effect`; the executor applies it and lets the spawner write the text, so
that a builtin in a pipeline behaves like any other stage. `pact …` is not here: it is a
program of its own (`tools`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from pact_agent.listing import DirectoryListing, expansion_ends
from pact_agent.prepare import cd_target
from pact_agent.session import Session
from pactsh import __version__
from pactsh.catalog import Catalog


class Effect(msgspec.Struct, frozen=True):
    """What a builtin did. `cwd`: the session's new directory; `end`: the session ends with this status."""

    text: str = ""
    error: str = ""
    status: int = 0
    cwd: str | None = None
    end: int | None = None


class Scene(msgspec.Struct, frozen=True):
    """What builtins may look at. `catalog` is what this session may run."""

    session: Session
    catalog: Catalog
    secrets: tuple[str, ...]
    before: str = "/"


def run_builtin(argv: Sequence[str], scene: Scene) -> Effect:
    """Run the builtin `argv[0]`."""
    return _BUILTINS[argv[0]](argv, scene)


def _cd(argv: Sequence[str], scene: Scene) -> Effect:
    target = cd_target(argv, scene.session.cwd, scene.before)
    if target is None:
        return Effect(error="cd: too many arguments", status=1)
    listing = DirectoryListing("/", scene.secrets, expansion_ends())
    if listing.resolve(target) is None:
        return Effect(error=f"cd: {target}: Permission denied", status=1)
    if not listing.is_dir(target):
        why = "Not a directory" if listing.exists(target) else "No such file or directory"
        return Effect(error=f"cd: {target}: {why}", status=1)
    return Effect(text=f"{target}\n" if "-" in argv[1:2] else "", cwd=target)


def _pwd(_argv: Sequence[str], scene: Scene) -> Effect:
    return Effect(text=scene.session.cwd + "\n")


def _exit(argv: Sequence[str], scene: Scene) -> Effect:
    if len(argv) == 1:
        return Effect(status=scene.session.last_status, end=scene.session.last_status)
    if len(argv) > 2 or not argv[1].isascii() or not argv[1].isdigit():
        return Effect(error=f"{argv[0]}: expected one number, 0 to 255", status=1)
    status = int(argv[1]) & 255
    return Effect(status=status, end=status)


def _help(argv: Sequence[str], scene: Scene) -> Effect:
    from pactsh.catalog.helptext import render_help, render_overview  # texts that most sessions never ask for

    if len(argv) == 1:
        return Effect(text=render_overview(scene.catalog))
    texts: list[str] = []
    for name in argv[1:]:
        if scene.catalog.get(name) is None:
            return Effect(text="".join(texts), error=f"help: {name} is not on the whitelist", status=1)
        texts.append(render_help(name, scene.catalog))
    return Effect(text="\n".join(texts))


def _watch(argv: Sequence[str], scene: Scene) -> Effect:
    """`watch` without a line: with one it is repeated (`watching`)."""
    if {"-v", "--version"} & set(argv):
        return Effect(text=f"watch of pact {__version__}\n")
    from pactsh.catalog.helptext import render_help

    return Effect(text=render_help("watch", scene.catalog))


def _history(_argv: Sequence[str], scene: Scene) -> Effect:
    lines = scene.session.history
    return Effect(text="".join(f"{n:5}  {line}\n" for n, line in enumerate(lines, 1)))


def _clear(_argv: Sequence[str], _scene: Scene) -> Effect:
    return Effect(text="\x1b[H\x1b[2J\x1b[3J")


def _whoami(_argv: Sequence[str], scene: Scene) -> Effect:
    return Effect(text=scene.session.identity.principal + "\n")


_BUILTINS: dict[str, Callable[[Sequence[str], Scene], Effect]] = {
    "cd": _cd,
    "pwd": _pwd,
    "exit": _exit,
    "logout": _exit,
    "help": _help,
    "history": _history,
    "clear": _clear,
    "whoami": _whoami,
    "watch": _watch,
}
