"""Catalog files: strict, lazy, and errors that name file, line and key."""

from __future__ import annotations

from pathlib import Path

import pytest

from pactsh.catalog import load_catalog
from pactsh.catalog.loader import parse_command
from pactsh.errors import UsageError

GOOD = """name = "demo"
summary = "a demonstration"
group = "system"
paths = ["/usr/bin/demo"]

options = [
  { names = "-a --all", help = "all" },
  { names = "-n", value = "int" },
]
operands = [{ kind = "file", count = "*" }]

[grants]
caps = ["cap_net_raw"]
"""


def fault(text: str) -> str:
    with pytest.raises(UsageError) as caught:
        parse_command(text, "demo.toml")
    return caught.value.message


def test_a_good_file_is_read() -> None:
    command = parse_command(GOOD, "demo.toml")
    assert command.table["--all"].help == "all"
    assert command.grants.caps == ("cap_net_raw",)


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        ('help = "all"', 'hlep = "all"', "demo.toml: line 7: options[0].hlep: "),
        ('value = "int"', 'value = "integer"', "demo.toml: line 8: options[1].value: 'integer' is no kind"),
        ('names = "-n"', 'names = "-a"', "demo.toml: line 8: options[1].names: '-a' is there already"),
        ('names = "-n"', 'names = "n"', "demo.toml: line 8: options[1].names: 'n' is not a list of option spellings"),
        ('value = "int"', "value = 3", "demo.toml: line 8: options[1].value: Expected `str`, got `int`"),
        (
            'value = "int"',
            'value = "int", match = "("',
            "demo.toml: line 8: options[1].match: not a regular expression",
        ),
        ('value = "int"', 'value = "enum"', "demo.toml: line 8: options[1].choices: enum needs choices"),
        ('help = "all"', 'change = "kernle"', "demo.toml: line 7: options[0].change: must be one of kernel"),
        ('help = "all"', "optional = true", "demo.toml: line 7: options[0].optional: needs a value"),
        ('count = "*"', 'count = "many"', "demo.toml: line 10: operands[0].count: must be 1, ?, * or +"),
        ("cap_net_raw", "CAP_NET_RAW", "demo.toml: line 13: grants.caps[0]: a capability is written"),
        ('"/usr/bin/demo"', '"/tmp/demo"', "demo.toml: line 4: paths[0]: must be below"),
        ('group = "system"', 'group = "sytem"', "demo.toml: line 3: group: must be one of"),
        ('group = "system"\n', "", "demo.toml: line 1: group: "),
        ('group = "system"', 'group = "system"\ngrammar = "lisp"', "demo.toml: line 4: grammar: must be one of"),
        ('group = "system"', 'group = "system"\nbuiltin = true', "demo.toml: line 5: paths: a program has paths"),
        ('name = "demo"', 'name = "../x"', "demo.toml: line 1: name: must be lower-case"),
        ('group = "system"', "group = system", "demo.toml: line 3: "),
        ("[grants]", '[[commands]]\nnames = "x"\nfree = true\n[grants]', "demo.toml: line 14: commands[0].free: "),
    ],
)
def test_an_error_names_file_line_and_key(old: str, new: str, where: str) -> None:
    assert old in GOOD
    assert fault(GOOD.replace(old, new, 1)).startswith(where)


def test_a_directory_of_the_sites_own_is_checked_at_once(tmp_path: Path) -> None:
    (tmp_path / "demo.toml").write_text(GOOD.replace("int", "integer"))
    with pytest.raises(UsageError, match=r"demo\.toml: line 8: options\[1\]\.value"):
        load_catalog(tmp_path)


def test_the_name_is_the_files(tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text(GOOD)
    with pytest.raises(UsageError, match=r"other\.toml: line 1: name"):
        load_catalog(tmp_path)


def test_an_empty_directory_is_an_error_not_an_empty_whitelist(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no catalog files"):
        load_catalog(tmp_path)


def test_bytes_that_are_no_text_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "demo.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match=r"demo\.toml: line 1"):
        load_catalog(tmp_path)


def test_every_shipped_file_is_good() -> None:
    catalog = load_catalog().complete()
    assert {"ls", "cat", "dmesg", "ps", "top", "ping", "sysctl", "ip", "pact", "help"} <= set(catalog)
    assert all(command.name == name for name, command in catalog.items())


def test_nothing_shipped_runs_what_it_is_given() -> None:
    """Interpreters, wrappers and writers stay out, whatever their options."""
    banned = (
        "awk sed xargs more man vi bash sh python3 perl tar tee dd cp ln nice timeout ssh su sudo strace gdb tcpdump"
    )
    assert not set(banned.split()) & set(load_catalog())
