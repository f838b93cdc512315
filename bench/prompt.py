"""How long until there is a prompt: `pact shell NODE`, and others on the same pseudo-terminal."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from bench import sshd
from bench.measure import Case, CaseError, interleave
from bench.report import Section, ratio_rows
from bench.system import BIN, NODE, System

TITLE = "From start to the first prompt, on a terminal"
OURS = "pact shell NODE"
TIMEOUT_S = 30
PACT_PROMPT = f"pact:{NODE}>"  # the space after it may be a cursor movement
ESCAPES = re.compile(rb"\x1b(\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[@-Z\\-_=>])")
_POSITION_ASKED, _POSITION = b"\x1b[6n", b"\x1b[1;1R"


def measure(system: System, directory: Path, rounds: int) -> Section:
    """Medians of `rounds` starts each."""
    cases: dict[str, Case] = {
        OURS: shown((str(BIN / "pact"), "shell", NODE), system.outside, PACT_PROMPT),
        "pactsh (on the node)": shown((str(BIN / "pactsh"),), system.environ, PACT_PROMPT),
        "pactsh (on the node), TERM=dumb": shown(
            (str(BIN / "pactsh"),), system.environ | {"TERM": "dumb"}, PACT_PROMPT
        ),
        "xonsh --no-rc": shown((str(BIN / "xonsh"), "--no-rc", "-D", "PROMPT=ready> "), system.outside, "ready>"),
    }
    notes: list[str] = []
    try:
        with sshd.started(directory / "sshd-prompt") as server:
            words = (*server.client[:-1], "-tt", server.client[-1], "PS1='ready> ' bash --norc -i")
            cases["ssh HOST bash (OpenSSH to sshd)"] = shown(words, system.outside, "ready>")
            return _compare(cases, rounds, notes)
    except CaseError as error:
        if "sshd" not in str(error) and "OpenSSH" not in str(error):
            raise
        notes.append(f"ssh: left out: {error}")
        cases.pop("ssh HOST bash (OpenSSH to sshd)", None)
        return _compare(cases, rounds, notes)


def _compare(cases: dict[str, Case], rounds: int, notes: list[str]) -> Section:
    for name in list(cases):
        try:
            cases[name]()
        except CaseError as error:
            notes.append(f"{name}: left out: {error}")
            del cases[name]
    if not cases:
        raise CaseError("; ".join(notes))
    return Section(TITLE, ratio_rows(interleave(cases, rounds, warm_up=1), next(iter(cases))), notes)


def shown(argv: Sequence[str], environ: dict[str, str], prompt: str) -> Case:
    """A case that starts a program on a terminal of 80 by 24 and waits for `prompt` on it."""

    def run() -> float:
        started = time.perf_counter()
        pid, master = pty.fork()
        if pid == 0:
            try:
                os.execvpe(argv[0], list(argv), environ)
            finally:
                os._exit(127)
        try:
            _wait_for(master, prompt.encode(), argv)
            return time.perf_counter() - started
        finally:
            hang_up(pid, master)

    return run


def _wait_for(master: int, prompt: bytes, argv: Sequence[str]) -> None:
    seen, deadline = b"", time.monotonic() + TIMEOUT_S
    while prompt not in ESCAPES.sub(b"", seen):
        ready, _, _ = select.select([master], [], [], max(0.0, deadline - time.monotonic()))
        try:
            data = os.read(master, 65536) if ready else b""
        except OSError:  # EIO: the other end is gone
            data = b""
        if not data:
            text = ESCAPES.sub(b"", seen).decode("utf-8", "replace").strip()[-300:]
            raise CaseError(f"{argv[0].rpartition('/')[2]}: no prompt; it printed {text!r}")
        if _POSITION_ASKED in data:
            os.write(master, _POSITION)
        seen += data


def hang_up(pid: int, master: int) -> None:
    """Hang up as a closed window does, and insist after two seconds."""
    os.close(master)
    deadline = time.monotonic() + 2
    while time.monotonic() < deadline:
        if os.waitpid(pid, os.WNOHANG)[0] == pid:
            return
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
