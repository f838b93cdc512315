from __future__ import annotations

import os
import posix
import signal
import sys

import pexpect
import pytest
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.document import Document
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from pactsh.shell.repl import Repl
from pactsh.shell.script import open_session
from pactsh.shell.wire import connect
from tests.pactsh.shell.conftest import Program
from tests.pactsh.shell.screen import Screen
from tests.pactsh.shell.scripted_agent import ScriptedAgent, scripted_agent

PROMPT = "pact:node042> "
PASTE_START, PASTE_END = "\x1b[200~", "\x1b[201~"


@pytest.fixture
def screen(program: Program, agent: ScriptedAgent) -> Screen:
    agent.history = ["echo oldest", "echo needle in it", "echo newest"]
    shown = Screen(program.spawn(term="xterm-256color"))
    shown.wait(lambda lines: lines[0].startswith(PROMPT.strip()) and "alice@org" in lines[-1])
    return shown


def at_prompt(lines: list[str]) -> bool:
    return len(lines) > 1 and lines[-2] == PROMPT.strip() and "alice@org" in lines[-1]


def test_prompt_and_toolbar(screen: Screen) -> None:
    assert screen.lines == [PROMPT.strip(), " alice@org  pact-ops  COMMITTED  drift 0  journal ok"]
    assert screen.cursor == (0, len(PROMPT))


def test_a_line_runs_and_the_prompt_comes_back(screen: Screen) -> None:
    screen.child.send("echo hi\r")
    lines = screen.wait(lambda rows: at_prompt(rows) and "hi" in rows)
    assert lines[:3] == [PROMPT + "echo hi", "hi", PROMPT.strip()]


def test_no_cursor_position_is_ever_asked_for(screen: Screen) -> None:
    screen.child.send("echo hi\r")
    screen.wait(lambda rows: at_prompt(rows) and "hi" in rows)
    assert "\x1b[6n" not in screen.raw


def test_output_without_a_newline_does_not_swallow_the_prompt(screen: Screen) -> None:
    screen.child.send("sh -c 'printf half'\r")
    assert screen.wait(lambda rows: at_prompt(rows) and "half" in rows)


def test_a_refusal_is_underlined_and_the_toolbar_foresees_it(screen: Screen) -> None:
    screen.child.send("rm -rf /tmp/x")
    screen.wait(lambda rows: rows[-1].startswith(" refused: rm is not whitelisted"))
    column = len(PROMPT)
    assert screen.style(0, column).underscore
    screen.child.send("\r")
    lines = screen.wait(at_prompt)
    assert lines[1:5] == ["rm -rf /tmp/x", "^^", "pact: refused: rm is not whitelisted", "hint: help lists what is"]


def test_allowed_refused_strings_operators_and_variables_look_different(screen: Screen) -> None:
    line = "echo 'text' $USER | nothing"
    screen.child.send(line)
    screen.wait_text(line)
    at = {name: screen.style(0, len(PROMPT) + line.index(name)) for name in ("echo", "'text'", "$USER", "|", "nothing")}
    looks = {(c.fg, c.bold, c.underscore) for c in at.values()}
    assert len(looks) == 5
    assert at["nothing"].underscore  # not by colour alone
    assert not at["echo"].underscore


def test_control_c_clears_the_line(screen: Screen, agent: ScriptedAgent) -> None:
    screen.child.send("echo never")
    screen.wait_text("echo never")
    screen.child.send("\x03")
    screen.wait(at_prompt)
    screen.child.send("echo then\r")
    screen.wait(lambda rows: "then" in rows)
    assert [frame["line"] for frame in agent.runs] == ["echo then"]


def test_control_c_ends_a_command_and_not_the_shell(screen: Screen) -> None:
    screen.child.send("sh -c 'echo ready; exec sleep 100'\r")
    screen.wait_text("ready")
    screen.wait(lambda rows: "ready" in rows)
    screen.child.send("\x03")
    screen.wait(at_prompt)
    screen.child.send("echo $?\r")
    screen.wait(lambda rows: "130" in rows)


def test_control_d_leaves_with_the_last_status(screen: Screen, agent: ScriptedAgent) -> None:
    screen.child.send("sh -c 'echo so; exit 1'\r")
    screen.wait(lambda rows: "so" in rows and at_prompt(rows))
    screen.child.send("\x04")
    screen.child.expect(pexpect.EOF)
    screen.child.close()
    assert screen.child.exitstatus == 1
    assert agent.frames[-1] == {"op": "bye", "status": 1}


def test_control_d_says_when_a_window_is_open(screen: Screen, agent: ScriptedAgent) -> None:
    agent.state |= {"window_s": 600, "drift": 2}
    screen.wait_text("window ")
    screen.child.send("\x04")
    screen.wait_text("a commit window is open")


def test_history_with_arrows_and_search(screen: Screen, agent: ScriptedAgent) -> None:
    screen.child.send("\x1b[A")
    screen.wait(lambda rows: rows[0] == PROMPT + "echo newest")
    screen.child.send("\x1b[A\x1b[A")
    screen.wait(lambda rows: rows[0] == PROMPT + "echo oldest")
    screen.child.send("\x03")
    screen.wait(at_prompt)
    screen.child.send("\x12needle")
    screen.wait_text("echo needle in it")
    assert agent.runs == []
    screen.child.send("\r")  # takes the line found, and runs nothing
    screen.wait_text(PROMPT + "echo needle in it")
    assert agent.runs == []
    screen.child.send("\r")
    screen.wait(lambda rows: "needle in it" in rows)


def test_enter_never_accepts_a_suggestion(screen: Screen, agent: ScriptedAgent) -> None:
    screen.child.send("echo ne")
    screen.wait_text("echo newest")  # suggested, in grey
    screen.child.send("\r")
    screen.wait(lambda rows: "ne" in rows)
    assert [frame["line"] for frame in agent.runs] == ["echo ne"]


def test_tab_completes(screen: Screen) -> None:
    screen.child.send("unam\t")
    screen.wait_text(PROMPT + "uname")
    screen.child.send("-a\x03")
    screen.wait(at_prompt)
    screen.child.send("cat /etc/hostn\t")
    screen.wait_text(PROMPT + "cat /etc/hostname")


def test_enter_in_the_menu_takes_the_completion_and_runs_nothing(screen: Screen, agent: ScriptedAgent) -> None:
    screen.child.send("uname --\t")
    screen.wait_text("--all")
    screen.child.send("\t")
    screen.wait(lambda rows: rows[0] == PROMPT + "uname --all")
    screen.child.send("\r")
    screen.wait(lambda rows: rows[0] == PROMPT + "uname --all" and not any("--machine" in row for row in rows))
    assert agent.runs == []


def test_a_changed_policy_changes_what_tab_offers(agent: ScriptedAgent, screen: Screen) -> None:
    """The next state says that there is another policy; the prompt then asks what it allows this person."""
    agent.whitelist = {"class": "read", "overlay": {"remove": ["uname"]}}
    agent.state["policy"] = "ml-training:2"
    asked = len(agent.frames)
    screen.wait(lambda _: any(f["op"] == "call" for f in agent.frames[asked:]))
    screen.child.send("upti\t")
    screen.wait_text(PROMPT + "uptime")
    screen.child.send("\x15una\t\t")
    screen.wait(lambda rows: rows[0] == PROMPT + "una")
    screen.child.send("\x15sysctl -w vm.swappiness=\t")
    screen.wait_text("sysctl -w vm.swappiness=")


@pytest.mark.parametrize(
    "answer", [{"class": "read"}, {"class": 3, "overlay": {}}, {"class": "x", "overlay": {"new": 1}}]
)
def test_an_answer_of_another_version_leaves_the_catalog_as_it_is(
    agent: ScriptedAgent, screen: Screen, answer: dict[str, object]
) -> None:
    agent.whitelist = answer
    agent.state["policy"] = "ml-training:2"
    screen.wait(lambda _: any(f["op"] == "call" for f in agent.frames))
    screen.child.send("unam\t")
    screen.wait_text(PROMPT + "uname")


def test_pasted_lines_wait_for_enter_and_run_one_after_the_other(screen: Screen, agent: ScriptedAgent) -> None:
    screen.child.send(f"{PASTE_START}echo one\recho two\rrm x\r{PASTE_END}")
    screen.wait_text("Enter runs 3 lines")
    assert agent.runs == []
    screen.child.send("\r")
    lines = screen.wait(lambda rows: at_prompt(rows) and "two" in rows)
    assert lines[:5] == [PROMPT + "echo one", "one", PROMPT + "echo two", "two", PROMPT + "rm x"]
    assert [frame["line"] for frame in agent.runs] == ["echo one", "echo two", "rm x"]


def test_control_c_drops_the_pasted_lines_that_are_left(screen: Screen, agent: ScriptedAgent) -> None:
    screen.child.send(f"{PASTE_START}sh -c 'echo ready; exec sleep 100'\recho two{PASTE_END}\r")
    screen.wait(lambda rows: "ready" in rows)
    screen.child.send("\x03")
    screen.wait_text("1 pasted lines were not run")
    assert len(agent.runs) == 1


def test_typed_ahead_lines_run_later(screen: Screen) -> None:
    screen.child.send("sh -c 'echo ready; sleep 0.5'\r")
    screen.wait(lambda rows: "ready" in rows)
    screen.child.send("echo ahead\recho hal")
    screen.wait(lambda rows: "ahead" in rows and rows[-2] == PROMPT + "echo hal")


def test_a_notice_appears_above_and_typing_goes_on(screen: Screen, agent: ScriptedAgent) -> None:
    screen.child.send("echo unfin")
    screen.wait_text("echo unfin")
    agent.notify("bob@org says: \x1b[2Jhello", "message")
    lines = screen.wait(lambda rows: len(rows) == 3 and rows[1].startswith(PROMPT) and "alice" in rows[2])
    assert lines[:2] == ["pact: message: bob@org says: ^[[2Jhello", PROMPT + "echo unfin"]
    screen.child.send("ished\r")
    lines = screen.wait(lambda rows: "unfinished" in rows)
    assert lines[0] == "pact: message: bob@org says: ^[[2Jhello"


def test_the_toolbar_follows_the_state(screen: Screen, agent: ScriptedAgent) -> None:
    agent.state |= {"emergency": True, "journal": False, "drift": 3, "window_s": 59.0}
    line = screen.wait(lambda rows: "EMERGENCY" in rows[-1])[-1]
    assert "drift 3" in line
    assert "window 0:" in line
    assert "journal unreachable" in line


def test_the_window_size_reaches_the_command(screen: Screen) -> None:
    screen.child.send("stty size\r")
    screen.wait(lambda rows: "24 80" in rows)
    screen.child.send("sh -c 'echo ready; trap \"stty size; exit\" WINCH; while true; do sleep 0.1; done'\r")
    screen.wait(lambda rows: "ready" in rows)
    screen.child.setwinsize(20, 60)
    screen.wait(lambda rows: "20 60" in rows)


def test_the_agents_death_is_told_and_it_is_found_again(screen: Screen, agent: ScriptedAgent) -> None:
    agent.close()
    screen.wait_text("pact: agent: the agent closed the connection")
    screen.wait_text("agent: not connected")
    screen.child.send("echo lost\r")
    screen.wait_text("the line was not run")
    with scripted_agent(agent.path.parent) as again:
        screen.wait_text("connected again")
        screen.child.send("echo found\r")
        screen.wait(lambda rows: "found" in rows)
        assert [frame["line"] for frame in again.runs] == ["echo found"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_session(screen: Screen, agent: ScriptedAgent, number: int) -> None:
    screen.child.kill(number)
    screen.child.expect(pexpect.EOF)
    screen.child.close()
    assert screen.child.exitstatus == 128 + number
    assert agent.frames[-1]["op"] == "bye"


def test_exit_ends_the_session_with_its_status(screen: Screen) -> None:
    screen.child.send("exit 7\r")
    screen.child.expect(pexpect.EOF)
    screen.child.close()
    assert screen.child.exitstatus == 7


def test_keys_that_start_programs_elsewhere_do_nothing(screen: Screen, agent: ScriptedAgent) -> None:
    screen.child.send("echo a\x18\x05")  # ^X^E opens an editor in bash
    screen.child.send("\x1b!")  # Meta-! runs a system command in prompt-toolkit
    screen.child.send("\x1a")  # ^Z stops the shell
    screen.child.send("\x15echo still here\r")
    screen.wait(lambda rows: "still here" in rows)
    assert [frame["line"] for frame in agent.runs] == ["echo still here"]


def test_what_is_typed_at_the_first_glimpse_of_the_prompt_is_kept(program: Program, agent: ScriptedAgent) -> None:
    child = program.spawn(term="xterm-256color")
    child.expect_exact("pact:node042>")  # shown before prompt-toolkit is there
    child.send("echo early\recho la")
    shown = Screen(child)
    lines = shown.wait(lambda rows: "early" in rows and rows[-2:][0] == PROMPT + "echo la")
    assert not any("echo early" in line for line in lines[1:])
    assert [frame["line"] for frame in agent.runs] == ["echo early"]


def inheriting(program: Program, *, term: str) -> pexpect.spawn[str]:
    """The program as the agent starts it: on a connection that is already there, with nothing to connect to."""
    code = (
        "import os, socket\n"
        "sock = socket.socket(socket.AF_UNIX)\n"
        "sock.connect(os.environ.pop('PACT_AGENT_SOCKET'))\n"
        "os.set_inheritable(sock.fileno(), True)\n"
        "os.environ['PACT_SESSION_FD'] = str(sock.fileno())\n"
        f"os.execv({program.path!r}, ['pactsh'])\n"
    )
    return pexpect.spawn(
        sys.executable,
        ["-c", code],
        env=program.env | {"TERM": term},
        encoding="utf-8",
        timeout=60,
        dimensions=(24, 80),
    )


def test_a_remote_session_ends_with_its_connection(program: Program, agent: ScriptedAgent) -> None:
    shown = Screen(inheriting(program, term="xterm-256color"))
    shown.wait(at_prompt)
    shown.child.send("echo hi\r")
    shown.wait(lambda rows: "hi" in rows and at_prompt(rows))
    agent.close()
    shown.child.expect_exact("pact: agent: the agent closed the connection\r\nhint: open the session anew")
    shown.child.expect(pexpect.EOF)
    shown.child.close()
    assert shown.child.exitstatus == 5


def test_enter_sends_one_line_and_leaves_several_and_odd_ones_to_later(
    agent: ScriptedAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The agent works on a line while the prompt is still being drawn for the last time."""
    monkeypatch.setitem(posix.environ, b"PACT_AGENT_SOCKET", os.fsencode(agent.path))
    monkeypatch.delitem(posix.environ, b"PACT_SESSION_FD", raising=False)
    connection = connect()
    with create_pipe_input() as typed:
        repl = Repl(connection, open_session(connection, "interactive"), input=typed, output=DummyOutput())
        monkeypatch.setattr(repl, "_accept", lambda _buffer: True)
        for text in ("true\nfalse", "", "  ", "echo \x1b", "true"):
            assert repl._accepted(Buffer(document=Document(text)))
        while connection.receive().op != "exit":
            pass
        assert [frame["line"] for frame in agent.runs] == ["true"]
        connection.close()
        repl._accepted(Buffer(document=Document("true")))  # told where its end is awaited
        assert len(agent.runs) == 1


def test_quick_lines_each_run_once_and_in_order(screen: Screen, agent: ScriptedAgent) -> None:
    for number in range(20):
        screen.child.send(f"echo {number}.\r")
    screen.wait(lambda rows: "19." in rows and at_prompt(rows))
    assert [frame["line"] for frame in agent.runs] == [f"echo {number}." for number in range(20)]
