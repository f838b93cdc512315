"""glibc's getopt_long, as the fuzz run asks it: known answers."""

from __future__ import annotations

import pytest

from fuzz.glibc import Scanner, UsageError
from pactsh.catalog.schema import Option

TABLE = {
    name: option
    for option in (
        Option(names="-a --all"),
        Option(names="-o --output", value="string"),
        Option(names="-c --color", value="string", optional=True),
        Option(names="-n --lines", value="int", optional=True, follows="[0-9]+"),
        Option(names="--alter"),
        Option(names="-? --help"),
    )
    for name in option.spellings
}


def found(
    argv: str, *, permute: bool = True, digits: bool = False, negative: bool = False
) -> tuple[list[str], list[str]]:
    """The options as `first spelling=value`, and the operands."""
    scanner = Scanner.of(TABLE, permute=permute, digits=digits, negative=negative)
    answer = scanner.scan(TABLE, argv.split(" "))
    told = [option.spellings[0] + ("" if value is None else f"={value}") for option, value in answer.options]
    return told, list(answer.operands)


@pytest.mark.parametrize(
    ("argv", "options", "operands"),
    [
        ("x", [], []),
        ("x -a b", ["-a"], ["b"]),
        ("x b -a c", ["-a"], ["b", "c"]),
        ("x -ao v w", ["-a", "-o=v"], ["w"]),
        ("x -aov w", ["-a", "-o=v"], ["w"]),
        ("x -o -a w", ["-o=-a"], ["w"]),
        ("x --output=v --out w", ["-o=v", "-o=w"], []),
        ("x -c v -cv --color --color=", ["-c", "-c=v", "-c", "-c="], ["v"]),
        ("x -n 5 -n x --lines 7 8", ["-n=5", "-n", "-n=7"], ["x", "8"]),
        ("x -a -- -a b", ["-a"], ["-a", "b"]),
        ("x - -a", ["-a"], ["-"]),
        ("x -? -a? -o?", ["-?", "-a", "-?", "-o=?"], []),
        ("x -o -? b", ["-o=-?"], ["b"]),
    ],
)
def test_options_values_and_operands(argv: str, options: list[str], operands: list[str]) -> None:
    assert found(argv) == (options, operands)


@pytest.mark.parametrize("argv", ["x -z", "x --zero", "x --al", "x -o", "x --all=1", "x -5", "x -a\udcff"])
def test_what_glibc_refuses(argv: str) -> None:
    with pytest.raises(UsageError):
        found(argv)


def test_the_first_operand_ends_the_options_where_they_are_not_permuted() -> None:
    assert found("x -a b -a", permute=False) == (["-a"], ["b", "-a"])


def test_digits_are_options_without_a_meaning() -> None:
    assert found("x -5a 7 -o3", digits=True) == (["-a", "-o=3"], ["7"])


def test_a_negative_number_ends_the_options() -> None:
    assert found("x -a -5 -a", permute=False, negative=True) == (["-a"], ["-5", "-a"])
    assert found("x -.5", permute=False, negative=True) == ([], ["-.5"])
