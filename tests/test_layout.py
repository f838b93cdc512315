"""Tests mirror the packages, file for file, so that whoever changes a module finds its tests."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[1]
TESTS = ROOT / "tests"
PACKAGES = {"pactsh": ROOT / "pactsh", "pact_agent": ROOT / "agent" / "pact_agent"}

# Tests of the distribution as a whole, or of several programs together, mirror no module.
WHOLE = frozenset({"e2e", "packaging", "fuzz", "escapes"})


def module_tests() -> list[Path]:
    files = (path.relative_to(TESTS) for path in TESTS.rglob("test_*.py"))
    return sorted(path for path in files if len(path.parts) > 1 and path.parts[0] not in WHOLE)


def mirrored(test: Path) -> list[Path]:
    """The modules a test file may stand for: tests/pactsh/a/test_b.py is of pactsh/a/b.py or the package b."""
    root = PACKAGES[test.parts[0]]
    target = root.joinpath(*test.parts[1:-1], test.stem.removeprefix("test_"))
    return [target.with_suffix(".py"), target / "__init__.py"]


def test_there_are_tests_to_look_at() -> None:
    assert Path("pactsh/cli/test_main.py") in module_tests()


def test_every_test_file_belongs_to_a_package() -> None:
    assert [str(t) for t in module_tests() if t.parts[0] not in PACKAGES] == []


def test_every_test_file_mirrors_a_module() -> None:
    known = [t for t in module_tests() if t.parts[0] in PACKAGES]
    assert [str(t) for t in known if not any(m.exists() for m in mirrored(t))] == []


def test_top_level_tests_are_about_the_whole() -> None:
    allowed = {"test_imports.py", "test_layout.py", "test_errors.py", "test_packaging.py", "test_docs.py"}
    assert {path.name for path in TESTS.glob("test_*.py")} <= allowed
