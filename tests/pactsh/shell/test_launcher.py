from __future__ import annotations

from pathlib import Path

import pexpect
import pytest

from pactsh.shell.launcher import launcher_text, write_launcher
from tests.pactsh.shell.conftest import Program
from tests.pactsh.shell.screen import Screen


def test_a_hostile_environment_puts_no_code_into_the_shell(program: Program, tmp_path: Path) -> None:
    evil = tmp_path / "evil"
    evil.mkdir()
    proof = tmp_path / "proof"
    for name in ("_json", "posix", "usercustomize", "sitecustomize", "pactsh", "termios", "unicodedata", "re"):
        (evil / f"{name}.py").write_text(f"open({str(proof)!r}, 'w').write({name!r})\n")
    startup = evil / "startup.py"
    startup.write_text(f"open({str(proof)!r}, 'w').write('startup')\n")
    env = {
        "PYTHONPATH": str(evil),
        "PYTHONSTARTUP": str(startup),
        "PYTHONHOME": str(evil),
        "PYTHONUSERBASE": str(evil),
        "PYTHONINSPECT": "1",
        "PYTHONSAFEPATH": "",
        "PYTHONBREAKPOINT": "startup.main",
        "HOME": str(evil),
    }
    for args in (["-c", "echo hi"], ["-c", "rm x"], ["--version"]):
        done = program.run(*args, env=env, cwd=evil)
        assert done.returncode in (0, 6), done.stderr
    child_input = b"echo from stdin\n"
    assert program.run(env=env, cwd=evil, input=child_input).stdout == b"from stdin\n"
    assert not proof.exists()


def test_the_prompt_is_isolated_too(program: Program, tmp_path: Path) -> None:
    evil = tmp_path / "evil"
    evil.mkdir()
    proof = tmp_path / "proof"
    (evil / "prompt_toolkit.py").write_text(f"open({str(proof)!r}, 'w')\n")
    program.env |= {"PYTHONPATH": str(evil), "PYTHONSTARTUP": str(evil / "prompt_toolkit.py")}
    screen = Screen(program.spawn(term="xterm"))
    screen.wait_text("alice@org")
    screen.child.send("exit\r")
    screen.child.expect(pexpect.EOF)
    assert not proof.exists()


def test_an_interpreter_that_the_kernel_could_not_start_is_refused() -> None:
    with pytest.raises(ValueError, match="spaces"):
        launcher_text("/opt/my python/bin/python", "/x", ())
    with pytest.raises(ValueError, match="too long"):
        launcher_text("/opt/" + "x" * 130 + "/python", "/x", ())


def test_the_launcher_replaces_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "pactsh"
    path.write_text("old")
    write_launcher(str(path))
    text = path.read_text(encoding="utf-8")
    assert text.startswith("#!/")
    assert " -ISXutf8\n" in text
    assert path.stat().st_mode & 0o777 == 0o755
