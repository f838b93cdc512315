"""Asked too often: a call that was turned away before anything came of it."""

from __future__ import annotations

from pactsh.errors import PactError


class LimitedError(PactError):
    """The other system limits calls, and has not done this one: it may be asked for again in a while."""
