"""`pact exec` on many nodes: on real agents beside clush and pdsh over OpenSSH, and on thousands of stubs."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import sshd, system
from bench.measure import CaseError, median
from bench.report import Row, Section

TITLE = "One command on many nodes of this machine: pact exec, clush, pdsh"
TARGET = 5.0
FANOUT = 64


@dataclass(frozen=True, slots=True)
class Sample:
    """One run: seconds of the clock, of the processors (the program and its children), and its largest size in KiB."""

    wall: float
    cpu: float
    size_kib: int


def run(argv: Sequence[str], environ: Mapping[str, str], output: Path | None = None) -> Sample:
    """Run a program to its end; raises `CaseError` when it fails."""
    with open(output or os.devnull, "wb") as out, open(os.devnull, "rb") as nothing:
        started = time.perf_counter()
        process = subprocess.Popen(argv, env=dict(environ), stdin=nothing, stdout=out, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise CaseError(f"{argv[0]} {argv[1]}: ended with {process.returncode}")
    return Sample(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss)


def measure(directory: Path, nodes: int, rounds: int) -> Section:
    """Medians of so many rounds, one program after the other."""
    names = [f"node{number:03}" for number in range(nodes)]
    (directory / "many").mkdir()
    with (
        system.started(directory / "many", names) as up,
        sshd.started(directory / "many" / "sshd", "0.0.0.0") as server,
    ):
        cases = _cases(up, server, nodes)
        samples: dict[str, list[Sample]] = {name: [] for name in cases}
        for number in range(rounds + 1):
            for name, case in cases.items():
                sample = case()
                if number:  # the first one fills caches
                    samples[name].append(sample)
    return Section(f"{TITLE} ({nodes} agents)", list(_rows(samples, nodes)), _notes(nodes))


def _cases(up: system.System, server: sshd.Server, nodes: int) -> dict[str, Callable[[], Sample]]:
    ours = (str(system.BIN / "pact"), "exec", f"node[000-{nodes - 1:03}]", "--", "true")
    hosts = f"127.0.1.[1-{nodes}]"
    options, user = server.client[1:-1], server.client[-1].partition("@")[0]
    clush = (str(system.BIN / "clush"), "-f", str(FANOUT), "-l", user, "-o", " ".join(options), "-w", hosts, "true")
    cases = {"pact exec": lambda: run(ours, up.outside), "clush over OpenSSH": lambda: run(clush, up.outside)}
    pdsh = shutil.which("pdsh")
    if pdsh is not None:
        environ = up.outside | {"PDSH_SSH_ARGS": f"{' '.join(options)} -l%u %h", "PDSH_REMOTE_PDSH_PATH": pdsh}
        words = (pdsh, "-S", "-R", "ssh", "-f", str(FANOUT), "-l", user, "-w", hosts, "true")
        cases["pdsh over OpenSSH"] = lambda: run(words, environ)
    return cases


def _rows(samples: Mapping[str, Sequence[Sample]], nodes: int) -> Sequence[Row]:
    ours = median([sample.wall for sample in samples["pact exec"]])
    rows = []
    for name, found in samples.items():
        wall, cpu = median([s.wall for s in found]), median([s.cpu for s in found])
        target = TARGET if name != "pact exec" else None
        rows.append(Row(f"{name}, wall", wall * 1e3, "ms", wall / ours, "pact exec", target, True, "ratio", len(found)))
        rows.append(Row(f"{name}, its own processors' time a node", cpu / nodes * 1e3, "ms", samples=len(found)))
    return rows


def _notes(nodes: int) -> list[str]:
    notes = [
        f"all {nodes} agents, or as many loopback addresses of one sshd, share the processors with the client",
        "OpenSSH with its own choice of a key exchange, which costs the most of it",
    ]
    return notes if shutil.which("pdsh") else [*notes, "pdsh: left out, it is not installed"]
