"""Imports point one way (DESIGN.md, section 2), and what must stay light loads nothing heavy."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = {"pactsh": ROOT / "pactsh", "pact_agent": ROOT / "agent" / "pact_agent"}

# Which packages may be imported by a package, besides itself and pactsh.errors; the reason beside each.
MAY_IMPORT: dict[str, frozenset[str]] = {
    # pure: whoever parses a line or reads an entry can do so without anything else installed
    "pactsh.language": frozenset(),
    "pactsh.model": frozenset(),
    # deciders: values in, values out; nobody who decides can reach a socket
    "pactsh.catalog": frozenset({"pactsh.language", "pactsh.model"}),
    "pactsh.policy": frozenset({"pactsh.language", "pactsh.model", "pactsh.catalog"}),
}
# Whom a package must never import.
MUST_NOT_IMPORT: dict[str, frozenset[str]] = {
    # the agent is root: it must not load what reads a user's terminal and configuration
    "pact_agent": frozenset({"pactsh.cli", "pactsh.shell", "pactsh.dev"}),
    # pactsh is installed on workstations, where there is no agent
    "pactsh": frozenset({"pact_agent"}),
    # a journal serves; what reads a terminal has no business in it
    "pactsh.journal": frozenset({"pactsh.cli", "pactsh.shell", "pactsh.dev"}),
    "pactsh.auth": frozenset({"pactsh.cli", "pactsh.shell", "pactsh.dev"}),
    "pactsh.rpc": frozenset({"pactsh.cli", "pactsh.shell", "pactsh.dev", "pactsh.journal"}),
}
# pydantic and rich cost the agent a sixth of its 64 MiB (docs/adr/0002): nothing it loads may import them.
HEAVY = frozenset({"pydantic", "pydantic_core", "rich"})
LIGHT = (
    "pactsh.language",
    "pactsh.model",
    "pactsh.catalog",
    "pactsh.policy",
    "pactsh.rpc",
    "pact_agent",
    "pactsh.errors",
)


def modules() -> Iterator[tuple[str, Path]]:
    for package, root in SOURCES.items():
        for path in sorted(root.rglob("*.py")):
            if path.stem.endswith(("_pb2", "_pb2_grpc")):
                continue  # generated
            parts = path.relative_to(root).with_suffix("").parts
            yield ".".join((package, *(p for p in parts if p != "__init__"))), path


def imported(name: str, path: Path) -> set[str]:
    """Every module that `path` names in an import statement, at any depth of nesting."""
    found: set[str] = set()
    package = name if path.stem == "__init__" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")
                base = ".".join([*parents[: len(parents) - node.level + 1], *([base] if base else [])])
            found.add(base)
            found.update(f"{base}.{alias.name}" for alias in node.names)
    return found


MODULES = list(modules())


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def test_the_walk_sees_the_sources() -> None:
    assert {"pactsh.errors", "pactsh.cli.tree", "pact_agent.config"} <= {name for name, _ in MODULES}


@pytest.mark.parametrize("package", sorted(MAY_IMPORT))
def test_pure_packages_know_only_what_is_below_them(package: str) -> None:
    allowed = MAY_IMPORT[package] | {package, "pactsh.errors"}
    wrong = [
        (name, other)
        for name, path in MODULES
        if within(name, package)
        for other in imported(name, path)
        if (within(other, "pactsh") or within(other, "pact_agent"))
        and other != "pactsh"
        and not any(within(other, a) for a in allowed)
    ]
    assert wrong == []


@pytest.mark.parametrize("package", sorted(MUST_NOT_IMPORT))
def test_packages_keep_away_from_what_is_above_them(package: str) -> None:
    wrong = [
        (name, other)
        for name, path in MODULES
        if within(name, package)
        for other in imported(name, path)
        if any(within(other, banned) for banned in MUST_NOT_IMPORT[package])
    ]
    assert wrong == []


def test_what_the_agent_loads_names_nothing_heavy() -> None:
    wrong = [
        (name, other)
        for name, path in MODULES
        if any(within(name, light) for light in LIGHT)
        for other in imported(name, path)
        if other.partition(".")[0] in HEAVY
    ]
    assert wrong == []


def loaded_by(code: str) -> set[str]:
    probe = f"import sys\n{code}\nprint('\\n'.join(sys.modules), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    return set(done.stderr.split())


def test_the_agent_loads_nothing_heavy() -> None:
    assert loaded_by("import pact_agent.daemon").isdisjoint(HEAVY)


def test_the_spawner_loads_only_the_standard_library() -> None:
    """It forks as root: every module in it is one more thing that may hold a lock or a thread."""
    ours = {"pactsh", "pact_agent"}
    loaded = {m.partition(".")[0] for m in loaded_by("import pact_agent.spawner")}
    site = {m.partition(".")[0] for m in loaded_by("pass")}  # what .pth files load anyway
    assert loaded - site - ours <= set(sys.stdlib_module_names)


def test_help_loads_nothing_that_only_some_verbs_need() -> None:
    code = "from pactsh.cli.main import main\nassert main(['--help']) == 0"
    heavy = HEAVY | {"grpc", "asyncssh", "cryptography", "msgspec", "prompt_toolkit", "pygments", "xonsh"}
    assert loaded_by(code).isdisjoint(heavy)
