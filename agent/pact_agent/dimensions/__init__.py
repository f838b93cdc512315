"""The dimensions of a node's configuration: each observes its part of the node and can put values back.

A dimension's state is text by key. Reading and applying may block, so they are called in a thread.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import msgspec

from pactsh.errors import PactError


class Holder(msgspec.Struct, frozen=True):
    """A process that keeps something from being undone: its number, its command, and what it holds."""

    pid: int
    command: str
    path: str


class ApplyError(PactError):
    """A value could not be applied; `holders` says who is in the way, where somebody is."""

    kind = "apply"

    def __init__(self, message: str, holders: tuple[Holder, ...] = ()) -> None:
        super().__init__(message)
        self.holders = holders


class Dimension(Protocol):
    """One dimension. `interval_s` is how often it has to be looked at unasked (0: never, the kernel wakes us).

    `lasting`: whether what a person changed is still there after a boot.
    """

    name: str
    interval_s: float
    lasting: bool

    def snapshot(self) -> dict[str, str]:
        """All keys and values. Keys that can't be read are left out."""
        ...

    def apply(self, key: str, value: str | None) -> None:
        """Make it so; None takes the key away. Raises `ApplyError`."""
        ...

    def watch(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Call `wake` in the running loop when something may have changed; gives what ends that."""
        ...
