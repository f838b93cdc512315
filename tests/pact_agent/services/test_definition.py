"""Definitions of services: what may stand in a file, and what is said of one that is wrong."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pact_agent.services.definition import Definition, Health, Limits, load_definitions, parse_definition, target_of

from pactsh.errors import UsageError

WHOLE = """
command = ["/usr/sbin/chronyd", "-d"]
description = "the clock"
user = "chrony"
environment = { TZ = "UTC" }
directory = "/var/lib/chrony"
after = ["net"]
requires = ["disk"]
enabled = false
restart = "always"
restart_delay_s = 0.5
restart_most_s = 30
burst = 3
steady_s = 20
retry_s = 600
stop_signal = "INT"
stop_timeout_s = 5
[health]
check = "http"
url = "http://127.0.0.1:8080/ready"
interval_s = 2
timeout_s = 1
retries = 2
start_s = 60
[limits]
memory_bytes = 1073741824
cpus = 1.5
processes = 64
[output]
max_bytes = 65536
files = 3
"""


def test_a_file_with_every_key() -> None:
    made = parse_definition(WHOLE, Path("/x.toml"))
    assert made.command == ("/usr/sbin/chronyd", "-d")
    assert made.health == Health("http", "", "http://127.0.0.1:8080/ready", 2, 1, 2, 60)
    assert (made.limits, made.enabled, made.restart) == (Limits(1 << 30, 1.5, 64), False, "always")
    assert made.digest != Definition(("/usr/sbin/chronyd", "-d")).digest


def test_one_key_is_enough() -> None:
    made = parse_definition('command = ["/bin/x"]', Path("/x.toml"))
    assert (made.restart, made.enabled, made.user, made.health) == ("on-failure", True, "root", None)


OK = 'command = ["/bin/x"]\n'
BAD: list[tuple[str, str]] = [
    ("", "(top level): Object missing required field `command`"),
    ("command = [", "not valid TOML: "),
    ("command = []", "command: Expected `array` of length "),
    ('command = "/bin/x"', "command: Expected `array`, got `str`"),
    ('command = ["x"]', "command: 'x' is no absolute path"),
    ('command = ["/bin/x", "a\\u0000b"]', "command: a NUL character"),
    (OK + 'restrat = "always"', "restrat: unknown key"),
    (OK + 'restart = "sometimes"', "restart: Invalid enum value 'sometimes'"),
    (OK + "stop_timeout_s = 0", "stop_timeout_s: Expected `float` > 0.0"),
    (OK + "burst = 0", "burst: Expected `int` >= 1"),
    (OK + 'stop_signal = "TREM"', "stop_signal: 'TREM' is no signal"),
    (OK + 'directory = "srv"', "directory: no absolute path"),
    (OK + 'environment = { "A=B" = "x" }', "environment: 'A=B' is no name of a variable"),
    (OK + "environment = { A = 1 }", "environment[...]: Expected `str`, got `int`"),
    (OK + 'after = ["../x"]', "after: '../x' is not the name of a service"),
    (OK + 'requires = "x"', "requires: Expected `array`, got `str`"),
    (OK + '[health]\ncheck = "ping"', "health.check: Invalid enum value 'ping'"),
    (OK + '[health]\ncheck = "tcp"', "health: check tcp needs address"),
    (OK + '[health]\ncheck = "tcp"\naddress = "localhost"', "health: address: expected HOST:PORT"),
    (OK + '[health]\ncheck = "tcp"\naddress = "a:70000"', "health: address: expected HOST:PORT"),
    (OK + '[health]\ncheck = "http"\nurl = "https://a/"', "health: url: expected http://HOST[:PORT][/PATH]"),
    (OK + '[health]\ncheck = "http"\nurl = "http://a/ b"', "health: url: expected http://HOST[:PORT][/PATH]"),
    (OK + '[health]\naddress = "a:1"', "health: check process takes no address"),
    (OK + "[limits]\nmemory = 5", "limits.memory: unknown key"),
    (OK + "[limits]\nmemory_bytes = 5", "limits.memory_bytes: Expected `int` >= 1048576"),
    (OK + "[output]\nfiles = 0", "output.files: Expected `int` >= 1"),
]


@pytest.mark.parametrize(("text", "says"), BAD)
def test_what_is_wrong_is_told_with_file_and_key(text: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_definition(text, Path("/etc/pact/services/x.toml"))
    assert caught.value.message.startswith(f"/etc/pact/services/x.toml: {says}")


def test_a_bad_file_is_a_problem_of_that_service_alone(tmp_path: Path) -> None:
    (tmp_path / "good.toml").write_text(OK)
    (tmp_path / "bad.toml").write_text(OK + "x = 1")
    (tmp_path / "alone.toml").write_text(OK + 'requires = ["bad", "good"]')
    (tmp_path / "-odd.toml").write_text(OK)
    (tmp_path / "big.toml").write_text(OK + "#" * 70_000)
    (tmp_path / "bytes.toml").write_bytes(b"# \xff")
    (tmp_path / "pipe.toml").mkdir()
    (tmp_path / "notes.txt").write_text("no definition")
    (tmp_path / ".hidden.toml").write_text("no definition")
    found = load_definitions(tmp_path)
    assert [*found.known] == ["good"]
    assert {name: why.removeprefix(f"{tmp_path}/") for name, why in found.problems.items()} == {
        "bad": "bad.toml: x: unknown key",
        "alone": "alone.toml: requires: there is no service bad that can be started here",
        "-odd": "-odd.toml: not the name of a service: letters, digits and any of _.@- after the first",
        "big": "big.toml: over 65536 bytes",
        "bytes": "bytes.toml: not UTF-8",
        "pipe": "pipe.toml: not a file",
    }


def test_a_directory_that_is_not_there_has_none(tmp_path: Path) -> None:
    assert load_definitions(tmp_path / "none").known == {}


@pytest.mark.parametrize("mode", [0o664, 0o646, 0o666])
def test_what_others_may_write_is_not_run_as_root(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "x.toml"
    path.write_text(OK)
    path.chmod(mode)
    assert "others than its owner" in load_definitions(tmp_path).problems["x"]


def test_a_directory_that_others_may_write_has_none(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text(OK)
    tmp_path.chmod(0o777)
    found = load_definitions(tmp_path)
    assert found.known == {}
    assert [why.partition(": ")[2] for why in found.problems.values()] == [
        "others than its owner, root, may write it, so it is not followed"
    ]


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a file away")
def test_what_belongs_to_somebody_else_is_not_run_as_root(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text(OK)
    os.chown(path, 65534, 65534)
    assert "others than its owner" in load_definitions(tmp_path).problems["x"]


@pytest.mark.parametrize(
    ("health", "target"),
    [
        (Health("tcp", address="127.0.0.1:22"), ("127.0.0.1", 22, "")),
        (Health("tcp", address="[::1]:22"), ("::1", 22, "")),
        (Health("http", url="http://a"), ("a", 80, "/")),
        (Health("http", url="http://[::1]/x"), ("::1", 80, "/x")),
        (Health("http", url="http://[::1]:8/x"), ("::1", 8, "/x")),
        (Health("tcp", address="a:0"), None),
        (Health("tcp", address="a:65536"), None),
    ],
)
def test_where_a_check_goes(health: Health, target: tuple[str, int, str] | None) -> None:
    assert target_of(health) == target
