"""What a node's own state forbids: a kernel that contains nothing runs nothing, unless policy says otherwise."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pact_agent.localnode import BIN, IS_ROOT, LocalNode, body_of

pytestmark = pytest.mark.skipif(not IS_ROOT, reason="taking Landlock away takes root: run the tests as root")

# A program that has the kernel say ENOSYS to Landlock's three calls (444 to 446) from now on, and becomes another.
WITHOUT = """
import os, sys
from pact_agent import kernel, seccomp
steps = [(0x20, 0, 0, 0), (0x35, 0, 2, 444), (0x35, 1, 0, 447), (0x06, 0, 0, 0x00050000 | 38), (0x06, 0, 0, 0x7FFF0000)]
seccomp.Filter(seccomp.encode(steps)).install()
os.execv(sys.argv[1], sys.argv[1:])
"""


class WeakNode(LocalNode):
    """An agent on a kernel without Landlock."""

    program = (sys.executable, "-c", WITHOUT)


@pytest.fixture(params=["required", "best-effort"])
def weak(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[tuple[str, LocalNode]]:
    node = WeakNode(tmp_path, f'containment = "{request.param}"\n[limits]\nspool_bytes = 4194304')
    try:
        yield request.param, node.start()
    finally:
        node.close()


def test_without_landlock_commands_run_only_where_policy_takes_the_risk(weak: tuple[str, LocalNode]) -> None:
    containment, node = weak
    done = node.line("uname -s")
    if containment == "required":
        assert (done.returncode, done.stdout) == (3, "")
        assert "this node's kernel can't contain commands, and policy requires it" in done.stderr
    else:
        assert (done.returncode, done.stdout) == (0, "Linux\n")
    env = {"PACT_AGENT_SOCKET": str(node.socket), "PATH": os.environ["PATH"]}
    told = subprocess.run([BIN / "pact", "cap"], capture_output=True, text=True, env=env, timeout=60).stdout
    assert "Containment: no landlock, seccomp, " in told
    (line,) = (text for text in told.splitlines() if text.startswith("Containment: "))
    assert line.endswith(containment)
    assert "  Landlock ABI 0: not in this kernel" in told
    node.stop()
    refusals = [body_of(entry)["code"] for entry in node.entries("refusal")]
    assert refusals == (["not-contained"] if containment == "required" else [])
    assert "no landlock" in body_of(node.entries("agent.start")[0])["containment"]
