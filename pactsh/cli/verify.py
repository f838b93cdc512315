"""`pact log --verify`, `--export FILE` and `--from-export FILE`: the chain as a whole.

A bad entry is a finding, not an error of ours: the result names it, and the exit status is 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pactsh.errors import PactError

if TYPE_CHECKING:
    from pactsh.cli.context import Context
    from pactsh.cli.render import Out
    from pactsh.model.entry import Entry


@dataclass(frozen=True, slots=True)
class Finding:
    """The first entry that is not what it was, and how that shows."""

    seq: int
    reason: str


@dataclass(frozen=True, slots=True)
class Verified:
    """A walk over the chain: how much was looked at, the last signed head, the first bad entry."""

    entries: int
    first: int
    last: int
    head: str | None
    head_seq: int | None
    bad: Finding | None

    @property
    def exit_status(self) -> int:
        """1 when something is wrong with the chain."""
        return 1 if self.bad else 0


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written where."""

    file: str
    entries: int
    heads: int


def verify(ctx: Context, export: Path | None, anchor: Path | None) -> Verified:
    """Walk the chain of an export, of the journal, or, on a node, have the agent do it."""
    if export is None and anchor is None and ctx.node is not None:
        with ctx.agent() as agent:
            return _of_agent(agent.ask("verify"))
    raise PactError("log: --verify: not available in this version")


def _of_agent(item: dict[str, object]) -> Verified:
    head, bad = item.get("head"), item.get("bad")
    return Verified(
        entries=_number(item.get("entries")),
        first=_number(item.get("first")),
        last=_number(item.get("last")),
        head=str(head["hash"]) if isinstance(head, dict) else None,
        head_seq=_number(head["seq"]) if isinstance(head, dict) else None,
        bad=Finding(_number(bad["seq"]), str(bad["reason"])) if isinstance(bad, dict) else None,
    )


def _number(value: object) -> int:
    if not isinstance(value, int):
        raise PactError("agent: verify: the answer has no number where one belongs")
    return value


def export_to(_ctx: Context, _path: Path) -> Exported:
    """Write the whole chain and its heads to a new file."""
    raise PactError("log: --export: not available in this version")


def read_entries(_path: Path) -> Sequence[Entry]:
    """The entries of an export, oldest first; raises `PactError` for one that isn't whole."""
    raise PactError("log: --from-export: not available in this version")


def render_verified(result: Verified, out: Out) -> None:
    """One sentence: all is well, or the first bad entry."""
    if result.bad is not None:
        out.styled(out.style(f"BAD at seq {result.bad.seq}: {result.bad.reason}", "red", "bold"))
        return
    head = f", head {result.head[:16]} signed at seq {result.head_seq}" if result.head else ", no signed head yet"
    out.line(f"Verified {result.entries} entries, seq {result.first}..{result.last}{head}")


def render_exported(result: Exported, out: Out) -> None:
    """One sentence."""
    out.line(f"Exported {result.entries} entries and {result.heads} signed heads to {result.file}")
