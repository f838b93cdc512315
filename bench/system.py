"""The system under test: `pact dev up` in a directory of its own, ended whatever happens."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.measure import CaseError

NODE = "node042"
BIN = Path(sys.executable).parent
_UP_TIMEOUT_S = 300


@dataclass(frozen=True, slots=True)
class System:
    """A dev system that is up: its directory, and an environment in which `pact` and `pactsh` use it.

    `outside` is a workstation's environment: without the agent's socket.
    """

    directory: Path
    environ: dict[str, str]
    outside: dict[str, str]

    @property
    def socket(self) -> str:
        """The path of the node's local socket."""
        return self.environ["PACT_AGENT_SOCKET"]


def plain_environment(home: Path) -> dict[str, str]:
    """What every measured program gets; nothing of the caller's."""
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return {"PATH": path, "LANG": "C.UTF-8", "HOME": str(home), "TERM": "xterm-256color"}


@contextmanager
def started(directory: Path, nodes: Sequence[str] = (NODE,)) -> Iterator[System]:
    """Bring the system up and, at the end, down; raises `CaseError` when it doesn't come up. The local socket is that
    of the first node."""
    home = directory / "home"
    home.mkdir(mode=0o700)
    plain = plain_environment(home)
    place = ("--dir", str(directory / "dev"))
    try:
        _pact("up", *place, *(word for node in nodes for word in ("--node", node)), "--detach", environ=plain)
        outside = plain | _exports(_pact("env", *place, environ=plain))
        environ = plain | _exports(_pact("env", *place, "--node", nodes[0], environ=plain))
        yield System(directory / "dev", environ, outside)
    finally:
        subprocess.run([BIN / "pact", "dev", "down", *place], env=plain, check=False, capture_output=True)


def _pact(*words: str, environ: dict[str, str]) -> str:
    argv = [str(BIN / "pact"), "dev", *words]
    try:
        done = subprocess.run(argv, env=environ, capture_output=True, text=True, check=False, timeout=_UP_TIMEOUT_S)
    except subprocess.TimeoutExpired as error:
        raise CaseError(f"pact dev {words[0]}: not done within {_UP_TIMEOUT_S} s") from error
    if done.returncode != 0:
        raise CaseError(f"pact dev {words[0]}: status {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def _exports(text: str) -> dict[str, str]:
    """The variables of `export NAME=VALUE` lines."""
    words = shlex.split(text.replace(os.linesep, " "))
    return dict(word.split("=", 1) for word in words if "=" in word)
