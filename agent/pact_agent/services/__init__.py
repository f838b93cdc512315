"""The services of a node, whoever keeps them: systemd, or on a node without it the agent's own supervisor.

`servicecalls` answers with either of them; who may do what was decided before.
"""

from __future__ import annotations

import difflib
from collections.abc import AsyncGenerator, Iterable
from typing import Literal, Protocol

import msgspec

from pactsh.errors import NotFoundError
from pactsh.model import service as model

Verb = Literal["start", "stop", "restart"]
MOST_LINES = 10_000
_MOST_NEAR = 3


class Service(model.Service, frozen=True):
    """One with the other names that it has here."""

    aliases: tuple[str, ...] = ()


class Changed(msgspec.Struct, frozen=True):
    """What came of a verb: the service, and the `others` that went along with it."""

    service: Service
    others: tuple[str, ...] = ()


class Backend(Protocol):
    """Who keeps the services here. `name` is what it is called."""

    name: str

    async def all(self) -> tuple[Service, ...]:
        """The services that run, have failed, or are to run."""
        ...

    async def one(self, name: str) -> Service:
        """The one of that name, spelled in full. Raises `NotFoundError`."""
        ...

    def refusal(self, verb: Verb, name: str) -> str:
        """Why this service is not stopped or started from here; "" when it is."""
        ...

    def along(self, verb: Verb, name: str) -> tuple[str, ...]:
        """Other services that this would stop, as far as it is known here."""
        ...

    async def change(self, verb: Verb, name: str) -> Changed:
        """Do it and wait for the end of it. Raises `PactError` when it fails, with the reason."""
        ...

    def logs(self, name: str, lines: int, *, follow: bool) -> AsyncGenerator[list[str], None]:
        """The last lines that it has said, and with `follow` those to come, some at a time."""
        ...


def unknown(name: str, known: Iterable[str]) -> NotFoundError:
    """The error for a service that is not there, with names that are like it.

    >>> unknown("chrnoy", ["chrony.service", "dbus.service"]).hint
    'did you mean chrony.service?'
    """
    stems = {known_name.removesuffix(".service"): known_name for known_name in known}
    near = difflib.get_close_matches(name.removesuffix(".service"), stems, n=_MOST_NEAR)
    listed = " or ".join(stems[stem] for stem in near)
    hint = f"did you mean {listed}?" if near else "pact service status lists them"
    return NotFoundError(f"service: {name[:80]}: no such service on this node", hint=hint)
