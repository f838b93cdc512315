"""What is in a token, for tests: unverified."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from typing import Any


def claims_of(token: str) -> dict[str, Any]:
    """Its claims."""
    claims: dict[str, Any] = json.loads(urlsafe_b64decode(token.split(".")[1] + "=="))
    return claims
