"""The catalog as one person may use it: the vCluster's overlay applied, and changes denied to who may only read.

For what is offered and explained: Tab, `help`, colours. The decision itself is `decision.decide`'s.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from pactsh.catalog.loader import Catalog
from pactsh.catalog.schema import Command
from pactsh.policy.model import CommandOverlay, Narrowing
from pactsh.policy.overlay import effective, narrowed
from pactsh.policy.rbac import CHANGE_COMMANDS

_REASON = "changes the node, and your role may only read"


class _ReadOnly(Catalog):
    """A catalog whose changing forms are denied; a command is narrowed when it is first looked up."""

    def __init__(self, base: Catalog) -> None:
        super().__init__({})
        self._base = base
        self._narrowed: dict[str, Command] = {}

    def __getitem__(self, name: str) -> Command:
        command = self._narrowed.get(name)
        if command is None:
            narrowing = Narrowing(name, read_only=True, reason=_REASON)
            command = self._narrowed[name] = narrowed(self._base[name], narrowing)
        return command

    def __iter__(self) -> Iterator[str]:
        return iter(self._base)

    def __len__(self) -> int:
        return len(self._base)


@lru_cache(maxsize=16)
def whitelist(catalog: Catalog, overlay: CommandOverlay, highest: str) -> Catalog:
    """The commands and forms for someone whose highest class is `highest` (`read`, `change`)."""
    found = effective(catalog, overlay)
    return found if highest == CHANGE_COMMANDS else _ReadOnly(found)
