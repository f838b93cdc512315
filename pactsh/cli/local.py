"""Asking this node's agent: `call` frames on the local socket (docs/internals.md, section 3)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pactsh.cli.context import NodeSocket


class LocalAgent:
    """A connection to the agent, made for one call."""

    def __init__(self, node: NodeSocket, *, timeout_s: float) -> None:
        self._node = node
        self._timeout_s = timeout_s

    def call(self, method: str, **params: object) -> Iterator[dict[str, object]]:
        """Yield the items that `method` answers.

        Raises the agent's own `PactError`, or `UnreachableError` when the agent doesn't answer.
        """
        raise NotImplementedError
