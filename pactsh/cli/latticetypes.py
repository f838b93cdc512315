"""Argument types for lattice: words of states, ids of jobs and DAGs. Each owns check, completion and metavar."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import click
from click.shell_completion import CompletionItem

from pactsh.delegates.lattice.words import DAG_STATES, JOB_STATES, NODE_STATES

if TYPE_CHECKING:
    from click import Context, Parameter

_LONGEST = 200


class StateType(click.ParamType[str]):
    """A word for a state. lattice would drop one that it does not know, and answer with everything."""

    name = "state"

    def __init__(self, words: Sequence[str]) -> None:
        self.words = tuple(words)

    def get_metavar(self, param: Parameter, ctx: Context) -> str:  # noqa: ARG002  click's signature
        """How it shows in the help."""
        return "STATE"

    def convert(self, value: object, param: Parameter | None, ctx: Context | None) -> str:
        """One of the words."""
        word = str(value).lower()
        if word not in self.words:
            self.fail(f"expected one of {', '.join(self.words)}, got {str(value)[:40]!r}", param, ctx)
        return word

    def shell_complete(self, ctx: Context, param: Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG002
        """The words that begin so."""
        return [CompletionItem(word) for word in self.words if word.startswith(incomplete.lower())]


class IdType(click.ParamType[str]):
    """What lattice calls something: any one line of text. Whether there is such a thing is lattice's to say."""

    name = "id"

    def __init__(self, kind: Literal["job", "live job", "DAG", "live DAG", "tenant", "user", "node"]) -> None:
        self.kind = kind

    def get_metavar(self, param: Parameter, ctx: Context) -> str:  # noqa: ARG002  click's signature
        """How it shows in the help."""
        return "ID"

    def convert(self, value: object, param: Parameter | None, ctx: Context | None) -> str:
        """Parse."""
        text = str(value).strip()
        if not text or len(text) > _LONGEST or not text.isprintable():
            what = self.kind.removeprefix("live ")
            self.fail(f"expected what lattice calls a {what}, got {text[:40]!r}", param, ctx)
        return text

    def shell_complete(self, ctx: Context, param: Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG002
        """Those that lattice has now, if it says so soon."""
        from pactsh.cli.latticeids import ids

        return [CompletionItem(id_, help=about) for id_, about in ids(self.kind) if id_.startswith(incomplete)]


JOB, LIVE_JOB, DAG, LIVE_DAG = IdType("job"), IdType("live job"), IdType("DAG"), IdType("live DAG")
TENANT, USER, LATTICE_NODE = IdType("tenant"), IdType("user"), IdType("node")
JOB_STATE, DAG_STATE, NODE_STATE = StateType(JOB_STATES), StateType(DAG_STATES), StateType(NODE_STATES)


def most(number: int, noun: str) -> click.Option:
    """`-n`: how many are shown."""
    return click.Option(
        ["-n"], type=click.IntRange(1, 1_000_000), default=number, metavar="N", help=f"At most N {noun} ({number})."
    )
