"""What a change changes."""

from __future__ import annotations

from pactsh.policy.difference import Change, differences, summary
from pactsh.policy.model import Policy
from tests.pactsh.policy.test_files import GOOD, parsed


def test_the_same_is_no_difference_whatever_its_version() -> None:
    assert differences(parsed(GOOD), parsed(GOOD + "\n# a comment\n")) == ()
    assert differences(Policy("ml", version=1), Policy("ml", version=2)) == ()


def test_keys_change_and_entries_come_and_go() -> None:
    changes = {c.key: (c.sign, c.old, c.new) for c in differences(Policy("ml"), parsed(GOOD))}
    assert changes["audit"] == ("~", '"normal"', '"strict"')
    assert changes["commands.remove dmesg"] == ("+", None, '"dmesg"')
    assert changes["commands.extend ls"] == ("+", None, '{ command = "ls", options = [{ names = "--frobnicate" }] }')
    assert set(changes) == {
        "audit",
        "bypass_allowed",
        "commands.remove dmesg",
        "commands.add mytool",
        "commands.extend ls",
        "commands.narrow ip",
    }
    back = differences(parsed(GOOD), Policy("ml"))
    assert {c.key: (c.new, c.old) for c in back} == {key: (old, new) for key, (_, old, new) in changes.items()}


def test_two_entries_for_a_command_are_two() -> None:
    more = GOOD + '[[commands.extend]]\ncommand = "ls"\noptions = [{ names = "--zz" }]\n'
    (change,) = differences(parsed(GOOD), parsed(more))
    assert (change.sign, change.key) == ("+", "commands.extend ls (2)")


def test_the_summary_is_one_line_of_bounded_length() -> None:
    assert summary(differences(Policy("ml"), parsed(GOOD))).startswith('audit: "normal" -> "strict", bypass_allowed: ')
    many = tuple(Change(f"commands.remove c{n}", None, '"x"') for n in range(100))
    assert len(summary(many)) == 400
    assert summary(many).endswith("...")
