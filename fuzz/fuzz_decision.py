"""Fuzz target: bytes to a line, to a decision; then everything that must hold of an allowed line (`judging`).

Lines come from `lines`. Run by `make fuzz`, or with file names as arguments to repeat findings. With a file's name in
`PACT_FUZZ_COLLECT` findings are written there, one line each, and the run goes on.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import re
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["pactsh", "pact_agent.prepare"]):
    from fuzz.judging import ADMIN, OPERATOR, VIEWER, Judge
    from fuzz.lines import LineMaker, Source
    from fuzz.seeds import case_lines
    from fuzz.watched import Finding

_MOST_ALIKE = 20
_REPORT_EVERY = 20_000
_place = tempfile.TemporaryDirectory(prefix="pact-fuzz-")
os.chmod(_place.name, 0o755)  # noqa: S103  (for the bash that belongs to nobody)
JUDGE = Judge(Path(_place.name))
MAKER = LineMaker(JUDGE.catalog, case_lines())
BEGAN = time.monotonic()
SEEN: Counter[str] = Counter()


def one_input(data: bytes) -> None:
    """Check one input; an exception is a finding."""
    source = Source(data)
    way = source.byte()
    policy = JUDGE.policies[way % 16] if way % 16 < len(JUDGE.policies) else JUDGE.policies[0]
    admin = way >> 6 == 2
    identity = ADMIN if admin else VIEWER if way >> 4 & 1 else OPERATOR
    number = way >> 5 & 1
    cwd = source.pick(JUDGE.cwds) if way >> 6 == 3 else JUDGE.cwds[0]
    text = MAKER.line(source)
    JUDGE.counts["lines"] += 1
    try:
        JUDGE.check(text, identity, policy, cwd, number, "exec" if admin else "shell")
    except Exception as error:
        where = f"cwd {cwd} | values {number} | policy {policy.version} | {identity.principal}"
        found = f"{type(error).__name__}: {error} | line {text!r} | {where}"
        if not _collected(found):
            raise Finding(found) from error
    if JUDGE.counts["lines"] % _REPORT_EVERY == 0:
        report()


def _collected(found: str) -> bool:
    place = os.environ.get("PACT_FUZZ_COLLECT")
    if not place:
        return False
    JUDGE.counts["findings"] += 1
    alike = re.sub(r"'[^']*'|\(.*|\|.*", "", found)  # the message without what is particular to the line
    SEEN[alike] += 1
    if SEEN[alike] <= _MOST_ALIKE:
        with open(place, "a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(found + "\n")
    return True


def report() -> None:
    """Write what was done so far."""
    done = ", ".join(f"{name} {count}" for name, count in JUDGE.counts.items())
    with contextlib.suppress(OSError):
        os.write(2, f"fuzz_decision: {done} in {time.monotonic() - BEGAN:.0f} s\n".encode())


if __name__ == "__main__":
    for at_end in (_place.cleanup, JUDGE.close, report):
        atexit.register(at_end)
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
