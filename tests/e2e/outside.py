"""A workstation beside a whole system on this machine."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pact_agent.localnode import BIN


class Outside:
    """A workstation: the environment of `pact dev env`, a state directory of its own, no agent socket."""

    def __init__(self, directory: Path, home: Path) -> None:
        exports = subprocess.run(
            [str(BIN / "pact"), "dev", "env", "--dir", str(directory)], capture_output=True, text=True, check=True
        ).stdout
        pairs = (line.removeprefix("export ").split("=", 1) for line in exports.splitlines())
        self.env = {k: v.strip("'\"") for k, v in pairs} | {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "TERM": "xterm",
        }
        self.directory, self.home = directory, home

    def pact(self, *args: str, stdin: str = "", env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(BIN / "pact"), *args],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
            env=self.env | (env or {}),
        )

    def start(self, *args: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [str(BIN / "pact"), *args],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.env,
        )

    def entries(self, *args: str) -> list[dict[str, object]]:
        shown = self.pact("log", "-n", "50", "--output", "json", *args).stdout
        found = json.loads(shown) if shown.startswith("[") else [json.loads(line) for line in shown.splitlines()]
        entries = found[0]["entries"] if found and isinstance(found[0], dict) and "entries" in found[0] else found
        assert isinstance(entries, list)
        return entries


def outside_of(
    factory: pytest.TempPathFactory, *nodes: str, policy: Path | None = None, vcluster: str = ""
) -> Iterator[Outside]:
    """A system with these nodes, for a fixture; it is ended afterwards. `policy` are its modules in Rego."""
    place, home = factory.mktemp("d"), factory.mktemp("h")
    names = [word for node in nodes for word in ("--node", node)]
    names += [] if policy is None else ["--policy", str(policy)]
    names += ["--vcluster", vcluster] if vcluster else []
    command = [str(BIN / "pact"), "dev", "up", "--detach", "--dir", str(place / "s"), *names]
    subprocess.run(command, check=True, timeout=120, stdout=subprocess.DEVNULL)
    try:
        yield Outside(place / "s", home)
    finally:
        subprocess.run([str(BIN / "pact"), "dev", "down", "--dir", str(place / "s")], check=True, timeout=60)
