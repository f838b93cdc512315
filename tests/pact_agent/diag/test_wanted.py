"""What may be asked of the logs, and what is refused."""

from __future__ import annotations

import pytest
from pact_agent.diag.wanted import Wanted, wanted_of

from pactsh.errors import UsageError


def test_nothing_said_is_the_usual() -> None:
    nothing = dict.fromkeys(("lines", "source", "service", "grep", "since"))
    assert wanted_of({}) == wanted_of(dict(nothing)) == Wanted(100, "all", "", "", None)


def test_what_is_said() -> None:
    params = {"lines": 10_000, "source": "service", "service": "getty@tty1.service", "grep": "x+", "since": "1970-01-01T00:01:40Z"}  # fmt: skip  # noqa: E501
    assert wanted_of({**params}) == Wanted(10_000, "service", "getty@tty1.service", "x+", 100.0)


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("lines", 10_001, "lines: expected a number from 1 to 10000"),
        ("lines", 0, "lines: expected"),
        ("lines", True, "lines: expected"),
        ("lines", "5", "lines: expected"),
        ("source", "kernel", "source: expected one of system, service, all"),
        ("source", ["all"], "source: expected one of"),
        ("service", "../../etc/shadow", "service: no name of a service"),
        ("service", "--root=/x", "service: no name of a service"),
        ("service", "*", "service: no name of a service"),
        ("service", "a\nb", "service: no name of a service"),
        ("service", 5, "service: expected text"),
        ("grep", "a(b", "--grep: at character 2: this parenthesis is never closed"),
        ("grep", "x" * 1001, "--grep: at character 1001: longer than 1000 characters"),
        ("grep", 5, "grep: expected text"),
        ("since", "yesterday", "since: expected a time"),
        ("since", "2026-01-01T00:00:00", "since: expected a time"),
        ("since", "9999-12-31T23:59:59-23:00", "since: expected a time"),
        ("file", "/etc/shadow", "unknown parameter 'file'"),
    ],
)
def test_what_is_refused(name: str, value: object, why: str) -> None:
    with pytest.raises(UsageError, match=r"^diag: ") as caught:
        wanted_of({name: value})
    assert why in caught.value.message


def test_a_service_is_not_of_the_system() -> None:
    with pytest.raises(UsageError, match="system is without the services"):
        wanted_of({"service": "sshd", "source": "system"})
