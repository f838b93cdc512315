"""A service of a node, as its agent tells of it."""

from __future__ import annotations

import msgspec


class Service(msgspec.Struct, frozen=True):
    """A service as it is now. `state`: `running`, `exited` (its work is done and counts), `starting`, `stopping`,
    `waiting` (to be started again), `unhealthy`, `failed` or `stopped`; `why` says how it came to a bad one.

    `uptime_s` is how long it has been up; None is what is not known.
    """

    name: str
    state: str
    enabled: str = ""
    pid: int | None = None
    uptime_s: float | None = None
    restarts: int | None = None
    description: str = ""
    why: str = ""
