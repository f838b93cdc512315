"""A BMC by Redfish: signing in and out, reading, acting, and following what takes it longer.

Whoever has its password can do anything to the node. So it is sent to nobody whose certificate was not checked, and
no link is followed to another host.
"""

from __future__ import annotations

import base64
import hashlib
import re
import ssl
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import SplitResult, urljoin, urlsplit

import msgspec

from pactsh.delegates.openchami.complaint import printable
from pactsh.delegates.openchami.http import Http, Reply, Service, trust
from pactsh.delegates.openchami.waiting import Pace, wait
from pactsh.delegates.settings import OpenchamiSettings
from pactsh.errors import PactError, UsageError
from pactsh.model.secret import Secret

_ROOT = "/redfish/v1/"
_SESSIONS = "/redfish/v1/SessionService/Sessions"
_SETTINGS = "bmc_user and bmc_password"
_TRUST = "bmc_ca or bmc_fingerprint"
_RUNNING = {"New", "Starting", "Running", "Suspended", "Interrupted", "Pending", "Stopping", "Cancelling", "Service"}

T = TypeVar("T")


class _Link(msgspec.Struct, frozen=True):
    id: str = msgspec.field(name="@odata.id", default="")


class _Links(msgspec.Struct, frozen=True, rename="pascal"):
    sessions: _Link | None = None


class _Root(msgspec.Struct, frozen=True, rename="pascal"):
    links: _Links | None = None
    session_service: _Link | None = None


class _Task(msgspec.Struct, frozen=True, rename="pascal"):
    task_state: str = ""
    task_status: str = ""
    messages: list[dict[str, object]] | None = None


class Bmc:
    """The BMC at `host` (HOST or HOST:PORT), for as long as a `with` block: a BMC has few sessions to give."""

    def __init__(self, host: str, settings: OpenchamiSettings, *, timeout_s: float, pace: Pace) -> None:
        if settings.bmc_user is None or settings.bmc_password is None:
            raise UsageError("BMCs want a user and a password", hint=f"set {_SETTINGS}")
        self._user, self._password = settings.bmc_user, settings.bmc_password
        self._service = Service("BMC", f"https://{host}", "its RedfishURL in SMD", _SETTINGS, _TRUST)
        basic = base64.b64encode(f"{self._user}:{self._password.reveal()}".encode())
        self._basic = Secret(f"Basic {basic.decode()}")
        secrets = (self._password, Secret(basic.decode()))
        self._tls = bmc_trust(settings.bmc_ca, settings.bmc_fingerprint)
        self._pace, self._headers = pace, {"odata-version": "4.0"}
        self._http = Http(self._tls, timeout_s=timeout_s, secrets=secrets)
        self._session = ""
        self._closing = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self._http)
            self._sign_in()
            stack.callback(self._sign_out)
            self._closing = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.close()

    def read(self, path: str, shape: type[T]) -> tuple[T, str]:
        """A resource, and its ETag ("" without one)."""
        reply = self._ask("GET", path)
        return reply.read(shape), reply.headers.get("etag", "")

    def act(
        self, method: str, path: str, body: object, *, headers: Mapping[str, str] | None = None,
        allow: tuple[int, ...] = (),
    ) -> int:  # fmt: skip
        """Have it do something, wait for the task that it makes of it, and return the status."""
        reply = self._ask(method, path, body=body, headers=headers, allow=allow)
        if reply.status == 202:
            monitor = reply.headers.get("location") or _id_of(reply)
            if monitor:
                hint = "look at the node before you repeat it"
                wait(
                    lambda: self._over(self.here(monitor)), self._pace, what=f"the task of the BMC at {path}", hint=hint
                )
        return reply.status

    def own(self, link: str) -> str:
        """The path of a link; raises `PactError` if it leads to another host."""
        parts = self._parts(link)
        if _place(parts) != _place(urlsplit(self._service.base)) or not parts.path.startswith("/"):
            raise PactError(
                f"the BMC at {self._host} wants pact to go on at {printable(link, 120)!r}, which is not itself",
                hint="pact does not: it would show its password there",
            )
        return self.here(link)

    def here(self, link: str) -> str:
        """The path of a link on this BMC, by whatever name it calls itself."""
        parts = self._parts(link)
        return parts.path + (f"?{parts.query}" if parts.query else "")

    def _parts(self, link: str) -> SplitResult:
        """A link, made whole; nothing at all for what is none."""
        try:
            parts = urlsplit(urljoin(self._service.base, link))
            return parts if _place(parts) else urlsplit("")
        except ValueError:
            return urlsplit("")

    @property
    def _host(self) -> str:
        return urlsplit(self._service.base).netloc

    def _ask(self, method: str, path: str, **more: Any) -> Reply:
        given = more.pop("headers", None) or {}
        return self._http.ask(self._service, method, path, headers={**self._headers, **given}, **more)

    def _sign_in(self) -> None:
        """By a session; with the password in each request only where there are no sessions."""
        sessions = self._sessions()
        if sessions:
            body = {"UserName": self._user, "Password": self._password.reveal()}
            reply = self._ask("POST", sessions, body=body, allow=(404, 405, 501))
            if reply.status < 300:
                self._begin(reply)
                return
        self._headers["authorization"] = self._basic.reveal()

    def _sessions(self) -> str:
        """Where sessions are made: what the root says, which is for everybody to read; "" if there are none."""
        reply = self._ask("GET", _ROOT, allow=(401, 403))
        if reply.status > 400:
            return _SESSIONS
        root = reply.read(_Root)
        link = root.links.sessions.id if root.links and root.links.sessions else ""
        return self.own(link) if link else _SESSIONS if root.session_service else ""

    def _begin(self, reply: Reply) -> None:
        token = reply.headers.get("x-auth-token", "")
        if not token or not re.fullmatch(r"[!-~]+", token):
            raise PactError(f"the BMC at {self._host} opens a session without a token")
        self._headers["x-auth-token"] = token
        location = reply.headers.get("location") or _id_of(reply)
        self._session = self.here(location) if location else ""

    def _sign_out(self) -> None:
        """A session that stays takes one of a few places until it times out: no reason to fail what was done."""
        if self._session:
            try:
                self._ask("DELETE", self._session)
            except PactError:
                return

    def _over(self, path: str) -> bool | None:
        """Whether a task is over; None while it is not. Raises `PactError` for one that failed."""
        reply = self._ask("GET", path, allow=(404, 410))
        if reply.status in {404, 410}:
            raise PactError(
                f"the BMC at {self._host} does not know its task any more: what came of it is not known",
                hint="look at the node before you repeat it",
            )
        task = reply.read(_Task) if reply.content.strip() else _Task()
        if task.task_state in _RUNNING or (not task.task_state and reply.status == 202):
            return None
        if task.task_state in {"", "Completed"} and task.task_status != "Critical":
            return True
        said = " ".join(str(one.get("Message") or "") for one in task.messages or ())
        why = printable(said) or printable(task.task_state, 40)
        raise PactError(f"the BMC at {self._host} did not do it: {why}")


def _place(parts: SplitResult) -> tuple[str, str, int]:
    return parts.scheme, (parts.hostname or "").lower(), parts.port or 443


class _Pinned(ssl.SSLContext):
    """Takes certificates by their fingerprints, before a byte is sent."""

    fingerprints: frozenset[str] = frozenset()

    def wrap_socket(self, *args: Any, **more: Any) -> ssl.SSLSocket:
        made = super().wrap_socket(*args, **more)
        certificate = made.getpeercert(binary_form=True) or b""
        found = hashlib.sha256(certificate).hexdigest()
        if found not in self.fingerprints:
            made.close()
            raise ssl.SSLError(1, f"its certificate's SHA-256 is {found}")
        return made


def bmc_trust(ca: Path | None, fingerprint: str | None) -> ssl.SSLContext:
    """What certificates of BMCs are taken: those with a fingerprint (several are parted by commas), those that `ca`
    signed; where both are given, those for which both holds. Raises `UsageError`."""
    if fingerprint is None:
        return trust("bmc_ca", ca)
    context = _Pinned(ssl.PROTOCOL_TLS_CLIENT)
    context.fingerprints = frozenset(_fingerprint(one) for one in fingerprint.split(","))
    if ca is None:
        context.check_hostname = False  # the certificate itself is known
        context.verify_mode = ssl.CERT_NONE
    else:
        trust("bmc_ca", ca)
        context.load_verify_locations(cafile=ca)
    return context


def _fingerprint(text: str) -> str:
    plain = text.strip().lower().removeprefix("sha256:").replace(":", "")
    if not re.fullmatch(r"[0-9a-f]{64}", plain, re.ASCII):
        raise UsageError(
            f"bmc_fingerprint {printable(text, 120)!r}: expected a certificate's SHA-256, 64 hex digits",
            hint="openssl x509 -noout -fingerprint -sha256 prints it",
        )
    return plain


def _id_of(reply: Reply) -> str:
    try:
        return reply.read(_Link).id
    except PactError:
        return ""
