"""Fuzz target: bytes to a line, to argv and back.

`parse` raises nothing but `LineError`, with a span inside the text; a line it accepts expands to words that
`join` writes so that they are read back the same; the highlighter takes anything. Run by `make fuzz`, or with
file names as arguments to repeat findings.
"""

# ruff: noqa: PT017  (an accepted line is as good as a well-formed error)

from __future__ import annotations

import sys
from collections.abc import Sequence

import atheris

with atheris.instrument_imports(include=["pactsh"]):
    from pactsh.language import LineError, Refused, expand_redirect, expand_stage, join, parse
    from pactsh.language.highlight import tokens

VARIABLES = {
    "?": "130",
    "HOME": "/root dir",
    "USER": " a  b ",
    "HOSTNAME": "n[0-9]*",
    "PACT_NODE": "-rf",
    "PACT_VCLUSTER": "",
}
NAMES = ("a", "b.log", "-rf", "x y", "it's", "é", "n1", ".hidden", "dir", "bad\udcff")


class Listing:
    """Every directory holds the same names, three levels deep."""

    def entries(self, directory: str) -> Sequence[str]:
        """The names of any directory that is not too deep."""
        return NAMES if directory.count("/") < 3 else ()

    def exists(self, path: str) -> bool:
        """Whether the last component is one of the names."""
        return path.rpartition("/")[2] in NAMES

    def is_dir(self, path: str) -> bool:
        """Directories are the names without a dot."""
        return "." not in path


def one_input(data: bytes) -> None:
    """Check one input; an AssertionError or any other exception is a finding."""
    text = data.decode("utf-8", "surrogateescape")
    position = 0
    for start, end, _ in tokens(text):
        assert position <= start < end <= len(text)
        position = end
    try:
        line = parse(text)
    except LineError as error:
        assert 0 <= error.span[0] < error.span[1] <= len(text)
        return
    for item in line.items:
        for stage in item.pipeline.stages:
            try:
                argv = [word.value for word in expand_stage(stage, VARIABLES, Listing())]
                for redirect in stage.redirects:
                    if redirect.kind == "in":
                        expand_redirect(redirect, VARIABLES, Listing())
            except Refused as error:
                assert stage.span[0] <= error.span[0] < error.span[1] <= stage.span[1]
                continue
            check_round_trip(argv)


def check_round_trip(argv: list[str]) -> None:
    """A typed argv that is joined and parsed is the same argv."""
    if not "".join(argv).isascii() or sum(map(len, argv)) > 8000 or len(argv) > 1000:
        return  # names of files may hold what no line may hold, and quotes make a line longer
    again = parse(join(argv)).items[0].pipeline.stages[0]
    assert [word.value for word in expand_stage(again, VARIABLES, Listing())] == argv


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
