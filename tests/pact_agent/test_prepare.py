"""From a parsed line to what is judged: words expanded, `cd` followed, each pipeline in its directory."""

from __future__ import annotations

from pathlib import Path

import pytest
from pact_agent.prepare import cd_target, needs_file_system, prepare_line, variables

from pactsh.language import LineError, parse

VALUES = variables("alice@org", "host7", "node042", "ml-training", 3)


def argvs(line: str, cwd: str = "/", secrets: tuple[str, ...] = ()) -> list[list[tuple[str, ...]]]:
    return [[s.argv for s in item.stages] for item in prepare_line(parse(line), VALUES, cwd, secrets)]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("ls -l | wc -l", [[("ls", "-l"), ("wc", "-l")]]),
        ("echo $? $USER $HOSTNAME", [[("echo", "3", "alice@org", "host7")]]),
        ("echo $PACT_NODE $PACT_VCLUSTER $HOME", [[("echo", "node042", "ml-training", "/")]]),
        ("echo '$USER' \"$USER x\"", [[("echo", "$USER", "alice@org x")]]),
        ("", []),
    ],
)
def test_words_are_expanded(line: str, expected: list[list[tuple[str, ...]]]) -> None:
    assert argvs(line) == expected


def test_variables_are_these_and_no_others() -> None:
    with pytest.raises(LineError):
        argvs("echo $PATH")


def test_cd_is_followed_for_the_globs_behind_it(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    for name in ("one.log", "two.log"):
        (tmp_path / "a" / name).touch()
    assert argvs("ls *.log", str(tmp_path / "a")) == [[("ls", "one.log", "two.log")]]
    assert argvs("cd a; ls *.log", str(tmp_path))[1] == [("ls", "one.log", "two.log")]
    assert argvs(f"cd {tmp_path}/a && cd .. ; ls a/o*", "/")[2] == [("ls", "a/one.log")]
    # What `cd` in a pipeline does ends with it.
    assert argvs("cd a | cat; ls *.log", str(tmp_path))[1] == [("ls", "*.log")]
    # A directory that isn't there can't be stood in.
    assert argvs("cd b; ls a/*.log", str(tmp_path))[1] == [("ls", "a/one.log", "a/two.log")]


def test_each_pipeline_says_where_it_will_stand(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    prepared = prepare_line(parse("pwd; cd a && pwd || pwd"), VALUES, str(tmp_path), ())
    assert [(item.op, item.cwd) for item in prepared] == [
        ("", str(tmp_path)),
        (";", str(tmp_path)),
        ("&&", str(tmp_path / "a")),
        ("||", str(tmp_path / "a")),
    ]


def test_a_secret_directory_is_not_entered_and_not_listed(tmp_path: Path) -> None:
    secret = tmp_path / "keys"
    secret.mkdir()
    (secret / "key.pem").touch()
    (tmp_path / "way").symlink_to(secret)
    for line in ("ls keys/*", "ls way/*", "ls ./keys/../keys/*"):
        (stage,) = argvs(line, str(tmp_path), (str(secret),))[0]
        assert "key.pem" not in " ".join(stage)
    assert argvs("cd keys; ls *", str(tmp_path), (str(secret),))[1] == [("ls", "keys", "way")]


@pytest.mark.parametrize(
    ("line", "steps", "stdin"),
    [
        ("cat", (), None),
        ("cat < /etc/passwd", (("open", 0, "/etc/passwd"),), "/etc/passwd"),
        ("ls 2>&1", (("dup", 2, 1),), None),
        ("ls > /dev/null", (("null", 1),), None),
        ("ls 2>/dev/null", (("null", 2),), None),
        ("ls >/dev/null 2>&1", (("null", 1), ("dup", 2, 1)), None),
        ("ls 2>&1 >/dev/null", (("dup", 2, 1), ("null", 1)), None),
    ],
)
def test_redirects_keep_their_order(line: str, steps: tuple[object, ...], stdin: str | None) -> None:
    ((stage,),) = (item.stages for item in prepare_line(parse(line), VALUES, "/", ()))
    assert (stage.redirects, [given.path for given in stage.inputs]) == (steps, [stdin] if stdin else [])


def test_every_file_that_a_redirect_opens_is_judged_and_where_it_stands() -> None:
    line = "cd /usr && cat <a <b"
    (_, item) = prepare_line(parse(line), VALUES, "/", ())
    request = item.stages[0].request(1)
    assert [(given.path, given.span) for given in request.inputs] == [("a", (16, 17)), ("b", (19, 20))]
    assert request.cwd == "/usr"


def test_the_decider_learns_where_words_stand_and_what_came_from_a_glob(tmp_path: Path) -> None:
    (tmp_path / "-rf").touch()
    ((stage,),) = (item.stages for item in prepare_line(parse("ls -l *"), VALUES, str(tmp_path), ()))
    request = stage.request(4)
    assert request.argv == ("ls", "-l", "-rf")
    assert request.spans == ((0, 2), (3, 5), (6, 7))
    assert request.from_glob == (False, False, True)
    assert request.pipeline == 4


@pytest.mark.parametrize(
    ("line", "needed"),
    [
        ("ls /tmp", False),
        ("ls *", True),
        ("ls '*'", False),
        ("uptime; cd /var", True),
        ("'c'd /x", True),
        ("ls | grep [ab]", True),
        ("echo cd", False),
        ("", False),
    ],
)
def test_what_may_hang_on_a_dead_mount_is_known_before(line: str, needed: bool) -> None:
    assert needs_file_system(parse(line)) is needed


@pytest.mark.parametrize(
    ("argv", "cwd", "expected"),
    [
        (("cd",), "/var", "/"),
        (("cd", "log"), "/var", "/var/log"),
        (("cd", ".."), "/var/log", "/var"),
        (("cd", "../../../.."), "/var/log", "/"),
        (("cd", "//etc//x/.."), "/", "/etc"),
        (("cd", "-"), "/var", "/before"),
        (("cd", "--", "-x"), "/", "/-x"),
        (("cd", ""), "/var", "/var"),
        (("cd", "a", "b"), "/", None),
    ],
)
def test_where_cd_leads(argv: tuple[str, ...], cwd: str, expected: str | None) -> None:
    assert cd_target(argv, cwd, "/before") == expected
