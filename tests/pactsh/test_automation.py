from __future__ import annotations

import pytest

from pactsh.automation import Result, Session
from pactsh.errors import AuthError, PactError, UnreachableError, UsageError
from tests.pactsh.shell.conftest import Program, agent, program, short_path  # noqa: F401  fixtures
from tests.pactsh.shell.scripted_agent import ScriptedAgent


@pytest.fixture
def session(program: Program, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]  # noqa: F811
    for name, value in program.env.items():
        monkeypatch.setenv(name, value)
    with Session(argv=(program.path,)) as opened:
        yield opened


@pytest.mark.parametrize(
    ("line", "result"),
    [
        ("echo hi", Result(0, "hi\n")),
        ("false", Result(1, "")),
        ("sh -c 'printf half; exit 3'", Result(3, "half")),
        ("seq 3", Result(0, "1\n2\n3\n")),
        ("echo 'pact:node042> '", Result(0, "pact:node042> \n")),
        (
            "sh -c \"printf 'pact:node042> '; sleep 0.3; printf 'pact:node042> '; sleep 0.3; echo end; exit 5\"",
            Result(5, "pact:node042> pact:node042> end\n"),
        ),
        ("rm x", Result(6, "rm x\n^^\npact: refused: rm is not whitelisted\nhint: help lists what is\n")),
        ("", Result(0, "")),
    ],
)
def test_status_and_output(session: Session, line: str, result: Result) -> None:
    assert session.run(line) == result
    assert session.run("echo next") == Result(0, "next\n")


def test_a_far_terminal_that_echoes(program: Program) -> None:  # noqa: F811
    argv = ("sh", "-c", f"stty echo; PACT_AGENT_SOCKET={program.env['PACT_AGENT_SOCKET']} TERM=dumb {program.path}")
    with Session(argv=argv) as opened:
        assert opened.run("echo hi") == Result(0, "hi\n")
        assert opened.run("rm x").status == 6


def test_a_line_that_takes_too_long_is_interrupted(session: Session) -> None:
    with pytest.raises(UnreachableError, match="sleep 100"):
        session.run("sleep 100", timeout_s=0.5)
    assert session.run("echo next") == Result(0, "next\n")


def test_more_than_a_line_is_refused(session: Session, agent: ScriptedAgent) -> None:  # noqa: F811
    before = len(agent.runs)
    with pytest.raises(UsageError):
        session.run("echo a\necho b")
    assert len(agent.runs) == before


def test_the_end_of_the_session(session: Session) -> None:
    with pytest.raises(PactError, match="status 4"):
        session.run("exit 4")
    assert session.close() == 4


def test_an_unknown_user(program: Program, agent: ScriptedAgent, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    agent.error = {"code": 2, "kind": "auth", "message": "nobody here knows you", "hint": ""}
    for name, value in program.env.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(AuthError, match="nobody here knows you"):
        Session(argv=(program.path,))
