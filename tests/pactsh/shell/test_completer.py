from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document

from pactsh.catalog import load_catalog
from pactsh.shell.completer import LineCompleter
from tests.pactsh.catalog.deciding import decided


@pytest.fixture
def completer(tmp_path: Path) -> LineCompleter:
    (tmp_path / "log dir").mkdir()
    (tmp_path / "log dir" / "dpkg.log").touch()
    (tmp_path / "messages").touch()
    return LineCompleter(load_catalog(), lambda: str(tmp_path), lambda name: name != "lsmod")


def completed(completer: LineCompleter, line: str) -> list[str]:
    """The line as each completion would leave it."""
    document = Document(line, len(line))
    return [
        line[: len(line) + completion.start_position] + completion.text
        for completion in completer.get_completions(document, CompleteEvent())
    ]


@pytest.mark.parametrize(
    ("line", "one"),
    [
        ("unam", "uname "),
        ("ls | gre", "ls | grep "),
        ("ls -l && unam", "ls -l && uname "),
        ("ls;unam", "ls;uname "),
        ("ls --almost", "ls --almost-all "),
        ("cat mess", "cat messages "),
        ("cat < mess", "cat < messages "),
        ("cat lo", "cat 'log dir/"),
        ("cat 'log dir/d", "cat 'log dir/dpkg.log' "),
        ('cat "log dir/d', 'cat "log dir/dpkg.log" '),
        ("cat messages mess", "cat messages messages "),
        ("help unam", "help uname "),
        ("pact sta", "pact status "),
        ("pact log --auth", "pact log --author "),
        ("grep --color=alw", "grep --color=always "),
    ],
)
def test_one_completion(completer: LineCompleter, line: str, one: str) -> None:
    assert completed(completer, line) == [one]


@pytest.mark.parametrize("line", ["cat $(l", "cat a\\ me", "cat 'messages'", "frobnicate --", "rm mess", "ls `l"])
def test_no_completion(completer: LineCompleter, line: str) -> None:
    assert completed(completer, line) == []


def test_refused_commands_and_verbs_are_not_offered(completer: LineCompleter) -> None:
    assert "lsmod " not in completed(completer, "ls")
    assert "ls " in completed(completer, "ls")
    verbs = completed(completer, "pact ")
    assert "pact status " in verbs
    assert not {"pact exec ", "pact shell ", "pact login "} & set(verbs)


def test_any_text_can_be_completed(completer: LineCompleter) -> None:
    for line in (
        "'",
        '"',
        "\\",
        "$",
        "ls >",
        "ls 2>&",
        "((",
        "[",
        "a=b",
        "ls \\",
        "@(",
        "ls {",
        "\"a'",
        "r'",
        "~",
        "é",
    ):
        completed(completer, line)


def test_xonsh_is_imported_on_the_first_tab_only() -> None:
    code = (
        "import sys\n"
        "import pactsh.shell.repl, pactsh.shell.completer as module\n"
        "from pactsh.catalog import load_catalog\n"
        "completer = module.LineCompleter(load_catalog(), lambda: '/', lambda name: True)\n"
        "assert not any(name.split('.')[0] in ('xonsh', 'click', 'grpc', 'pydantic') for name in sys.modules)\n"
        "completer.where('ls ', 3)\n"
        "assert 'xonsh.parsers.completion_context' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", sorted(set(load_catalog()) - {"pact"}))
@pytest.mark.parametrize("typed", ["", "-", "--"])
def test_what_is_offered_would_be_accepted(completer: LineCompleter, name: str, typed: str) -> None:
    """By the decider, not by what filters the offers; a word or value may still be missing."""
    for line in completed(completer, f"{name} {typed}"):
        word = line.removeprefix(f"{name} ")
        if not word.endswith(" ") or "'" in word or name == "lsmod":
            continue  # more belongs to it; the fixture takes lsmod away
        decision = decided(line)
        assert decision.verdict == "allow" or decision.code.startswith("missing-"), (line, decision.reason)


@pytest.mark.parametrize(
    ("line", "never"),
    [
        ("systemctl restart pact", "systemctl restart pact-agent.service "),
        ("cat /etc/sha", "cat /etc/shadow "),
        ("cat < /etc/sha", "cat < /etc/shadow "),
        ("ls /roo", "ls /root/"),
        ("sysctl -", "sysctl -p "),
        ("sort -", "sort -o "),
        ("sort --out", "sort --output "),
        ("find . -ex", "find . -exec "),
        ("ip netns e", "ip netns exec "),
        ("journalctl --vac", "journalctl --vacuum-size "),
    ],
)
def test_what_would_be_refused_is_not_offered(completer: LineCompleter, line: str, never: str) -> None:
    assert never not in completed(completer, line)
    assert never.rstrip() not in [found.rstrip() for found in completed(completer, line)]
