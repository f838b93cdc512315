"""One way to ask a service: its address, the token, TLS, limits, and whatever goes wrong as one of pact's errors.

Nothing is asked again and no redirect is followed: a token is for who was meant to have it. Neither tokens nor
passwords come back in an error, whatever a server says.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self, TypeVar
from urllib.parse import urlsplit

import httpx2
import msgspec

from pactsh.delegates.openchami.complaint import complaint, printable
from pactsh.errors import AuthError, ForbiddenError, NotFoundError, PactError, UnreachableError, UsageError
from pactsh.model.secret import Secret

MOST_BYTES = 32 << 20  # SMD sends its lists whole: some 300 bytes a node
_GATEWAYS = (502, 503, 504)
_MAYBE = "it may be done all the same: look before you repeat it"

T = TypeVar("T")


class Reply(NamedTuple):
    """An answer that is no error. `who` and `url` are for errors about it."""

    who: str
    url: str
    status: int
    headers: Mapping[str, str]
    content: bytes

    def read(self, shape: type[T]) -> T:
        """Its JSON; raises `PactError` if that has another shape."""
        try:
            return msgspec.json.decode(self.content, type=shape, strict=False)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise PactError(
                f"{self.who} at {host_of(self.url)} sends what pact can't read: {printable(str(error))}",
                hint=f"is {self.url} what it should be?",
            ) from error


class Service(NamedTuple):
    """`name` as people know it, and its address; then what settings give: that address, the token, what is trusted."""

    name: str
    base: str
    setting: str
    token: str = "PACT_OPENCHAMI_TOKEN or openchami_token"  # noqa: S105 (the settings' names)
    ca: str = "openchami_ca"


class Http:
    """Connections that share a token and what they trust. `secrets` never come back in errors."""

    def __init__(
        self, tls: ssl.SSLContext, *, timeout_s: float, token: Secret | None = None, secrets: tuple[Secret, ...] = ()
    ) -> None:
        self._timeout_s, self._token = timeout_s, token
        self._secrets = [*secrets, *([] if token is None else [token])]
        self._client = httpx2.Client(
            timeout=timeout_s,
            verify=tls,
            trust_env=False,
            follow_redirects=False,
            headers={"accept": "application/json", "accept-encoding": "identity", "user-agent": "pact"},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def ask(
        self,
        service: Service,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        allow: tuple[int, ...] = (),
    ) -> Reply:
        """Ask, and return what was answered. Raises `PactError`s, for statuses from 300 on too unless they are in
        `allow`."""
        url = service.base + path
        sent = {**self._bearer(service), **(headers or {})}
        content = None if body is None else msgspec.json.encode(body)
        if content is not None:
            sent["content-type"] = "application/json"
        try:
            with self._client.stream(method, url, params=params, content=content, headers=sent) as answer:
                reply = Reply(service.name, url, answer.status_code, answer.headers, self._content(service, answer))
        except httpx2.TimeoutException as error:
            raise self._too_slow(service, method) from error
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            raise self._unreachable(service, method, error) from error
        if reply.status < 300 or reply.status in allow:
            return reply
        raise self._error(service, method, reply)

    def _bearer(self, service: Service) -> dict[str, str]:
        if self._token is None:
            return {}
        text = self._token.reveal()
        if not (text.isascii() and text.isprintable() and text):
            raise AuthError(
                "OpenCHAMI's token holds characters that no token has", hint=f"is it the right one? see {service.token}"
            )
        return {"authorization": f"Bearer {text}"}

    def _content(self, service: Service, answer: httpx2.Response) -> bytes:
        """What it sends, up to a limit in size and in time: whoever sends a byte now and then is not listened to."""
        end = time.monotonic() + self._timeout_s
        content = bytearray()
        for part in answer.iter_bytes():
            content += part
            if len(content) > MOST_BYTES:
                raise PactError(
                    f"{service.name} at {host_of(service.base)} sends more than {MOST_BYTES >> 20} MiB",
                    hint=f"check {service.setting}",
                )
            if time.monotonic() > end:
                raise self._too_slow(service, answer.request.method)
        return bytes(content)

    def _too_slow(self, service: Service, method: str) -> PactError:
        hint = "give more --timeout" if method == "GET" else _MAYBE
        return UnreachableError(
            f"{service.name} at {host_of(service.base)} did not answer within {self._timeout_s:g} s", hint=hint
        )

    def _unreachable(self, service: Service, method: str, error: Exception) -> PactError:
        where, cause = f"{service.name} at {host_of(service.base)}", _cause(error)
        if isinstance(cause, ssl.SSLError):
            return AuthError(
                f"{where} can't be trusted: {_tls_words(cause)}", hint=f"check {service.setting} and {service.ca}"
            )
        if isinstance(error, httpx2.ConnectError):
            return UnreachableError(f"{where} can't be reached: {_words(cause)}", hint=f"check {service.setting}")
        hint = "" if method == "GET" else _MAYBE
        return UnreachableError(f"{where} broke off: {self._clean(_words(cause))}", hint=hint)

    def _error(self, service: Service, method: str, reply: Reply) -> PactError:
        where, status = f"{service.name} at {host_of(reply.url)}", reply.status
        said = complaint(reply.headers.get("content-type", ""), reply.content)
        text = self._clean(said.text)
        if status < 400:
            target = self._clean(host_of(reply.headers.get("location", "")) or "nowhere")
            return PactError(f"{where} sends pact on to {target}", hint=f"pact does not follow: set {service.setting}")
        if status == 401:
            return AuthError(f"{where} refuses pact: {text or 'unauthorized'}", hint=f"set {service.token}")
        if status == 403:
            return ForbiddenError(f"{where}: {text or 'not permitted'}")
        if status in _GATEWAYS or (status in {404, 405} and not said.is_its_own):
            # A gateway that got no answer can't know what came of the question.
            hint = f"set {service.setting} to where it is" if status == 404 or method == "GET" else _MAYBE
            return UnreachableError(f"{service.name} not reachable at {service.base} (HTTP status {status})", hint=hint)
        if status == 404:
            return NotFoundError(f"{where}: {text or 'not found'}")
        return PactError(f"{where}: {text or f'HTTP status {status}'}", detail=f"HTTP status {status}")

    def _clean(self, text: str) -> str:
        for secret in self._secrets:
            if secret.reveal():
                text = text.replace(secret.reveal(), "...")
        return text


def check_url(setting: str, url: str) -> str:
    """The address without what may end it; raises `UsageError` for what is no base of a service."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or set(url) & set("?#@\\ ") or not (url.isascii() and url.isprintable()):
        raise UsageError(f"{setting} {printable(url, 120)!r}: expected http[s]://HOST[:PORT][/PATH]")
    return url.rstrip("/")


def host_of(url: str) -> str:
    """The host and port of an address, for errors."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return ""
    host = printable(parts.hostname or "", 120)
    host = f"[{host}]" if ":" in host else host
    return f"{host}:{port}" if port else host


def trust(setting: str, ca: Path | None) -> ssl.SSLContext:
    """What certificates are taken: those that `ca` (PEM) signed, or the system's. Raises `UsageError`."""
    try:
        return ssl.create_default_context(cafile=None if ca is None else str(ca))
    except ssl.SSLError as error:
        raise UsageError(f"{setting} {ca}: not a PEM certificate") from error
    except OSError as error:
        raise UsageError(f"{setting} {ca}: {error.strerror or error}") from error


def _cause(error: BaseException) -> BaseException:
    """The operating system's or the TLS library's error, where that is behind it."""
    at: BaseException | None = error
    while at is not None:
        if isinstance(at, OSError):
            return at
        at = at.__cause__ or at.__context__
    return error


def _words(error: BaseException) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return printable(text) or type(error).__name__


def _tls_words(error: ssl.SSLError) -> str:
    said = getattr(error, "verify_message", "") or getattr(error, "reason", "")
    return printable(str(said or error.args[-1]))
