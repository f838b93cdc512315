"""Terminal modes. Imports built-in C modules alone."""

import termios

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def raw_modes(modes: "list[Any]") -> "list[Any]":
    """Return terminal modes in which every byte passes as it is (cfmakeraw(3))."""
    raw = [*modes[:6], list(modes[6])]
    raw[0] &= ~(
        termios.BRKINT | termios.ICRNL | termios.INLCR | termios.IGNCR | termios.ISTRIP
        | termios.INPCK | termios.IXON | termios.IXOFF | termios.PARMRK
    )  # fmt: skip
    raw[1] &= ~termios.OPOST
    raw[3] &= ~(termios.ECHO | termios.ICANON | termios.IEXTEN | termios.ISIG)
    raw[6][termios.VMIN], raw[6][termios.VTIME] = 1, 0
    return raw
