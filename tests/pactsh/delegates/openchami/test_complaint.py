from __future__ import annotations

import pytest

from pactsh.delegates.openchami.complaint import complaint


@pytest.mark.parametrize(
    ("kind", "content", "text", "is_its_own"),
    [
        ("application/problem+json", b'{"type":"about:blank","title":"Not Found"}', "Not Found", True),
        ("application/problem+json", b'{"title":"Not Found","detail":"no such xname."}', "no such xname.", True),
        ("application/problem+json", b'{"type":"about:blank"}', "", True),
        ("text/plain", b"token is\nunauthorized\n", "token is unauthorized", False),
        ("text/html", b"<html><head><title>404 Not Found</title></head></html>", "404 Not Found", False),
        ("text/html", b"<html><body><h1>503 Service Unavailable</h1>\nNo", "503 Service Unavailable", False),
        ("text/html", b"<html><p>?", "", False),
        ("application/json", b'{"error":{"code":"x","message":"General error."}}', "General error.", True),
        ("application/json", b'{"error":"short"}', "short", True),
        ("application/json", b'{"error":{"@Message.ExtendedInfo":[{"Message":"A"},{},{"Message":"B"}]}}', "A B", True),
        ("application/json", b'{"error":{"message":"m","@Message.ExtendedInfo":{"Message":"one"}}}', "one", True),
        ("application/json", b'{"error":{"message":7}}', "", True),
        ("application/json", b"[" * 5000, "[" * 300 + "...", False),
        ("", b"\xff\xfe", "\ufffd\ufffd", False),
        ("", b"", "", False),
    ],
)  # fmt: skip
def test_services_say_in_many_ways_why_they_refuse(kind: str, content: bytes, text: str, is_its_own: bool) -> None:
    assert complaint(kind, content) == (text, is_its_own)


def test_a_long_complaint_is_cut() -> None:
    assert len(complaint("text/plain", b"x" * 100_000).text) < 400
