"""A server that takes connections and says the same to all, or nothing."""

from __future__ import annotations

import socket
import threading
from types import TracebackType
from typing import Self


class Silent:
    """`with Silent() as silent:`, at `endpoint`; `says` is what everybody is sent who connects."""

    def __init__(self, says: bytes = b"") -> None:
        self._says = says
        self._kept: list[socket.socket] = []
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.endpoint = f"127.0.0.1:{self._socket.getsockname()[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for one in self._kept:
            one.close()

    def _serve(self) -> None:
        while True:
            try:
                one, _ = self._socket.accept()
            except OSError:
                return
            self._kept.append(one)
            one.sendall(self._says)
