"""HTTP for `Openchami`: what comes is kept as a `Call`, what goes out is an `Answer`."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

HUGE = 80 << 20
"""As a body: that many bytes of nothing."""
DRIP = -1
"""As a body: a byte now and then, without end."""


class Call(NamedTuple):
    """What was asked. `body` is what came as JSON; the names of `headers` are in lower case."""

    method: str
    path: str
    query: Mapping[str, list[str]]
    body: Any
    headers: Mapping[str, str]


class Answer(NamedTuple):
    """What it is answered: `body` is sent as JSON, or as it is if it is bytes; status 0 hangs up."""

    status: int
    body: Any = None
    content_type: str = "application/json"
    headers: Mapping[str, str] = {}


def problem(status: int, title: str, detail: str) -> Answer:
    """An error as RFC 7807 has it."""
    told = {"type": "about:blank", "title": title, "detail": detail, "status": status}
    return Answer(status, told, "application/problem+json")


def plain(status: int, text: str) -> Answer:
    """Plain text."""
    return Answer(status, text.encode(), "text/plain; charset=utf-8")


def html(status: int, text: str) -> Answer:
    """What a gateway says."""
    return Answer(status, f"<html><body><h1>{status}</h1>{text}</body></html>".encode(), "text/html")


NO_PAGE = plain(404, "404 page not found\n")


class Server(ThreadingHTTPServer):
    """On a free port of loopback; `answer` is asked in a thread for each connection."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, answer: Callable[[Call], Answer], certificate: tuple[Path, Path] | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer = answer
        self.ended = threading.Event()
        if certificate is not None:
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(*certificate)
            self.socket = tls.wrap_socket(self.socket, server_side=True)
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,))

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def end(self) -> None:
        """Answer nobody any more."""
        self.ended.set()
        self.shutdown()
        self.server_close()
        self._thread.join()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Whoever hangs up does so: that is what some tests are about."""


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        content = self.rfile.read(int(self.headers.get("content-length") or 0))
        try:
            body = json.loads(content) if content else None
        except ValueError:
            body = content
        headers = {name.lower(): value for name, value in self.headers.items()}
        self._reply(self.server.answer(Call(self.command, parts.path, parse_qs(parts.query), body, headers)))

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve

    def _reply(self, answer: Answer) -> None:
        if answer.status == 0:
            self.close_connection = True
            return
        self.send_response(answer.status)
        self.send_header("content-type", answer.content_type)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.body == DRIP:
            self.end_headers()
            while not self.server.ended.wait(0.02):
                self.wfile.write(b" ")
            return
        if answer.body == HUGE:
            self.end_headers()
            for _ in range(HUGE >> 16):
                self.wfile.write(b" " * (1 << 16))
            return
        content = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
        if answer.status == 302:
            self.send_header("location", str(answer.body))
            content = b""
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args: Any) -> None:
        """Say nothing."""
