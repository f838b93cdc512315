"""lsof lines: a word is a value, more letters or a file's name to us just when it is to lsof."""

from __future__ import annotations

import os
import re
import subprocess

import pytest

from pactsh.catalog.match import match
from pactsh.catalog.reading import Refusal
from tests.pactsh.catalog.deciding import shipped

LSOF = "/usr/bin/lsof"


def judged(*words: str) -> str:
    """The code of a line's refusal, "" when it is accepted; what is run is what was typed."""
    argv = ("lsof", *words)
    try:
        assert match(shipped()["lsof"], argv, "/var").argv == argv
    except Refusal as refusal:
        return refusal.code
    return ""


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("-p", "1"), ""),
        (("-p1",), ""),
        (("-tp", "1"), ""),
        (("-p", "-t"), "missing-value"),
        (("-p", "+t"), "missing-value"),
        (("-p",), "missing-value"),
        (("-i", "-t"), ""),
        (("-i",), ""),
        (("-it",), "bad-value"),
        (("-o", "/etc"), "bad-value"),
        (("-o", "5"), ""),
        (("-t", "-Db"), "denied"),
        (("-t", "-D"), "denied"),
        (("/tmp", "-Db"), ""),
        (("--", "-Db"), ""),
        (("-",), "bad-value"),
        (("+",), "bad-value"),
        (("+t",), "unknown-option"),
        (("-tJ",), "unknown-option"),
        (("-o", ""), "bad-value"),
    ],
    ids=" ".join,
)
def test_values_letters_and_names(words: tuple[str, ...], code: str) -> None:
    assert judged(*words) == code


@pytest.mark.skipif(not os.access(LSOF, os.X_OK), reason="no lsof here: apt-get install lsof")
@pytest.mark.parametrize(
    "line",
    [
        "-i -- nosuch1",
        "-o -- nosuch1",
        "-o 5 nosuch1",
        "-o5 nosuch1 -nosuch2",
        "-g 1 nosuch1",
        "-F pcn nosuch1",
        "-Fp nosuch1 nosuch2",
        "+L1 nosuch1",
        "-L -t nosuch1",
        "-s -t nosuch1",
        "-S 3 -t nosuch1",
        "-T fq nosuch1",
        "-K i nosuch1",
        "-c0 -d 1 nosuch1",
        "-f -- nosuch1",
        "-fg nosuch1",
        "+w -t nosuch1 +nosuch2",
        "-tnPl -u root nosuch1",
    ],
)
def test_lsof_takes_the_same_words_for_names(line: str) -> None:
    """lsof complains of each name that is no file, and of nothing else."""
    words = line.split()
    assert judged(*words) == ""
    done = subprocess.run([LSOF, *words], capture_output=True, text=True, timeout=60, cwd="/", env={"LC_ALL": "C"})
    assert "illegal" not in done.stderr
    complained = re.findall(r"status error on (\S+):", done.stderr)
    assert [w for w in complained if w != "-"] == [w for w in words if "nosuch" in w]
