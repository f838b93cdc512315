"""Being woken when something in a directory changes: inotify(7)."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import errno
import logging
import os
from collections.abc import Callable

_log = logging.getLogger(__name__)
_libc = ctypes.CDLL(None, use_errno=True)


class Inotify:
    """Watches of one dimension, called `name` in the log, for `events`. There are none before `start`."""

    def __init__(self, name: str, events: int) -> None:
        self._name, self._events = name, events
        self._fd, self._short = -1, False

    def watch(self, directory: str) -> None:
        """Watch a directory; again is no harm, and one that is not there is none."""
        if self._fd < 0:
            return
        done = _libc.inotify_add_watch(self._fd, os.fsencode(directory), self._events)
        if done < 0 and ctypes.get_errno() == errno.ENOSPC and not self._short:
            self._short = True
            _log.error("%s: too many directories to watch: raise fs.inotify.max_user_watches", self._name)

    def start(self, told: Callable[[bytes], None]) -> Callable[[], None]:
        """Give `told` what the kernel says, in the running loop; returns what ends that. Raises `OSError`."""
        loop = asyncio.get_running_loop()
        fd = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if fd < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        self._fd = fd

        def read() -> None:
            parts: list[bytes] = []
            with contextlib.suppress(BlockingIOError):
                while data := os.read(fd, 1 << 16):
                    parts.append(data)
            told(b"".join(parts))

        def end() -> None:
            loop.remove_reader(fd)
            self._fd = -1
            os.close(fd)

        loop.add_reader(fd, read)
        return end
