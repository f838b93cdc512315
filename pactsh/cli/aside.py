"""Questions to several systems at the same time, each in a thread of its own and bounded: one that is dead delays
nobody, and holds up neither the end of the program nor Ctrl-C."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, TypeVar

from pactsh.errors import PactError, UnreachableError

if TYPE_CHECKING:
    from pactsh.cli.context import Context

T = TypeVar("T")

LIMIT_S = 5.0
_SLACK_S = 0.25  # for a question's own limit, whose error says more


def bounded(ctx: Context) -> Context:
    """The same with a time limit of at most 5 s."""
    from dataclasses import replace

    from msgspec.structs import replace as replace_struct

    return replace(ctx, settings=replace_struct(ctx.settings, timeout=min(LIMIT_S, ctx.settings.timeout)))


class Aside(Generic[T]):
    """`question`, asked from now on; `what` is whom, for the error of one that does not end within `limit_s`."""

    def __init__(self, what: str, question: Callable[[], T], limit_s: float) -> None:
        self._what, self._question, self._limit_s = what, question, limit_s
        self._found: list[T] = []
        self._error: BaseException | None = None
        self._over = threading.Event()
        self._started = self._ended = time.monotonic()
        # A daemon: whatever it is stuck in, the program may end.
        threading.Thread(target=self._ask, name=f"ask {what}", daemon=True).start()

    def _ask(self) -> None:
        try:
            self._found.append(self._question())
        except BaseException as error:  # noqa: BLE001  the top of a thread: it is raised to whoever wants the answer
            self._error = error
        self._ended = time.monotonic()
        self._over.set()

    @property
    def took_ms(self) -> float:
        """How long it took to be answered."""
        return round((self._ended - self._started) * 1e3, 1)

    def answer(self) -> T:
        """Wait for it. Raises what it raised, and `UnreachableError` after the limit."""
        left_s = self._started + self._limit_s + _SLACK_S - time.monotonic()
        if not self._over.wait(max(0.0, left_s)):
            raise UnreachableError(f"{self._what} did not answer within {self._limit_s:g} s")
        if self._error is not None:
            raise self._error
        return self._found[0]

    def outcome(self) -> T | PactError:
        """The same, with errors as values."""
        try:
            return self.answer()
        except PactError as error:
            return error
