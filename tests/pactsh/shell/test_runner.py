from __future__ import annotations

import os

import pytest

from pactsh.shell.runner import language_of_messages, run_line, terminal_fields
from pactsh.shell.script import open_session
from pactsh.shell.wire import Connection, Frame, connect
from tests.pactsh.shell.scripted_agent import ScriptedAgent


@pytest.fixture
def connection(agent: ScriptedAgent, monkeypatch: pytest.MonkeyPatch) -> Connection:
    import posix

    monkeypatch.setitem(posix.environ, b"PACT_AGENT_SOCKET", os.fsencode(agent.path))
    monkeypatch.delitem(posix.environ, b"PACT_SESSION_FD", raising=False)
    return connect()


def test_lines_of_one_session(connection: Connection, agent: ScriptedAgent) -> None:
    session = open_session(connection, "script")
    assert (session.text("node"), session.text("cwd")) == ("node042", "/")
    assert run_line(connection, "false").status == 1
    moved = run_line(connection, "cd tmp")
    assert (moved.status, moved.cwd, moved.end) == (0, "/tmp", False)
    refused = run_line(connection, "rm x")
    assert refused.refusal is not None
    assert (refused.status, refused.refusal.span()) == (6, (0, 2))
    ended = run_line(connection, "exit 5")
    assert (ended.status, ended.end) == (5, True)
    connection.close()


def test_frames_about_other_things_go_to_the_caller(connection: Connection, agent: ScriptedAgent) -> None:
    seen: list[Frame] = []
    open_session(connection, "script")
    agent.notify("hello")
    assert run_line(connection, "true", on_frame=seen.append).status == 0
    assert [frame.text("text") for frame in seen] == ["hello"]
    connection.close()


def test_what_is_told_of_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    import posix

    monkeypatch.setitem(posix.environ, b"TERM", b"xterm")
    fields = terminal_fields()
    assert fields["term"] == "xterm"
    assert set(fields) == {"term", "rows", "cols"}
    for name in (b"LC_ALL", b"LC_MESSAGES", b"LANG"):
        monkeypatch.delitem(posix.environ, name, raising=False)
    assert language_of_messages() == ""
    monkeypatch.setitem(posix.environ, b"LANG", b"de_DE.UTF-8")
    assert language_of_messages() == "de_DE.UTF-8"
