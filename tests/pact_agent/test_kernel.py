"""System calls by number: the numbers are the system's own, failures are errors."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from pact_agent import kernel

AGENT = str(Path(kernel.__file__).parents[1])
HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_numbers_are_those_of_the_kernels_headers(machine: str) -> None:
    if not HEADERS[machine].exists():
        pytest.skip(f"no {HEADERS[machine]} here to compare with: apt-get install linux-libc-dev")
    text = HEADERS[machine].read_text()
    found = re.findall(r"^#define __NR(?:3264)?_(\w+)\s+(\d+)$", text, re.MULTILINE)
    known = {name: int(number) for name, number in found}
    ours = kernel._SYSCALLS[machine]
    compared = {name: known[name] for name in ours if name in known}
    assert len(compared) > 80
    assert {name: ours[name] for name in compared} == compared


def test_failures_are_errors_with_their_number() -> None:
    with pytest.raises(OSError, match="Bad file descriptor") as caught:
        kernel.setns(999_999, 0)
    assert caught.value.errno == errno.EBADF
    with pytest.raises(OSError, match="Invalid argument"):
        kernel.prctl(999_999)
    with pytest.raises(OSError, match="not implemented"):
        kernel.syscall(9999)


def in_a_process(script: str) -> str:
    """Run a script that may give up rights, with `kernel` imported; returns what it printed."""
    code = f"import os, sys; sys.path.insert(0, {AGENT!r}); from pact_agent import kernel\n{script}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    return done.stdout


STATUS = "print(*(l.split()[1] for l in open('/proc/self/status') if l.startswith(('CapPrm', 'CapBnd'))))"


def test_held_capabilities_are_what_proc_says() -> None:
    permitted, _ = in_a_process(STATUS).split()
    assert int(in_a_process("print(kernel.held_capabilities())")) == int(permitted, 16)


def test_limited_capabilities_are_gone_for_good() -> None:
    script = "kernel.limit_capabilities(frozenset({'net_raw', 'syslog'}))\n" + STATUS
    before, _ = in_a_process(STATUS).split()
    after, _ = in_a_process(script).split()
    wanted = sum(1 << kernel.CAPABILITIES.index(name) for name in ("net_raw", "syslog"))
    assert int(after, 16) == int(before, 16) & wanted
    again = script + "\ntry: kernel.limit_capabilities(frozenset(kernel.CAPABILITIES))\nexcept OSError: print('no')\n"
    assert in_a_process(again + STATUS).splitlines()[-1].split()[0] == after
    nothing, _ = in_a_process("kernel.limit_capabilities(frozenset())\n" + STATUS).split()
    assert int(nothing, 16) == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has a bounding set to empty: run the tests as root")
def test_released_capabilities_leave_a_bounding_set_of_what_files_ask_for() -> None:
    permitted, bounding = in_a_process("kernel.release_capabilities()\n" + STATUS).split()
    on_files = sum(1 << kernel.CAPABILITIES.index(name) for name in kernel.ON_FILES)
    held = int(in_a_process(STATUS).split()[0], 16)
    assert int(permitted, 16) == held
    assert int(bounding, 16) & held == on_files & held
    code = "kernel.release_capabilities(); kernel.bound_capabilities(frozenset())\n"
    assert int(in_a_process(code + STATUS).split()[1], 16) & held == 0


def test_capabilities_are_numbered_as_in_the_header() -> None:
    header = Path("/usr/include/linux/capability.h")
    if not header.exists():
        pytest.skip(f"no {header} here to compare with: apt-get install linux-libc-dev")
    found = dict(re.findall(r"^#define CAP_(\w+)\s+(\d+)$", header.read_text(), re.MULTILINE))
    assert {name.lower(): int(n) for name, n in found.items()} == {n: i for i, n in enumerate(kernel.CAPABILITIES)}
