"""Policy files: whole or not at all, and each error with file, line and key."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pactsh.errors import UsageError
from pactsh.policy.files import MOST_BYTES, checked_policy, load_policy, parse_policy_file
from pactsh.policy.model import Policy
from tests.pactsh.catalog.deciding import decided, shipped

GOOD = """
audit = "strict"          # a comment
bypass_allowed = false

[commands]
remove = ["dmesg"]

[[commands.add]]
name = "mytool"
summary = "a tool"
group = "system"
paths = ["/usr/sbin/mytool", "/usr/bin/mytool"]
options = [
  { names = "-a --all" },
  { names = "-n", value = "int", high = 9 },
]
[commands.add.grants]
net = true

[[commands.extend]]
command = "ls"
options = [{ names = "--frobnicate" }]

[[commands.narrow]]
command = "ip"
read_only = true
reason = "is frozen this week"
"""


def parsed(text: str) -> Policy:
    return parse_policy_file(text, "ml.toml", "ml", shipped())


def error_of(text: str) -> UsageError:
    with pytest.raises(UsageError) as caught:
        parsed(text)
    return caught.value


def test_a_file_says_what_a_vcluster_adds_extends_narrows_and_removes() -> None:
    policy = parsed(GOOD)
    assert (policy.vcluster, policy.audit, policy.bypass_allowed) == ("ml", "strict", False)
    verdicts = {
        "dmesg": "removed-command",
        "mytool -a -n 9": "allowed",
        "mytool -n 10": "bad-value",
        "mytool -x": "unknown-option",
        "ls --frobnicate": "allowed",
        "ls -l": "allowed",
        "ip addr": "allowed",
        "ip link set eth0 up": "denied",
    }
    assert {line: decided(line, policy=policy).code for line in verdicts} == verdicts


ADD = '[[commands.add]]\nname = "mytool"\nsummary = "a tool"\ngroup = "system"\npaths = ["/usr/bin/mytool"]\n'
ERRORS: dict[str, tuple[str, str]] = {
    "syntax": ("audit = \n", "ml.toml: line 1: "),
    "the last line": ('audit = "strict"\nx', "ml.toml: line 2: "),
    "unknown key": ('audit = "strict"\naudits = 1\n', "line 2: audits: Object contains unknown field `audits`"),
    "wrong value": ('\n\naudit = "off"\n', "line 3: audit: "),
    "wrong type": ("regulated = 1\n", "line 1: regulated: Expected `bool`, got `int`"),
    "another vcluster": ('vcluster = "hpc"\n', "line 1: vcluster: is 'hpc'"),
    "a negative version": ("version = -1\n", "line 1: version: "),
    "unknown key of an entry": (ADD + 'colour = "red"\n', "line 6: commands.add[0].colour: "),
    "missing key of an entry": ('[[commands.add]]\nname = "x"\n', "line 1: commands.add[0].summary: "),
    "second entry": (
        ADD + ADD.replace("/usr/bin/mytool", "/tmp/x"),
        "line 10: commands.add[1].paths[0]: must be below",
    ),
    "option of an entry": (
        ADD + 'options = [\n  { names = "-a" },\n  { names = "-b", value = "nonsense" },\n]\n',
        "line 8: commands.add[0].options[1].value: 'nonsense' is no kind",
    ),
    "options as tables": (
        ADD + '[[commands.add.options]]\nnames = "-a"\n[[commands.add.options]]\nnames = "b"\n',
        "line 9: commands.add[0].options[1].names: ",
    ),
    "narrowing an unknown command": (
        '[[commands.narrow]]\ncommand = "lss"\nread_only = true\n',
        "line 2: commands.narrow[0].command: there is no command 'lss'",
    ),
    "narrowing an unknown option": (
        '[[commands.narrow]]\ncommand = "ls"\noptions = [\n"-l",\n"--lng"]\n',
        "line 5: commands.narrow[0].options[1]: ls has no option '--lng'",
    ),
    "narrowing an unknown subcommand": (
        '[[commands.narrow]]\ncommand = "ip"\nsubcommands = ["adr"]\n',
        "line 3: commands.narrow[0].subcommands[0]: ip has no subcommand 'adr'",
    ),
    "narrowing nothing": ('[[commands.narrow]]\ncommand = "ip"\n', "line 2: commands.narrow[0].command: nothing of ip"),
    "removing an unknown command": ('[commands]\nremove = ["ls", "lss"]\n', "line 2: commands.remove[1]: there is no"),
    "removing twice": ('[commands]\nremove = ["ls",\n"ls"]\n', "line 3: commands.remove[1]: ls is there already"),
    "extending an unknown command": (
        '[[commands.extend]]\ncommand = "lss"\n',
        "line 2: commands.extend[0].command: there is no command 'lss'",
    ),
    "an option without dashes": (
        '[[commands.extend]]\ncommand = "ls"\noptions = [{ names = "l" }]\n',
        "line 3: commands.extend[0].options[0].names: ",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_names_file_line_and_key(name: str) -> None:
    text, words = ERRORS[name]
    message = error_of(text).message
    assert message.startswith("ml.toml: line ")
    assert words in message


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("emergency_window_seconds", "not in this version"),
        ("role_bindings", "not in this version"),
        ("vcluster_id", "not in this version; the key is vcluster"),
        ("exec_whitelist", "not in this version; write [[commands.add]], [[commands.narrow]] and commands.remove"),
        ("nonsense", ""),
    ],
)
def test_keys_of_other_versions_are_told_from_nonsense(key: str, hint: str) -> None:
    assert error_of(f"{key} = 1\n").hint == hint


def test_what_is_added_can_be_extended_narrowed_and_removed_by_the_same_file() -> None:
    more = '[[commands.extend]]\ncommand = "mytool"\noptions = [{ names = "-z" }]\n'
    more += '[[commands.narrow]]\ncommand = "mytool"\noptions = ["-z"]\n'
    assert decided("mytool -z", policy=parsed(ADD + more)).code == "denied"
    assert decided("mytool", policy=parsed('commands.remove = ["mytool"]\n' + ADD)).code == "removed-command"


def test_a_file_is_read_from_its_place(tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    path.write_text(GOOD)
    assert load_policy(path, "ml", shipped()) == parsed(GOOD)
    path.write_bytes(b'audit = "strict"\nx = "\xff"\n')
    with pytest.raises(UsageError, match=rf"^{path}: line 2: not UTF-8$"):
        load_policy(path, "ml")
    path.write_bytes(b"#" * (MOST_BYTES + 1))
    with pytest.raises(UsageError, match="over 524288 bytes"):
        load_policy(path, "ml")
    with pytest.raises(UsageError, match="No such file"):
        load_policy(tmp_path / "none", "ml")


def test_a_document_is_checked_like_a_file() -> None:
    with pytest.raises(UsageError, match=r"^policy: commands\.remove\[0\]: there is no command 'lss'"):
        checked_policy({"vcluster": "ml", "commands": {"remove": ["lss"]}}, "policy", "ml", shipped())
    with pytest.raises(UsageError, match=r"^policy: Expected `object`, got `array`"):
        checked_policy([], "policy", "ml", shipped())


def test_the_documents_example_is_one() -> None:
    text = (Path(__file__).parents[3] / "docs" / "policy.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```toml\n(.*?)```", text, flags=re.DOTALL)
    policy = parsed(example)
    assert decided("lfs df -h /scratch", policy=policy).verdict == "allow"
    assert decided("systemctl restart sshd", policy=policy).code == "denied"
    keys = set(re.findall(r"`(\w+)`", text.partition("## Keys")[2].partition("```")[0]))
    assert set(Policy.__struct_fields__) - {"commands"} <= keys


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="abc[]{}=\"'.,#\n 019-_\\", max_size=60))
def test_whatever_a_file_holds_it_is_a_policy_or_an_error_of_ours(text: str) -> None:
    for candidate in (text, ADD + text):
        with contextlib.suppress(UsageError):
            parsed(candidate)
