"""An authority whose clock stands still."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from pactsh.auth.ca import Authority

NOW = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.create(tmp_path / "ca", clock=lambda: NOW)
