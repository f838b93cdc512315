from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from pactsh.dev.processes import Process, end, identify, is_alive, start_time


@pytest.fixture
def child() -> Iterator[subprocess.Popen[str]]:
    code = "import time; print('up', flush=True); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-I", "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_process_is_told_from_a_later_one_with_its_number(child: subprocess.Popen[str]) -> None:
    known = identify(child.pid)
    assert known is not None
    assert is_alive(known)
    assert not is_alive(Process(child.pid, known.start - 1))


def test_end_leaves_the_later_owner_of_a_number_alone(child: subprocess.Popen[str]) -> None:
    known = identify(child.pid)
    assert known is not None
    end((Process(child.pid, known.start - 1),), grace_s=5)
    assert child.poll() is None
    end((known,), grace_s=5)
    assert child.wait(5) == -signal.SIGTERM


def test_end_kills_what_does_not_listen() -> None:
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-I", "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        known = identify(process.pid)
        assert known is not None
        end((known,), grace_s=0.2)
        assert process.wait(5) == -signal.SIGKILL


def test_a_zombie_is_no_process() -> None:
    with subprocess.Popen([sys.executable, "-I", "-c", ""]) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert start_time(process.pid) is None


def test_nothing_to_end_is_fine() -> None:
    end((Process(2**22 + 1, 1),), grace_s=0.1)
