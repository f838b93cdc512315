"""Lines of keys in TOML text."""

from __future__ import annotations

import pytest

from pactsh.catalog.locate import line_of, steps_of

TEXT = """# a comment = [1]
name = "x # no comment"
list = [
  { names = "-a", help = "{ [" },
  # { names = "-b" },
  { names = "-c", deep = [{ one = 1 },
    { two = 2 }] },
]

[grants]
caps = [
  "cap_a",
  "cap_b",
]
[[many]]
key = 1
[[many]]
key = 2
[[many.deep]]
one.two = 1
[[many.deep]]
one."a.b" = 1
[many.table]
"quoted key" = 1
"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("$.name", 2),
        ("$.list", 3),
        ("$.list[0]", 4),
        ("$.list[0].help", 4),
        ("$.list[1].names", 6),
        ("$.list[1].deep[0].one", 6),
        ("$.list[1].deep[1].two", 7),
        ("$.grants.caps[1]", 13),
        ("$.many[1].key", 18),
        ("$.many[1].deep[0].one.two", 20),
        ("$.many[1].deep[1].one", 22),
        ("$.many[1].table", 23),
        ("$.list[1].absent", 6),
        ("$.absent", 1),
        ("", 1),
    ],
)
def test_a_path_has_a_line(path: str, line: int) -> None:
    assert line_of(TEXT, steps_of(path)) == line


def test_quoted_keys_are_one_step() -> None:
    assert line_of(TEXT, ("many", 1, "deep", 1, "one", "a.b")) == 22
    assert line_of(TEXT, ("many", 1, "table", "quoted key")) == 24
