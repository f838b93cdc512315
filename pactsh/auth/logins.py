"""Sign-ins that are kept between runs: one for each journal, readable by their owner alone.

    logins/JOURNAL.json   the issuer, the token and what gets the next one
    logins/JOURNAL.lock   held while one of several runs gets it

JOURNAL stands for the endpoint: what was got for one journal is never sent to another.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from pactsh.auth import private
from pactsh.auth.oidc.provider import Provider
from pactsh.errors import AuthError, PactError, UnreachableError

RENEW_BEFORE_S = 60.0
LOCK_TIMEOUT_S = 60.0
_LOCK_POLL_S = 0.05


class Login(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One sign-in. `id` stays the same while its tokens change; `expires_at` is in seconds since the epoch. `service`
    says that it was made with client credentials, which get the next token as well."""

    id: str
    endpoint: str
    provider: Provider
    token: str
    expires_at: float
    refresh_token: str = ""
    service: bool = False


def new_id() -> str:
    """An id for a sign-in."""
    return secrets.token_hex(16)


class Logins:
    """The sign-ins in pact's state directory; made on first write."""

    def __init__(self, state: Path) -> None:
        self._state, self._directory = state, state / "logins"

    def get(self, endpoint: str) -> Login | None:
        """The one for a journal, None without one. Raises `UsageError` when others may read it, `AuthError` when it is
        damaged."""
        path = self._path(endpoint)
        content = private.read_private(path)
        return None if content is None else _decoded(path, content)

    def all(self) -> list[Login]:
        """Every one of them; raises like `get`."""
        paths = sorted(self._directory.glob("*.json"))
        read = ((path, private.read_private(path)) for path in paths)
        return [_decoded(path, content) for path, content in read if content is not None]

    def save(self, login: Login) -> None:
        """Keep it, in place of the one there; a run that renews that one has it thrown away."""
        self._make()
        with self._locked(login.endpoint):
            self._write(login)

    def _make(self) -> None:
        for directory in (self._state, self._directory):
            private.make_private_directory(directory)

    def _write(self, login: Login) -> None:
        private.write_private(self._path(login.endpoint), msgspec.json.encode(login))

    def take(self, login: Login) -> Login | None:
        """Remove that one and return it as it was last, after a run that is just renewing it. None when it has gone, or
        somebody has signed in anew."""
        with self._locked(login.endpoint):
            last = self.get(login.endpoint)
            if last is None or last.id != login.id:
                return None
            self._path(login.endpoint).unlink()
            return last

    def forget(self) -> None:
        """Remove what is left of them all, but for the locks: another may be waiting for one."""
        for path in self._directory.glob("*.json"):
            path.unlink(missing_ok=True)

    def fresh(self, endpoint: str, now: Callable[[], float], renew: Callable[[Login], Login]) -> Login | None:
        """The one for a journal with a token that is good for a while: `renew` gets the next, in one of several runs.

        An issuer that can't be reached is no fault while the token is good. Raises what `renew` raises.
        """
        login = self.get(endpoint)
        if login is None or now() < login.expires_at - RENEW_BEFORE_S:
            return login
        with self._locked(endpoint):
            login = self.get(endpoint)
            if login is None or now() < login.expires_at - RENEW_BEFORE_S:
                return login
            try:
                login = renew(login)
            except UnreachableError:
                if now() < login.expires_at:
                    return login
                raise
            self._write(login)
            return login

    def _path(self, endpoint: str) -> Path:
        return self._directory / f"{hashlib.sha256(endpoint.encode()).hexdigest()[:32]}.json"

    @contextmanager
    def _locked(self, endpoint: str) -> Iterator[None]:
        """Polls, so that ^C always ends the wait."""
        path = self._path(endpoint).with_suffix(".lock")
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            end = time.monotonic() + LOCK_TIMEOUT_S
            while True:
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > end:
                        raise PactError(f"{path}: another pact has held this for {LOCK_TIMEOUT_S:.0f} s") from None
                    time.sleep(_LOCK_POLL_S)
            yield
        finally:
            os.close(fd)


def _decoded(path: Path, content: bytes) -> Login:
    try:
        return msgspec.json.decode(content, type=Login)
    except ValueError as error:  # DecodeError, ValidationError
        raise AuthError(f"{path}: no sign-in that this version can read", hint="pact login again") from error
