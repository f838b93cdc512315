"""A scripted agent and the real `pactsh` program in front of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pexpect
import pytest

from pactsh.shell.launcher import write_launcher
from tests.pactsh.shell.scripted_agent import ScriptedAgent, scripted_agent


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A directory whose path leaves room for a socket's name (108 bytes)."""
    path = Path(tempfile.mkdtemp(prefix="pact-"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def agent(short_path: Path) -> Iterator[ScriptedAgent]:
    with scripted_agent(short_path) as running:
        yield running


@dataclass
class Program:
    """The installed launcher, run as users run it."""

    path: str
    env: dict[str, str]

    def run(self, *args: str, **options: Any) -> subprocess.CompletedProcess[bytes]:
        env = self.env | options.pop("env", {})
        options.setdefault("stdin", subprocess.DEVNULL if "input" not in options else None)
        if "input" in options:
            del options["stdin"]
        return subprocess.run([self.path, *args], env=env, capture_output=True, timeout=60, check=False, **options)

    def spawn(self, *args: str, term: str = "dumb", dimensions: tuple[int, int] = (24, 80)) -> pexpect.spawn[str]:
        env = self.env | {"TERM": term}
        child: pexpect.spawn[str] = pexpect.spawn(
            self.path, list(args), env=env, encoding="utf-8", timeout=60, dimensions=dimensions
        )
        child.delaybeforesend = None
        return child


@pytest.fixture
def program(tmp_path: Path, agent: ScriptedAgent) -> Program:
    path = tmp_path / "pactsh"
    write_launcher(str(path))
    env = {"PATH": os.environ["PATH"], "PACT_AGENT_SOCKET": str(agent.path), "TERM": "dumb", "HOME": "/"}
    return Program(str(path), env)
