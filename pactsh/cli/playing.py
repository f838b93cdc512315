"""Playing a recording: its output with its timing on this terminal, or its text at once."""

from __future__ import annotations

import os
import select
import termios
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pactsh.cli.harmless import Harmless
from pactsh.model.asciicast import OUTPUT, Event

if TYPE_CHECKING:
    from pactsh.cli.render import Out

# What a recording that ends anywhere may have left: the other screen, a hidden cursor, colours, another character set.
_RESTORE = b"\x1b[?47l\x1b[?1l\x1b[?7h\x1b>\x1b[?25h\x1b7\x1b[r\x1b8\x1b(B\x0f\x1b[0m\r\n\x1b[J"
_STOP, _PAUSE = b"q\x03\x04", b" "


def delays(events: Iterable[Event], speed: float, idle_limit_s: float | None) -> Iterator[tuple[float, str]]:
    """What to show, and how long after the one before it.

    >>> list(delays([Event(1, "o", "a"), Event(2, "i", "x"), Event(9, "o", "b")], speed=2, idle_limit_s=3))
    [(0.5, 'a'), (1.5, 'b')]
    """
    last = 0.0
    for event in events:
        if event.code != OUTPUT:
            continue
        pause = max(0.0, event.time - last)
        last = max(last, event.time)
        yield min(pause, pause if idle_limit_s is None else idle_limit_s) / speed, event.data


def play(events: Iterable[tuple[float, str]], out: Out, sleep: Callable[[float], None]) -> None:
    """Show them on the terminal that `out` is. Space pauses, q ends it."""
    harmless = Harmless()
    try:
        with _keys(sleep) as wait:
            for pause, text in events:
                if pause > 0 and not wait(pause):
                    return
                out.raw(harmless.feed(text).encode("utf-8", "replace"))
    finally:
        out.raw(_RESTORE)


@contextmanager
def _keys(sleep: Callable[[float], None]) -> Iterator[Callable[[float], bool]]:
    """A way to wait in which keys count, where there is a keyboard; False from it: it is to end.

    The terminal meanwhile shows what it is given as it is: ends of lines were made ones when it was recorded.
    """
    has_keys = os.isatty(0)

    def wait(seconds: float) -> bool:
        if has_keys:
            return _wait(seconds)
        sleep(seconds)
        return True

    fd = next((fd for fd in (0, 1) if os.isatty(fd)), None)
    if fd is None:
        yield wait
        return
    before = termios.tcgetattr(fd)
    try:
        modes = [*before[:6], [*before[6]]]
        modes[1] &= ~termios.OPOST
        modes[3] &= ~(termios.ECHO | termios.ICANON)
        modes[6][termios.VMIN], modes[6][termios.VTIME] = 1, 0
        termios.tcsetattr(fd, termios.TCSANOW, modes)
        yield wait
    finally:
        termios.tcsetattr(fd, termios.TCSAFLUSH, before)  # what was typed meanwhile is no command


def _wait(seconds: float) -> bool:
    is_paused = False
    while is_paused or select.select([0], [], [], seconds)[0]:
        key = os.read(0, 1)
        if not key or key in _STOP:
            return False
        if key == _PAUSE:
            is_paused = not is_paused
            seconds = 0.0
    return True


def dump(events: Iterable[Event], out: Out) -> None:
    """The text that was shown, without timing, sequences or anything else that acts on a terminal."""
    harmless = Harmless(sequences=False)
    line = ""
    for event in events:
        if event.code == OUTPUT:
            *whole, line = (line + harmless.feed(event.data)).split("\n")
            for text in whole:
                out.line(text)
    if line:
        out.line(line)
