"""The first prompt, shown while the rest of it is still being imported. Standard library only.

Importing prompt-toolkit takes longer than all else. The prompt is there meanwhile; keys typed are kept
by the terminal, unechoed and uninterpreted, and appear as soon as the line editor stands in its place.
"""

import posix
import termios

from pactsh.shell.terminal import raw_modes


class EarlyPrompt:
    """A prompt without a line editor behind it yet."""

    def __init__(self, prompt: str) -> None:
        self._modes = termios.tcgetattr(0)
        modes = raw_modes(self._modes)
        modes[1] = self._modes[1]  # output stays as it is: notices above the first prompt are plain lines
        termios.tcsetattr(0, termios.TCSANOW, modes)
        posix.write(1, f"\x1b[1m{prompt}\x1b[0m".encode())

    def cover(self) -> None:
        """Leave the cursor where the line editor's own prompt is to cover this one."""
        posix.write(1, b"\r")

    def restore(self) -> None:
        """Give the terminal its modes back.

        Only after the editor's first line: switched to line mode and back, keys waiting would be
        interpreted, and ^D among them lost.
        """
        try:
            termios.tcsetattr(0, termios.TCSANOW, self._modes)
        except termios.error:
            pass  # hung up
