"""packaging/make-venv on machines that lack something, which a stand-in interpreter pretends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "packaging" / "make-venv"


def pretend(tmp_path: Path, lie: str) -> Path:
    """An interpreter that believes `lie`, and an apt-get that writes down what it is asked for."""
    python = tmp_path / "python"
    # The scripts call it as `python -c CODE`.
    python.write_text(f"#!/bin/sh\nexec {sys.executable} -I -c '{lie}; exec(sys.argv[1])' \"$2\"\n")
    apt = tmp_path / "apt-get"
    apt.write_text(f'#!/bin/sh\necho "$*" >>{tmp_path}/asked\n')
    for program in (python, apt):
        program.chmod(0o755)
    return python


def run(tmp_path: Path, python: Path | str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(SCRIPT), str(python), str(tmp_path / "venv"), str(tmp_path / "venv" / ".installed")],
        cwd=ROOT,
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        input="not for you\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_no_python(tmp_path: Path) -> None:
    done = run(tmp_path, "python3.nowhere")
    assert done.returncode == 1
    assert done.stderr.startswith("pact: no python3.nowhere here: Python 3.11 or newer is needed")


def test_an_old_python_is_named(tmp_path: Path) -> None:
    done = run(tmp_path, pretend(tmp_path, "import sys; sys.version_info = (3, 9, 2)"))
    assert done.returncode == 1
    assert done.stderr.startswith("pact: Python 3.11 or newer is needed, and ")
    assert " is 3.9: " in done.stderr
    assert not (tmp_path / "venv").exists()


def test_a_python_without_venv_names_the_package_and_as_root_asks_for_it(tmp_path: Path) -> None:
    python = pretend(tmp_path, 'import sys; sys.modules["ensurepip"] = None')
    done = run(tmp_path, python)
    package = f"python3.{sys.version_info[1]}-venv"
    assert done.returncode == 1
    assert f"apt-get install {package}" in done.stderr.splitlines()[-1]
    asked = tmp_path / "asked"
    assert asked.exists() == (os.geteuid() == 0)
    if asked.exists():
        assert asked.read_text().split()[-1] == package


def test_what_is_up_to_date_is_left_alone(tmp_path: Path) -> None:
    stamp = tmp_path / "venv" / ".installed"
    stamp.parent.mkdir()
    stamp.write_text(f"{ROOT}\n")
    done = run(tmp_path, sys.executable)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert sorted(p.name for p in stamp.parent.iterdir()) == [".installed", ".lock"]


@pytest.mark.parametrize("name", ["make-venv", "system-packages"])
def test_scripts_can_be_run(name: str) -> None:
    assert os.access(ROOT / "packaging" / name, os.X_OK)
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
