from __future__ import annotations

import os
import pty
import termios

from pactsh.shell.terminal import raw_modes


def test_every_byte_passes_as_it_is_and_the_old_modes_are_untouched() -> None:
    master, slave = pty.openpty()
    before = termios.tcgetattr(slave)
    termios.tcsetattr(slave, termios.TCSANOW, raw_modes(before))
    keys = bytes(range(256))
    os.write(master, keys)
    assert os.read(slave, 1000) == keys
    os.write(slave, keys)
    assert os.read(master, 1000) == keys
    termios.tcsetattr(slave, termios.TCSANOW, before)
    assert termios.tcgetattr(slave) == before
    os.close(master)
    os.close(slave)
