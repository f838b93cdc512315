"""Waiting for hardware: looking again and again, at first soon, until there is something to see or time is up."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from pactsh.errors import AuthError, UnreachableError

T = TypeVar("T")


class Pace(NamedTuple):
    """How long is waited for a deed (a hung shutdown alone may take PCS ten minutes), and how long between two looks
    at first and at most; `lost` is how many looks in a row may fail before that is the answer."""

    limit_s: float = 1800.0
    first_s: float = 0.25
    most_s: float = 5.0
    lost: int = 6


def wait(look: Callable[[], T | None], pace: Pace, *, what: str, hint: str) -> T:
    """What `look` returns once that is not None. Raises `UnreachableError` when time is up, and what `look` raises;
    only when nobody answers it looks again a few times: the hardware goes on meanwhile."""
    end = time.monotonic() + pace.limit_s
    pause_s, failed = pace.first_s, 0
    while True:
        try:
            seen = look()
            failed = 0
        except UnreachableError as error:
            failed += 1
            if failed >= pace.lost:
                raise UnreachableError(f"{what}: {error.message}", hint=hint) from error
            seen = None
        except AuthError as error:  # tokens end while one waits
            raise type(error)(f"{what} has begun, but {error.message}", hint=hint) from error
        if seen is not None:
            return seen
        if time.monotonic() + pause_s > end:
            raise UnreachableError(f"{what} is not over after {pace.limit_s:g} s", hint=hint)
        time.sleep(pause_s)
        pause_s = min(pause_s * 2, pace.most_s)
