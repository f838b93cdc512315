"""`pact health`: whether each part of the system is well, all asked at the same time, each for 5 s at most."""

from __future__ import annotations

from dataclasses import dataclass

from pactsh.cli.aside import Aside, bounded
from pactsh.cli.command import Command
from pactsh.cli.context import Context
from pactsh.cli.healthparts import Part, failed, questions
from pactsh.cli.render import Out
from pactsh.errors import PactError, UnreachableError

_ORDER = ("journal", "nodes", "agent", "lattice", "SMD", "PCS", "BSS")
_COLOURS = {"ok": ("green",), "degraded": ("yellow", "bold"), "down": ("red", "bold"), "unknown": ("dim",)}


@dataclass(frozen=True, slots=True)
class Args:
    """No arguments."""


@dataclass(frozen=True, slots=True)
class Health:
    """The parts that are configured."""

    parts: tuple[Part, ...]

    @property
    def exit_status(self) -> int:
        """5 when one can't be reached, 1 when one is not well."""
        states = {part.state for part in self.parts}
        return UnreachableError.code if "down" in states else PactError.code if states - {"ok"} else 0


def run(ctx: Context, _args: Args) -> Health:
    """Ask them all."""
    limited = bounded(ctx)
    limit_s = limited.settings.timeout
    asked = [(name, Aside(whom, question, limit_s)) for name, whom, question in questions(limited)]
    parts: dict[str, Part] = {}
    for name, aside in asked:
        found = aside.outcome()
        for part in [failed(name, found)] if isinstance(found, PactError) else found:
            parts.setdefault(part.part, part)  # the journal's own word goes before an agent's
    if "nodes" not in parts and ctx.node is None:
        parts["nodes"] = Part("nodes", "unknown", "not known without the journal")
    return Health(tuple(sorted(parts.values(), key=lambda part: _ORDER.index(part.part))))


def render(result: Health, out: Out) -> None:
    """A line a part, and what to do below it."""
    width = max(len(part.part) for part in result.parts)
    for part in result.parts:
        took = "" if part.ms is None else out.style(f"({part.ms:.0f} ms)", "dim")
        state = out.style(f"{part.state:<8}", *_COLOURS[part.state])
        out.styled(f"{part.part:<{width}}", state, out.style(part.says), *([took] if took else []))
        if part.hint:
            out.line(f"{'':<{width}}  hint: {part.hint}")


command: Command[Args, Health] = Command(
    "health",
    help="Show the health of the whole system.\n\nThe journal, nodes, this node's agent, lattice, OpenCHAMI.",
    run=run,
    render=render,
    args=Args,
)
