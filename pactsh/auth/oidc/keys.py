"""An issuer's public keys as the journal knows them: asked for, kept, and asked for again when they rotate.

They are looked at every few minutes, so that a key that was withdrawn soon counts no more, and when a token names an
unknown one. While the issuer can't be reached those from before go on, for a day, a restart of the journal included.
"""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pactsh.auth import private
from pactsh.auth.oidc.discovery import MAX_DOCUMENT, WELL_KNOWN, parse_document, read_endpoints
from pactsh.auth.tokens import Key, StaticKeys
from pactsh.errors import PactError, UnreachableError

_log = logging.getLogger(__name__)
LOOK_S = 300.0
RETRY_S = 10.0  # between two questions because of unknown keys: whoever sends such tokens shall not flood the issuer
KEEP_S = 86400.0
LIMIT_S = 4.0


class IssuerKeys:
    """The keys of one issuer. `cache` is a private file of this journal's, or None to keep nothing."""

    def __init__(
        self,
        issuer: str,
        tls: ssl.SSLContext,
        *,
        cache: Path | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._issuer, self._tls, self._cache, self._now = issuer, tls, cache, now
        self._keys: StaticKeys | None = None
        self._fetched_at = self._tried_at = float("-inf")
        self._why = "it was not asked yet"
        self._fetching = asyncio.Lock()

    def load(self) -> None:
        """Take over what an earlier journal kept."""
        if self._cache is None:
            return
        try:
            kept = json.loads(private.read_private(self._cache) or b"null")
            if kept is not None and kept["issuer"] == self._issuer:
                self._keys, self._fetched_at = StaticKeys(kept["jwks"]), float(kept["fetched_at"])
        except (PactError, ValueError, LookupError, TypeError, AttributeError) as error:
            _log.warning("keys of %s: what was kept can't be used: %s", self._issuer, error)

    async def run(self) -> None:
        """Look now and then, until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_S if self._is_fresh() else RETRY_S)

    async def find(self, key_id: str | None) -> Sequence[Key]:
        """Keys with that id, all of them for None; asks the issuer when there is none. Raises `UnreachableError` when
        it can't be reached and nothing is known."""
        found = await self._known(key_id)
        if not found and self._now() - self._tried_at >= RETRY_S:
            await self.look()
            found = await self._known(key_id)
        if self._keys is None or self._is_stale():
            raise UnreachableError(
                f"the keys of {self._issuer} can't be asked for: {self._why}", hint="tokens can't be checked until then"
            )
        return found

    async def look(self) -> None:
        """Ask the issuer now; several who ask at once wait for one answer."""
        before = self._tried_at
        async with self._fetching:
            if self._tried_at != before:
                return
            try:
                async with asyncio.timeout(LIMIT_S):
                    jwks = await self._fetch()
                    self._keys = StaticKeys(jwks)
            except TimeoutError:
                self._failed(f"no answer within {LIMIT_S:g} s")
            except (PactError, ValueError) as error:
                self._failed(str(error))
            else:
                self._fetched_at = self._tried_at = self._now()
                self._why = ""
                await asyncio.to_thread(self._keep, jwks)

    async def _known(self, key_id: str | None) -> Sequence[Key]:
        return () if self._keys is None or self._is_stale() else await self._keys.find(key_id)

    def _is_fresh(self) -> bool:
        return self._now() - self._fetched_at < LOOK_S

    def _is_stale(self) -> bool:
        return not 0 <= self._now() - self._fetched_at < KEEP_S

    def _failed(self, why: str) -> None:
        self._tried_at = self._now()
        if why != self._why:
            _log.error("keys of %s: %s", self._issuer, why)
        self._why = why

    async def _fetch(self) -> dict[str, Any]:
        import httpx2

        try:
            async with httpx2.AsyncClient(verify=self._tls, timeout=LIMIT_S, follow_redirects=False) as client:
                endpoints = read_endpoints(self._issuer, await _get(client, self._issuer.rstrip("/") + WELL_KNOWN))
                return await _get(client, endpoints.jwks)
        except httpx2.HTTPError as error:
            raise UnreachableError(str(error) or type(error).__name__) from error

    def _keep(self, jwks: dict[str, Any]) -> None:
        if self._cache is None:
            return
        kept = {"issuer": self._issuer, "fetched_at": self._fetched_at, "jwks": jwks}
        try:
            private.make_private_directory(self._cache.parent)
            private.write_private(self._cache, json.dumps(kept).encode())
        except (PactError, OSError) as error:
            _log.warning("keys of %s: not kept: %s", self._issuer, error)


async def _get(client: Any, url: str) -> dict[str, Any]:
    async with client.stream("GET", url, headers={"accept": "application/json"}) as answer:
        content = b""
        async for part in answer.aiter_bytes():
            content += part
            if len(content) > MAX_DOCUMENT:
                raise UnreachableError(f"{url}: an answer of more than {MAX_DOCUMENT} bytes")
    return parse_document(url, answer.status_code, content)
