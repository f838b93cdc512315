"""Who switches nodes' power: one shape for PCS, Redfish and CSM."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from pactsh.errors import PactError

if TYPE_CHECKING:
    from pactsh.delegates.answer import Answer
    from pactsh.delegates.settings import OpenchamiSettings

Tick = Callable[[str], None]


class Power(Protocol):
    """Both wait until the hardware says that it is done, not until the node is back. `node` is pact's name of it."""

    def reboot(self, node: str, force: bool, tick: Tick) -> Answer:
        """Restart it, gently, or, forced, by switching it off and on; one that is off is switched on."""

    def reimage(self, node: str, tick: Tick) -> Answer:
        """Have it boot anew from the image that it is to have; raises `PactError` where there is none."""


def power_of(settings: OpenchamiSettings, *, timeout_s: float) -> Power:
    """The one that is configured."""
    raise PactError(f"power by {settings.backend} is not available in this version", hint=f"({timeout_s:g} s)")
