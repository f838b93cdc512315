"""Modules evaluated by a server of OPA's (its REST API, `POST /v1/data/pact/authz`), which has the modules itself."""

from __future__ import annotations

import logging
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

from pactsh.errors import PolicyError, UsageError
from pactsh.policy.rego.verdict import Verdict, read_verdict

if TYPE_CHECKING:
    import httpx2

    from pactsh.model.entry import JsonObject

_log = logging.getLogger(__name__)
_LIMIT_S = 2.0


class Opa:
    """The engine at `url` (its base, such as `http://localhost:8181`)."""

    def __init__(self, url: str, *, ca: Path | None = None) -> None:
        self._url, self._ca = url.rstrip("/"), ca
        self._client: httpx2.AsyncClient | None = None

    async def start(self) -> None:
        """Raises `UsageError` for a CA file that can't be read. That the server answers is not needed yet."""
        import httpx2

        try:
            trust = ssl.create_default_context(cafile=None if self._ca is None else str(self._ca))
        except OSError as error:
            raise UsageError(f"{self._ca}: {error.strerror or error}") from error
        self._client = httpx2.AsyncClient(timeout=_LIMIT_S, verify=trust, trust_env=False, follow_redirects=False)

    async def evaluate(self, given: JsonObject) -> Verdict:
        """Raises `PolicyError`, also when the server can't be reached: what it would refuse must not pass."""
        import httpx2

        assert self._client is not None
        try:
            answer = await self._client.post(f"{self._url}/v1/data/pact/authz", json={"input": given})
            answer.raise_for_status()
            value = answer.json()
        except (httpx2.HTTPError, ValueError) as error:
            _log.error("policy: %s: %s", self._url, error or type(error).__name__)
            raise PolicyError(
                "the policy can't be evaluated: the OPA server does not answer", hint="the journal's log has more"
            ) from error
        return read_verdict(value.get("result") if isinstance(value, dict) else None)

    async def close(self) -> None:
        """Close its connections."""
        if self._client is not None:
            await self._client.aclose()
