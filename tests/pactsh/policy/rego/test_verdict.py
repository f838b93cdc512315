"""What rules mean: one table of modules, questions and answers, through both engines."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from pactsh.errors import PolicyError
from pactsh.policy.rego import Embedded, Engine, Opa, Verdict

EXAMPLES = Path(__file__).parents[4] / "docs" / "examples"
OPA = os.environ.get("PACT_TEST_OPA") or shutil.which("opa")
HEAD = "package pact.authz\nimport rego.v1\n"
DEADLINE_S = 30
MIDNIGHT_NS = 1_769_817_600_000_000_000  # 2026-01-31

Making = Callable[[Path], AbstractAsyncContextManager[Engine]]


@asynccontextmanager
async def embedded(directory: Path) -> AsyncIterator[Engine]:
    engine = Embedded(directory)
    await engine.start()
    try:
        yield engine
    finally:
        await engine.close()


@asynccontextmanager
async def opa(directory: Path) -> AsyncIterator[Engine]:
    """OPA's own server over the same modules."""
    assert OPA is not None
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    server = subprocess.Popen(
        [OPA, "run", "--server", "--disable-telemetry", "--log-level", "error", "--addr", address, str(directory)],
        stdin=subprocess.DEVNULL,
    )
    engine = Opa(f"http://{address}")
    await engine.start()
    try:
        async with asyncio.timeout(DEADLINE_S), httpx2.AsyncClient(trust_env=False) as client:
            while True:
                try:
                    await client.get(f"http://{address}/health")
                    break
                except httpx2.TransportError:
                    assert server.poll() is None, "the OPA server has ended"
                    await asyncio.sleep(0.05)
        yield engine
    finally:
        await engine.close()
        server.send_signal(signal.SIGKILL)
        server.wait()


needs_opa = pytest.mark.skipif(
    OPA is None, reason="no opa on the PATH or in PACT_TEST_OPA: the README says how to get it"
)
both = pytest.mark.parametrize(
    "making", [pytest.param(embedded, id="embedded"), pytest.param(opa, id="opa", marks=needs_opa)]
)


def line(name: str, *argv: str, class_: str = "change", dimension: str | None = None) -> dict[str, Any]:
    stage = {"name": name, "argv": [name, *argv], "class": class_, "dimension": dimension, "bypass": False}
    return {"line": " ".join((name, *argv)), "class": class_, "dimension": dimension, "stages": [stage]}


def asked(
    action: str = "shell",
    vcluster: str = "ml-training",
    role: str = "pact-ops-ml-training",
    hour: int = 22,
    command: dict[str, Any] | None = None,
    **more: Any,
) -> dict[str, Any]:
    who = {"principal": "alice@org", "kind": "human", "role": role, "roles": [role], "source": "ssh"}
    scope = {"vcluster": vcluster, "node": "node042"}
    return {
        "action": action,
        "identity": who,
        "scope": scope,
        "command": command,
        "time_ns": MIDNIGHT_NS + hour * 3_600_000_000_000,
    } | more


TICKET = "commits here say which ticket they are for: [ABC-123] at the beginning"
EXAMPLE_CASES = [
    ("training", asked(command=line("sysctl", "-w", "vm.swappiness=1")), Verdict()),
    (
        "training",
        asked(command=line("sysctl", "-w", "vm.swappiness=1"), hour=12),
        Verdict(("nodes of ml-training change between 18:00 and 06:00 UTC only",)),
    ),
    ("training", asked(command=line("sysctl", "-w", "x=1"), hour=12, role="pact-platform-admin"), Verdict()),
    ("training", asked(command=line("sysctl", "-w", "x=1"), hour=12, vcluster="other"), Verdict()),
    ("training", asked(command=line("sysctl", "-a", class_="read"), hour=12), Verdict()),
    ("training", asked(action="commit", params={"message": "x"}, hour=12), Verdict()),
    (
        "training",
        asked(command=line("systemctl", "restart", "slurmd.service")),
        Verdict(("slurmd.service runs jobs: drain the node first",)),
    ),
    ("training", asked(command=line("systemctl", "restart", "chronyd.service")), Verdict()),
    (
        "training",
        asked(command=line("systemctl", "restart", "munge.service", "slurmd.service"), hour=12),
        Verdict(
            (
                "munge.service runs jobs: drain the node first",
                "nodes of ml-training change between 18:00 and 06:00 UTC only",
                "slurmd.service runs jobs: drain the node first",
            )
        ),
    ),
    (
        "regulated",
        asked(action="commit", vcluster="sensitive-compute", params={"message": "[OPS-7] hugepages"}),
        Verdict(approval=True),
    ),
    (
        "regulated",
        asked(action="commit", vcluster="sensitive-compute", params={"message": "hugepages"}),
        Verdict((TICKET,), approval=True),
    ),
    ("regulated", asked(action="commit", params={"message": "hugepages"}), Verdict()),
    (
        "regulated",
        asked(action="rollback", vcluster="sensitive-compute", params={"to": 999}),
        Verdict(("entries before seq:1000 are closed by the audit",)),
    ),
    ("regulated", asked(action="rollback", vcluster="sensitive-compute", params={"to": 1000}), Verdict()),
    ("regulated", asked(action="rollback", vcluster="sensitive-compute", params={}), Verdict()),
    (
        "regulated",
        asked(vcluster="sensitive-compute", command=line("systemctl", "stop", "x", dimension="services")),
        Verdict(approval=True),
    ),
    (
        "regulated",
        asked(vcluster="sensitive-compute", command=line("systemctl", "status", "x", class_="read")),
        Verdict(),
    ),
]


@both
def test_the_examples_of_the_documentation_decide_as_they_say(tmp_path: Path, making: Making) -> None:
    async def go() -> None:
        for name in ("training", "regulated"):
            directory = tmp_path / name
            directory.mkdir()
            shutil.copy(EXAMPLES / f"{name}.rego", directory)
            async with making(directory) as engine:
                for number, (module, given, expected) in enumerate(EXAMPLE_CASES):
                    if module == name:
                        assert await engine.evaluate(given) == expected, f"case {number}"

    asyncio.run(go())


RULES = [
    ("nothing is said of this act", 'deny contains "x" if input.action == "other"', Verdict()),
    (
        "allow is another way to say it",
        "default allow := false\nallow if input.action == `other`",
        Verdict(("the policy does not allow it",)),
    ),
    ("allow that is true adds nothing", "allow := true", Verdict()),
    ("a reason stays on one line", 'deny contains "a\\n\\u001b[2Jb"', Verdict(("a [2Jb",))),
    (
        "a function and a comprehension",
        "double(x) := x * 2\nn := double(count([s | some s in input.identity.roles]))\ndeny contains `two` if n == 2",
        Verdict(("two",)),
    ),
    ("what is not there is undefined", "deny contains msg if msg := input.nowhere.to_be.found", Verdict()),
    ("a call that fails is undefined", 'deny contains "x" if to_number("x") == 1', Verdict()),
    ("a second person", "approval_required := input.identity.kind == `human`", Verdict(approval=True)),
]


@both
@pytest.mark.parametrize(("rules", "expected"), [case[1:] for case in RULES], ids=[case[0] for case in RULES])
def test_a_rule_means_the_same_to_both(tmp_path: Path, making: Making, rules: str, expected: Verdict) -> None:
    (tmp_path / "a.rego").write_text(HEAD + rules + "\n")

    async def go() -> None:
        async with making(tmp_path) as engine:
            assert await engine.evaluate(asked()) == expected

    asyncio.run(go())


@both
@pytest.mark.parametrize(
    "rules",
    [
        "deny := 5",
        "deny contains 7",
        "deny := {`a`: true}",
        "approval_required := `yes`",
        "allow := 1",
        "approval_required if input.action == `shell`\napproval_required := false if input.action == `shell`",
    ],
)
def test_what_can_not_be_read_allows_nothing(tmp_path: Path, making: Making, rules: str) -> None:
    (tmp_path / "a.rego").write_text(HEAD + rules + "\n")

    async def go() -> None:
        async with making(tmp_path) as engine:
            with pytest.raises(PolicyError, match="the policy can't be evaluated"):
                await engine.evaluate(asked())

    asyncio.run(go())


@both
def test_modules_use_each_other(tmp_path: Path, making: Making) -> None:
    (tmp_path / "lib.rego").write_text("package pact.lib\nimport rego.v1\nfrozen := {`a`, `b`}\nis_x(v) if v == `x`\n")
    (tmp_path / "a.rego").write_text(
        HEAD + "import data.pact.lib\ndeny contains v if {\n  some v in lib.frozen\n  lib.is_x(input.what)\n}\n"
    )

    async def go() -> None:
        async with making(tmp_path) as engine:
            assert await engine.evaluate(asked(what="x")) == Verdict(("a", "b"))
            assert await engine.evaluate(asked(what="y")) == Verdict()

    asyncio.run(go())
