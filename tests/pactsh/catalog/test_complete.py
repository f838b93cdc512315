"""What Tab offers: from the table, never a refused form."""

from __future__ import annotations

import pytest

from pactsh.catalog.complete import complete
from tests.pactsh.catalog.deciding import shipped


def offered(*words: str) -> list[str]:
    return [candidate.text for candidate in complete(shipped(), words, len(words) - 1).known]


def kinds(*words: str) -> tuple[str, ...]:
    return complete(shipped(), words, len(words) - 1).kinds


def test_commands_come_with_their_summary() -> None:
    (candidate,) = complete(shipped(), ("dme",), 0).known
    assert (candidate.text, candidate.kind, candidate.help) == ("dmesg", "command", "print the kernel's messages")


def test_options_come_with_their_help_and_without_the_refused_ones() -> None:
    assert "--follow" in offered("dmesg", "--")
    assert "--clear" not in offered("dmesg", "--")
    assert offered("sort", "--out") == []


@pytest.mark.parametrize(
    ("words", "texts"),
    [
        (("systemctl", "resta"), ["restart"]),
        (("systemctl", "edi"), []),
        (("ip", "ro"), ["route"]),
        (("ip", "addr", "fl"), ["flush"]),
        (("ip", "link", "set", "m"), ["mtu", "multicast", "master"]),
        (("getent", "pass"), ["passwd"]),
        (("ls", "--color="), ["always", "auto", "never"]),
        (("ls", "--sort", "ti"), ["time"]),
        (("help", "sysc"), ["sysctl"]),
        (("pact", "st"), ["status"]),
        (("nosuch", ""), []),
        (("ls", "--", "--col"), []),
    ],
)
def test_known_words_are_offered(words: tuple[str, ...], texts: list[str]) -> None:
    assert offered(*words) == texts


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (("cat", ""), "path"),
        (("grep", "x", ""), "path"),
        (("cd", ""), "dir"),
        (("journalctl", "-u", ""), "unit"),
        (("systemctl", "restart", ""), "unit"),
        (("systemctl", "--now", "enable", ""), "unit"),
        (("ip", "link", "set", "dev", ""), "interface"),
        (("ip", "addr", "add", "10.0.0.1/8", "dev", ""), "interface"),
        (("ethtool", ""), "interface"),
        (("ethtool", "-S", ""), "interface"),
        (("kill", ""), "pid"),
        (("ps", "-p", ""), "pid"),
        (("sysctl", ""), "sysctl"),
        (("sysctl", "-w", "vm"), "sysctl"),
        (("id", ""), "user"),
        (("ping", "-c", "3", ""), "host"),
    ],
)
def test_what_the_node_knows_is_named_as_a_kind(words: tuple[str, ...], kind: str) -> None:
    assert kind in kinds(*words)


def test_the_part_before_a_value_stays() -> None:
    found = complete(shipped(), ("df", "--output=source,fs"), 1)
    assert [c.text for c in found.known] == ["fstype"]
    assert found.prefix == "--output=source,"


def test_the_pattern_of_grep_is_not_a_path() -> None:
    assert kinds("grep", "") == ()
