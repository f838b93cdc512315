"""iostat lines: numbers are its interval and count wherever they stand, other words its devices."""

from __future__ import annotations

import json
import os
import subprocess

import pytest

from pactsh.catalog.match import match
from pactsh.catalog.reading import Refusal
from tests.pactsh.catalog.deciding import shipped

IOSTAT = "/usr/bin/iostat"


def judged(*words: str) -> str:
    """The code of a line's refusal, "" when it is accepted; what is run is what was typed."""
    argv = ("iostat", *words)
    try:
        assert match(shipped()["iostat"], argv, "/var").argv == argv
    except Refusal as refusal:
        return refusal.code
    return ""


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("1", "1", "vda"), ""),
        (("vda", "1", "1"), ""),
        (("1", "vda", "1"), ""),
        (("1", "vda"), "missing-operand"),
        (("vda", "sdb"), ""),
        (("1", "1", "1"), "extra-operand"),
        (("1x", "1"), "bad-value"),
        (("-p", "1", "1"), ""),
        (("-p", "1"), "missing-operand"),
        (("-p", "vda", "1", "1"), ""),
        (("+f", "/tmp"), "denied"),
        (("vda", "+f", "/tmp"), "denied"),
        (("+x",), "bad-value"),
        (("",), "bad-value"),
    ],
    ids=" ".join,
)
def test_numbers_and_names(words: tuple[str, ...], code: str) -> None:
    assert judged(*words) == code


@pytest.mark.skipif(not os.access(IOSTAT, os.X_OK), reason="no iostat here: apt-get install sysstat")
@pytest.mark.parametrize("line", ["1 2 nosuch", "nosuch 1 2", "1 nosuch 2"])
def test_iostat_reads_them_in_any_order(line: str) -> None:
    """It reports as often as the count says, so both numbers were numbers to it."""
    words = ("-d", "-o", "JSON", *line.split())
    assert judged(*words) == ""
    done = subprocess.run([IOSTAT, *words], capture_output=True, text=True, timeout=60, env={"LC_ALL": "C"})
    assert len(json.loads(done.stdout)["sysstat"]["hosts"][0]["statistics"]) == 2
