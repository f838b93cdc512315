"""The times that daemons write before their lines."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from pact_agent.diag.stamps import time_of

from tests.pact_agent.diag.searching import NOW


def local(*moment: int) -> float:
    return datetime(*moment).timestamp()  # type: ignore[arg-type]  # ints alone


@pytest.mark.parametrize(
    ("line", "moment"),
    [
        (b"2026-02-28T10:33:00.123456+00:00 n d: x", datetime(2026, 2, 28, 10, 33, 0, 123456, UTC).timestamp()),
        (b"2026-02-28T10:33:00Z n d: x", datetime(2026, 2, 28, 10, 33, tzinfo=UTC).timestamp()),
        (b"2026-02-28T10:33:00+0530 n d: x", datetime(2026, 2, 28, 5, 3, tzinfo=UTC).timestamp()),
        (b"2026-02-28T10:33:00-08:00 n d: x", datetime(2026, 2, 28, 18, 33, tzinfo=UTC).timestamp()),
        (b"[2026-02-28T10:33:00.500] error: slurm", local(2026, 2, 28, 10, 33, 0, 500_000)),
        (b"2026-02-28 10:33:00 status installed", local(2026, 2, 28, 10, 33)),
        (b"2026-02-28 10:33:00,250 INFO x", local(2026, 2, 28, 10, 33, 0, 250_000)),
        (b"2026-02-28 10:33:60 leap", local(2026, 2, 28, 10, 33, 59)),
        (b"Feb 28 10:33:00 node042 sshd[1]: x", local(2026, 2, 28, 10, 33)),
        (b"Mar  1 10:33:00 node042 sshd[1]: x", local(2026, 3, 1, 10, 33)),
        (b"Dec 31 23:59:59 node042 x", local(2025, 12, 31, 23, 59, 59)),
        (b"Feb 29 01:00:00 node042 x", local(2024, 2, 29, 1)),
        (b"<30>Feb 28 10:33:00 x", local(2026, 2, 28, 10, 33)),
        (b"[Sat Feb 28 10:33:00 2026] x", local(2026, 2, 28, 10, 33)),
        (b"1772274780.5 x", 1772274780.5),
        (b"[1772274780] x", 1772274780.0),
        (b"", None),
        (b"    at java.lang.Thread.run", None),
        (b"Foo 28 10:33:00 x", None),
        (b"2026-13-45T99:99:99Z x", None),
        (b"2026-02-28T10:33:00+99:00 x", None),
        (b"12345678901234567890 x", None),
        (b"10.0.0.1 - - [28/Feb/2026]", None),
    ],
)
def test_forms(line: bytes, moment: float | None) -> None:
    assert time_of(line, NOW) == moment
