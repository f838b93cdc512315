"""A verb that ended otherwise than in its own result: a second person had to agree."""

from __future__ import annotations

from dataclasses import dataclass

from pactsh.cli.render import Out


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a verb that waits for a second person comes to. `state`: `pending` or `done`. `again`: whoever asked for it
    has to come back for it."""

    approval: str
    state: str
    what: str
    where: str
    by: str = ""
    again: bool = False


class SettledError(Exception):
    """A verb ended in an `Outcome` instead of its own result."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.state)
        self.outcome = outcome


def render(outcome: Outcome, out: Out) -> None:
    """One line."""
    if outcome.state == "done":
        out.line(f"Approved by {outcome.by}. {outcome.what.capitalize()} applied on {outcome.where}.")
    elif outcome.again:
        out.line(f"{outcome.approval} stays pending: once somebody has approved it, give the same command again.")
    else:
        out.line(f"{outcome.approval} stays pending: it is done when somebody approves it (pact approve list).")
