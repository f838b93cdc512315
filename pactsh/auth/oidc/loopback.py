"""The end of a sign-in by browser: one request to the loopback address brings the code (RFC 8252, section 7.3)."""

from __future__ import annotations

import hmac
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, urlsplit

from pactsh.errors import AuthError, UsageError

PATH = "/callback"
_PAGE = """<!doctype html><meta charset="utf-8"><title>pact</title>
<body style="font-family: sans-serif; margin: 4em"><h1>{title}</h1><p>{text}</p></body>
"""
_IDLE_S = 5.0  # a browser that connects ahead of time and says nothing


class Loopback:
    """Listens until the answer to `state` has come: `with Loopback(state, issuer) as loopback`.

    Whatever else is asked for, and an answer with another state, changes nothing: the wait goes on. Raises
    `UsageError` when `port` is taken.
    """

    def __init__(self, state: str, issuer: str, *, port: int = 0, names_itself: bool = False) -> None:
        self._state, self._issuer, self._names_itself = state, issuer, names_itself
        self._answer: dict[str, str] | None = None
        self._came = threading.Event()
        loopback = self

        class Handler(BaseHTTPRequestHandler):
            timeout = _IDLE_S

            def do_GET(self) -> None:
                status, title, text = loopback._take(self.path, str(self.headers.get("Host", "")))
                page = _PAGE.format(title=title, text=text).encode()
                self.send_response(status)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Length", str(len(page)))
                self.send_header("Cache-Control", "no-store")
                self.send_header("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
                self.end_headers()
                self.wfile.write(page)

            def log_message(self, *_: object) -> None:
                """Nothing: the path has the code in it."""

        try:
            self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        except OSError as error:
            raise UsageError(f"login: port {port} of the loopback address: {error.strerror}") from error
        self._server.daemon_threads = True
        self.uri = f"http://127.0.0.1:{self._server.server_port}{PATH}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def code(self, limit_s: float) -> str:
        """Wait for the code. Raises `AuthError` when the issuer refused, or nothing came in time."""
        if not self._came.wait(limit_s):
            raise AuthError(
                f"nobody signed in within {limit_s / 60:.0f} minutes",
                hint="without a browser on this machine: pact login --device-code",
            )
        answer = self._answer or {}
        if "error" in answer:
            why = answer.get("error_description") or answer["error"]
            raise AuthError(f"{self._issuer} refused the sign-in: {printable(why)}")
        given = answer.get("iss", self._issuer if not self._names_itself else "")
        if given != self._issuer:  # RFC 9207: another issuer's answer must not reach this one's token endpoint
            raise AuthError(f"the answer is not from {self._issuer}", hint="pact login again")
        if not answer.get("code"):
            raise AuthError(f"{self._issuer} answered without a code")
        return answer["code"]

    def _take(self, target: str, host: str) -> tuple[HTTPStatus, str, str]:
        """What to show for a request; keeps the first answer that is for us."""
        parts = urlsplit(target)
        if parts.path != PATH or not host.startswith("127.0.0.1:"):
            return HTTPStatus.NOT_FOUND, "Not found", ""
        answer = {name: values[0] for name, values in parse_qs(parts.query).items() if len(values) == 1}
        if not hmac.compare_digest(answer.get("state", "").encode(), self._state.encode()):
            return HTTPStatus.BAD_REQUEST, "Not signed in", "This is not the answer that pact is waiting for."
        if not self._came.is_set():
            self._answer = answer
            self._came.set()
        if "error" in answer:
            return HTTPStatus.OK, "Not signed in", "The terminal says why. You may close this window."
        return HTTPStatus.OK, "pact has the answer", "Go on in the terminal. You may close this window."


def printable(text: str) -> str:
    """What somebody else has written, fit for a terminal."""
    return "".join(c if c.isprintable() else "?" for c in text)[:300]
