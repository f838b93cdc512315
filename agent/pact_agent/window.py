"""The commit window of a node: when it opens, how long it is, when it is told of. Pure.

Time is monotonic time of the boot, so no clock that is set makes a window shorter or longer.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from pact_agent.drift import magnitude, window_s
from pact_agent.saved import Window
from pactsh.errors import ConflictError, UsageError
from pactsh.model.delta import Change
from pactsh.policy.model import Policy

_LONG_S = 600.0
_TOLD_S = (300, 60)
LONGEST_EXTENSION_MIN = 1440


def opened(window: Window | None, changes: Sequence[Change], policy: Policy, now: float, time: str) -> Window:
    """The window for what has drifted. One that is open already ends no later for new drift, nor any earlier when
    somebody has lengthened it."""
    ends = now + window_s(policy.base_commit_window_seconds, policy.drift_sensitivity, magnitude(changes))
    if window is None:
        return Window(time, ends, notices(ends - now))
    if window.extended or ends >= window.ends:
        return window
    return msgspec.structs.replace(window, ends=ends, notices=notices(ends - now))


def notices(length_s: float) -> tuple[int, ...]:
    """When its end is told of, in seconds left: of a long one 5 min and 1 min before, else with half and a tenth left.

    >>> notices(900.0), notices(235.0)
    ((300, 60), (117, 23))
    """
    return _TOLD_S if length_s >= _LONG_S else (int(length_s / 2), int(length_s / 10))


def extended(window: Window | None, minutes: int, now: float) -> Window:
    """The window with so much more time. Raises `ConflictError` when none is open, `UsageError` for a bad length."""
    if not 0 < minutes <= LONGEST_EXTENSION_MIN:
        raise UsageError(f"extend: {minutes} minutes: between 1 and {LONGEST_EXTENSION_MIN}")
    if window is None:
        raise ConflictError("extend: no commit window is open on this node")
    ends = max(window.ends, now) + 60 * minutes
    return msgspec.structs.replace(window, ends=ends, notices=notices(ends - now), extended=True)


def to_tell(window: Window, now: float) -> int | None:
    """The notice that is due: of how many seconds before the end; None when none is."""
    return min((at for at in window.notices if window.ends - now <= at), default=None)


def told(window: Window, at: int) -> Window:
    """The window once that notice was sent; those of more time left are over as well."""
    return msgspec.structs.replace(window, notices=tuple(left for left in window.notices if left < at))


def next_event(window: Window) -> float:
    """When something is due: a notice, or the end."""
    return window.ends - max(window.notices, default=0)
