"""`pactsh -c true` from start to end, beside other shells and the bare interpreter."""

from __future__ import annotations

from pathlib import Path

from bench.measure import Case, CaseError, interleave, program
from bench.report import Row, Section, ratio_rows
from bench.system import BIN, System

TITLE = "One line, end to end: start, authorise, record, run"
BARE = "python3 -I -c pass"
OURS = "pactsh -c true"

# lshell allows what it names, and needs to be told where its log would be.
_LSHELL = """\
[global]
logpath  : {logs}
loglevel : 0
[default]
allowed   : ['true']
forbidden : [';', '&', '|', '`', '>', '<', '$(', '${{']
warning_counter : 2
"""


def measure(system: System, directory: Path, rounds: int) -> Section:
    """Medians of `rounds` runs each."""
    environ = system.environ
    cases: dict[str, Case] = {
        BARE: program((str(BIN / "python"), "-I", "-c", "pass"), environ),
        OURS: program((str(BIN / "pactsh"), "-c", "true"), environ),
        "/bin/true": program(("/bin/true",), environ),
        "bash -c true": program(("bash", "-c", "true"), environ),
        "lshell -c true": _lshell(directory, environ),
        "xonsh --no-rc -c true": program((str(BIN / "xonsh"), "--no-rc", "-c", "true"), environ),
    }
    notes = []
    for name in list(cases):
        try:
            cases[name]()
        except (CaseError, OSError) as error:
            if name in {BARE, OURS}:
                raise
            notes.append(f"{name}: left out: {error}")
            del cases[name]
    rows = ratio_rows(interleave(cases, rounds), BARE)
    judged = [_with_target(row) if row.what == OURS else row for row in rows]
    return Section(TITLE, judged, notes)


def _with_target(row: Row) -> Row:
    return Row(row.what, row.value, row.unit, row.ratio, row.against, 2.0, judged="ratio", samples=row.samples)


def _lshell(directory: Path, environ: dict[str, str]) -> Case:
    logs = directory / "lshell"
    logs.mkdir()
    config = directory / "lshell.conf"
    config.write_text(_LSHELL.format(logs=logs))
    refused = program((str(BIN / "lshell"), "--config", str(config), "-c", "id"), environ, status=1)
    refused()  # a shell that lets everything through would be no comparison
    return program((str(BIN / "lshell"), "--config", str(config), "-c", "true"), environ)
