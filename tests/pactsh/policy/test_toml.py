"""What is written as TOML is read back as it was."""

from __future__ import annotations

import tomllib

from hypothesis import given
from hypothesis import strategies as st

from pactsh.catalog.schema import Option
from pactsh.policy.files import checked_policy, parse_policy_file
from pactsh.policy.model import Policy
from pactsh.policy.toml import plain_document, render_comment, render_entry, render_string, render_toml
from tests.pactsh.catalog.deciding import shipped
from tests.pactsh.policy.test_files import GOOD, parsed


def test_a_policy_comes_back() -> None:
    for policy in (Policy("ml"), parsed(GOOD), parsed("regulated = true")):
        assert parse_policy_file(render_toml(policy), "f", "ml", shipped()) == policy
        assert checked_policy(plain_document(policy), "f", "ml", shipped()) == policy


def test_every_key_but_the_commands_is_written_whatever_it_is() -> None:
    assert set(Policy.__struct_fields__) - {"commands"} == set(tomllib.loads(render_toml(Policy("ml"))))


@given(st.text())
def test_every_text_fits_a_string(text: str) -> None:
    assert tomllib.loads(f"x = {render_string(text)}")["x"] == text


def test_a_lone_surrogate_has_no_form_and_is_replaced() -> None:
    assert tomllib.loads("x = " + render_string("a\udcff"))["x"] == "a\ufffd"


@given(st.text())
def test_a_comment_stays_within_its_line(text: str) -> None:
    assert tomllib.loads(render_comment(text) + "\nx = 1\n") == {"x": 1}


def test_every_shipped_command_can_be_written_as_an_entry() -> None:
    for command in shipped().values():
        written = tomllib.loads("\n".join(render_entry("add", command)))["commands"]["add"][0]
        assert written["name"] == command.name
        assert len(written.get("options", [])) == len(command.options)


def test_only_what_is_said_is_written() -> None:
    assert list(render_entry("x", Option(names="-a"))) == ["[[commands.x]]", 'names = "-a"']
