"""Who switches nodes' power: one shape for PCS, Redfish and CSM."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pactsh.delegates.answer import Answer
    from pactsh.delegates.openchami.waiting import Pace
    from pactsh.delegates.settings import OpenchamiSettings

Tick = Callable[[str], None]


class Power(Protocol):
    """Both wait until the hardware says that it is done, not until the node is back. `node` is pact's name of it."""

    def reboot(self, node: str, force: bool, tick: Tick) -> Answer:
        """Restart it, gently, or, forced, by switching it off and on; one that is off is switched on."""

    def reimage(self, node: str, tick: Tick) -> Answer:
        """Have it boot anew from the image that it is to have; raises `PactError` where there is none."""


def power_of(settings: OpenchamiSettings, *, timeout_s: float, pace: Pace | None = None) -> Power:
    """The one that is configured. `timeout_s` is for a single answer, `pace` for the deed. Nobody is asked yet, but
    `UsageError` is raised for settings that can't be used."""
    from pactsh.delegates.openchami.waiting import Pace

    if settings.backend == "redfish":
        from pactsh.delegates.openchami.redfish import ByRedfish

        return ByRedfish(settings, timeout_s=timeout_s, pace=pace or Pace())
    from pactsh.delegates.openchami.services import ByServices

    return ByServices(settings, timeout_s=timeout_s, pace=pace or Pace())
