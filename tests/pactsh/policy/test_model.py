"""The policy document: strict to read, the same again after writing."""

from __future__ import annotations

import msgspec
import pytest

from pactsh.errors import UsageError
from pactsh.policy.model import Policy, build_policy, parse_policy

TOOL = {"name": "mytool", "summary": "a tool", "group": "system", "paths": ["/usr/bin/mytool"]}


def test_what_is_written_is_read_back() -> None:
    policy = build_policy(
        {
            "vcluster": "ml",
            "version": 3,
            "audit": "strict",
            "commands": {"add": [TOOL], "remove": ["ping"], "narrow": [{"command": "ip", "read_only": True}]},
        }
    )
    assert parse_policy(msgspec.json.encode(policy)) == policy
    assert policy.commands.add[0].name == "mytool"


def test_silence_means_the_careful_default() -> None:
    policy = Policy("ml")
    assert (policy.enforcement_mode, policy.containment, policy.ai_exec_allowed) == ("observe", "required", False)


@pytest.mark.parametrize(
    ("document", "where"),
    [
        (b"{}", "vcluster"),
        (b"[", "policy: "),
        (b"[" * 100_000, "policy: "),
        (b'{"vcluster": "ml", "audit": "\\ud800"}', "policy: "),
        (b'{"vcluster": "ml", "version": ' + b"9" * 5000 + b"}", "policy: "),
        (b"\xff", "policy: "),
        (b'{"vcluster": "ml", "audit": "off"}', "policy: audit: "),
        (b'{"vcluster": "ml", "containment": "none"}', "policy: containment: "),
        (b'{"vcluster": "ml", "typo": 1}', "typo"),
        (b'{"vcluster": "ml", "version": "1"}', "policy: version: "),
        (b'{"vcluster": "ml", "commands": {"ad": []}}', "ad"),
    ],
)
def test_a_broken_document_is_refused_by_name(document: bytes, where: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_policy(document)
    assert where in caught.value.message


def test_an_added_command_is_checked_like_a_catalog_file() -> None:
    with pytest.raises(UsageError, match=r"commands\.add\[0\].*paths\[0\]"):
        build_policy({"vcluster": "ml", "commands": {"add": [TOOL | {"paths": ["/tmp/x"]}]}})
