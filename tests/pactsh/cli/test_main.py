"""Errors, exit statuses and the way out, on the real program."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from pactsh import __version__
from tests.pactsh.cli.conftest import RunningJournal
from tests.pactsh.cli.program import PACT, clean_environment, run_pact, write_config


def test_version(tmp_path: Path) -> None:
    done = run_pact(tmp_path, "--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"pact {__version__}\n", "")
    assert run_pact(tmp_path, "log", "--version").stdout == done.stdout


def test_help_names_the_verbs_in_groups(tmp_path: Path) -> None:
    done = run_pact(tmp_path, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Configuration management:" in done.stdout
    assert "  log " in done.stdout
    assert run_pact(tmp_path).stdout == done.stdout
    assert run_pact(tmp_path, "help").stdout == done.stdout


# Each wrong command line, and what it says. All end with 1: click's 2 must not leak.
WRONG = {
    "unknown verb": (["sttaus"], "pact: sttaus: unknown verb\nhint: did you mean: pact status\n"),
    "far from any verb": (["xyzzy"], "pact: xyzzy: unknown verb\nhint: pact --help lists the verbs\n"),
    "unknown option": (["--nope", "log"], "pact: no such option '--nope'"),
    "unknown option of a verb": (["log", "--sinse", "2h"], "pact: log: no such option '--sinse'"),
    "option without value": (["log", "--scope"], "pact: log: option '--scope' requires an argument"),
    "bad scope": (["log", "--scope", "node042"], "pact: log: invalid value for '--scope': expected global, vc:NAME"),
    "bad number": (["log", "-n", "0"], "pact: log: -n: expected a whole number from 1 to 100000, got 0\n"),
    "no number": (
        ["exec", "--timeout", "abc", "n", "--", "ls"],
        "pact: exec: --timeout: expected a number of at least",
    ),
    "no finite number": (["exec", "--timeout", "nan", "n", "--", "ls"], "pact: exec: --timeout: expected a number of"),
    "no number as an argument": (["extend", "x"], "pact: extend: MINS: expected a whole number from 1 to 1440, got x"),
    "too many arguments": (["whoami", "x"], "pact: whoami: got unexpected extra argument (x)"),
    "missing argument": (
        ["completion"],
        "pact: completion: missing argument '{bash|zsh|fish}'. Choose from: bash, zsh, fish\n",
    ),
    "bad output": (["--output", "xml", "whoami"], "pact: --output: expected text or json, got 'xml'\n"),
    "bad timeout": (["whoami", "--timeout", "soon"], "pact: --timeout: expected a number of seconds above 0"),
    "bad endpoint": (["whoami", "--endpoint", "x"], "pact: --endpoint: expected host:port or unix:/path, got 'x'"),
    "bad vcluster": (["whoami", "--vcluster", "A B"], "pact: --vcluster: expected a vCluster name"),
    "no node": (["status"], "pact: status: not on a node: name a NODE or give --vcluster\n"),
    "no node for cap": (["cap"], "pact: cap: not on a node: name a NODE\n"),
    "bad since": (["log", "--since", "soon"], "pact: --since: no time: 'soon'\nhint: RFC 3339"),
    "verify with a filter": (["log", "--verify", "--type", "intent"], "pact: log: --verify checks the whole chain"),
    "help on nothing": (["help", "xyzzy"], "pact: help: xyzzy: unknown verb\n"),
    "lattice": (["cordon", "node042", "--reason", "x"], "pact: cordon: no lattice endpoint is configured\nhint: set"),
    "not built yet": (["conflicts"], "pact: conflicts: not available in this version\n"),
    "a line break": (["exec", "node042", "--", "echo", "a\nb"], "pact: exec: an argument holds a newline"),
    "no text": (["exec", "node042", "--", "echo", "\udcff"], "pact: exec: an argument is not UTF-8"),
    "two ways": (
        ["login", "--device-code", "--service-account"],
        "pact: login: --device-code and --service-account: one",
    ),
    "no secret": (["login", "--service-account"], "pact: login: --service-account needs PACT_CLIENT_ID and"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_usage_is_one_line_and_status_1(tmp_path: Path, case: str) -> None:
    args, expected = WRONG[case]
    done = run_pact(tmp_path, *args)
    assert done.stderr.startswith(expected)
    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) <= 2


@pytest.mark.parametrize(
    ("args", "env", "config"),
    [
        (["--output", "json", "cordon", "n"], {}, ""),
        (["cordon", "n"], {"PACT_OUTPUT": "json"}, ""),
        (["cordon", "n"], {}, 'output = "json"\n'),
        (["--output=text", "--output=json", "cordon", "n"], {"PACT_OUTPUT": "text"}, ""),
    ],
)
def test_errors_are_json_when_output_is(tmp_path: Path, args: list[str], env: dict[str, str], config: str) -> None:
    write_config(tmp_path, config)
    done = run_pact(tmp_path, *args, env=env)
    assert done.returncode == 1
    assert done.stdout == ""
    assert json.loads(done.stderr) == {
        "error": {
            "code": 1,
            "kind": "usage",
            "message": "cordon: no lattice endpoint is configured",
            "hint": "set PACT_LATTICE_ENDPOINT, or lattice_endpoint in cli.toml",
        }
    }


def test_output_option_behind_a_verb(tmp_path: Path) -> None:
    done = run_pact(tmp_path, "completion", "fish", "--output", "json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["shell"] == "fish"


NOT_SIGNED_IN = "pact: not signed in at localhost:9443\nhint: pact login, or set PACT_TOKEN\n"


def test_no_token_is_status_2(tmp_path: Path) -> None:
    done = run_pact(tmp_path, "log")
    assert (done.returncode, done.stderr) == (2, NOT_SIGNED_IN)


def test_a_ca_that_is_none_is_named(tmp_path: Path) -> None:
    ca = tmp_path / "ca.crt"
    env = {"PACT_TOKEN": "t", "PACT_CA": str(ca)}
    done = run_pact(tmp_path, "log", env=env)
    assert (done.returncode, done.stderr.splitlines()[0]) == (1, f"pact: ca: {ca}: No such file or directory")
    ca.write_text("x")
    done = run_pact(tmp_path, "log", env=env)
    assert (done.returncode, done.stderr) == (1, f"pact: ca: {ca}: not a PEM certificate\n")


def test_an_unreachable_journal_is_status_5(tmp_path: Path, seeded: RunningJournal) -> None:
    env = seeded.env() | {"PACT_ENDPOINT": f"unix:{tmp_path}/none", "PACT_TIMEOUT": "2"}
    done = run_pact(tmp_path, "log", env=env)
    assert done.returncode == 5
    assert done.stderr.startswith("pact: ")
    assert f"unix:{tmp_path}/none" in done.stderr


def test_an_unreachable_agent_is_status_5(tmp_path: Path) -> None:
    done = run_pact(tmp_path, "status", env={"PACT_AGENT_SOCKET": f"{tmp_path}/none"})
    assert done.returncode == 5
    assert done.stderr.startswith(f"pact: agent: {tmp_path}/none: No such file or directory\nhint: is pact-agent")


def test_a_session_descriptor_that_is_none_is_refused(tmp_path: Path) -> None:
    """Falling back to the socket could act as somebody else."""
    done = run_pact(tmp_path, "whoami", env={"PACT_SESSION_FD": "77", "PACT_AGENT_SOCKET": f"{tmp_path}/none"})
    assert done.returncode == 1
    assert done.stderr.startswith("pact: PACT_SESSION_FD: '77' is not an open socket\n")


def test_control_characters_in_errors_are_escaped(tmp_path: Path) -> None:
    done = run_pact(tmp_path, "\x1b[2J\n\x9b")
    assert done.stderr.startswith("pact: \\x1b[2J\\n\\x9b: unknown verb\n")
    assert done.returncode == 1


def test_a_reader_that_leaves_ends_us_quietly(tmp_path: Path) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    with subprocess.Popen(
        [PACT, "--help"], stdout=write_end, stderr=subprocess.PIPE, env=clean_environment(tmp_path), text=True
    ) as process:
        os.close(write_end)
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (141, "")


def test_a_full_disk_behind_our_output_is_an_error(tmp_path: Path) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [PACT, "--help"],
            stdout=full,
            stderr=subprocess.PIPE,
            env=clean_environment(tmp_path),
            text=True,
            check=False,
        )
    assert (done.returncode, done.stderr) == (1, "pact: output: No space left on device\n")


def test_ctrl_c_is_130_and_quiet(tmp_path: Path) -> None:
    """The program waits for an agent that accepts and never answers."""
    import socket

    path = str(tmp_path / "agent.sock")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen(1)
        server.settimeout(60)
        env = clean_environment(tmp_path, {"PACT_AGENT_SOCKET": path})
        with subprocess.Popen([PACT, "status"], stdout=-1, stderr=-1, env=env, text=True) as process:
            connection, _ = server.accept()
            with connection:
                connection.settimeout(60)
                assert connection.recv(4096)  # it has asked, so it is waiting now
                process.send_signal(signal.SIGINT)
                output, errors = process.communicate(timeout=60)
    assert (process.returncode, output, errors) == (130, "", "")


def test_an_unexpected_exception_is_one_line_and_verbose_shows_where(tmp_path: Path) -> None:
    """Provoked through a module that Python loads before ours."""
    broken = tmp_path / "sitecustomize.py"
    broken.write_text(
        "import pactsh.cli.completion as c\ndef fail(*_): raise RuntimeError('boom')\nc.script_for = fail\n"
    )
    env = {"PYTHONPATH": str(tmp_path)}
    done = run_pact(tmp_path, "completion", "bash", env=env)
    assert done.returncode == 1
    assert done.stderr == ("pact: internal error: RuntimeError: boom\nhint: run it again with -v for the traceback\n")
    told = run_pact(tmp_path, "completion", "bash", "-v", env=env)
    assert told.returncode == 1
    assert "Traceback" in told.stderr
