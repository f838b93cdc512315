"""The one decider: who, what, why not, and where in the line."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Literal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pactsh.catalog import load_catalog
from pactsh.catalog.loader import Catalog
from pactsh.model.identity import Identity
from pactsh.policy.decision import Decision, Input, Request, StageRequest, decide
from pactsh.policy.model import Policy
from tests.pactsh.catalog.deciding import OPS, POLICY, VIEWER, command_cases, decided, request, shipped

LINES = [case.line for case in command_cases()]


def test_an_allowed_line_says_what_runs_with_which_rights() -> None:
    decision = decided("ping -c 1 localhost", "grep ttl")
    assert (decision.verdict, decision.status, decision.class_) == ("allow", 0, "read")
    ping, grep = (stage.program for stage in decision.stages)
    assert ping is not None
    assert grep is not None
    assert ping.paths[0] == "/usr/bin/ping"
    assert (ping.grants.caps, ping.grants.net) == (("cap_net_raw",), True)
    assert (grep.grants.net, grep.grants.write, grep.grants.exec) == (False, (), ())


def test_a_change_opens_more_than_a_read() -> None:
    read, change = (decided(line).stages[0].program for line in ("sysctl vm.swappiness", "sysctl vm.swappiness=1"))
    assert read is not None
    assert change is not None
    assert read.grants.write == ()
    assert change.grants.write == ("/proc/sys",)


def test_an_empty_line_is_allowed_and_runs_nothing() -> None:
    decision = decide(Request("", (), "shell"), VIEWER, POLICY, shipped())
    assert (decision.verdict, decision.stages) == ("allow", ())


def test_the_first_refusal_refuses_the_whole_line() -> None:
    decision = decided("ls", "rm -rf /tmp/x", "sort -o x")
    assert (decision.verdict, decision.code, decision.stages) == ("refuse", "unknown-command", ())


def test_the_span_is_that_of_the_offending_word() -> None:
    stage = StageRequest(("sort", "-n", "--output=x", "f"), ((0, 4), (5, 7), (8, 18), (19, 20)))
    decision = decide(Request("sort -n --output=x f", (stage,), "shell"), OPS, POLICY, shipped())
    assert decision.span == (8, 18)
    assert decision.rule == "catalog/sort.toml:--output"


@pytest.mark.parametrize(
    ("line", "reason", "hint"),
    [
        ("rm -rf /tmp/x", "rm is not on the whitelist", "see 'help'"),
        ("dmseg", "dmseg is not on the whitelist", "did you mean 'dmesg'?"),
        ("vim x", "vim is not on the whitelist", "view it with 'less FILE'"),
        ("/bin/bash", "'/bin/bash': commands are called by name, not by path", "see 'help'"),
        ("ls --colr", "option '--colr' of ls is not on the whitelist", "did you mean '--color'?"),
        ("systemctl restat x", "subcommand 'restat' of systemctl is not on the whitelist", "did you mean 'restart'?"),
        (
            "ps auxe",
            "ps e is not allowed: it shows the environments of processes, which hold secrets",
            "write 'ps aux' or 'ps -ef'",
        ),
        (
            "uniq a b",
            "'b' is one operand too many: a second operand would be the file that uniq writes",
            "see 'help uniq'",
        ),
        ("top -b", "-b is only allowed together with -n", "see 'help top'"),
    ],
)
def test_a_refusal_says_what_why_and_what_to_do_instead(line: str, reason: str, hint: str) -> None:
    decision = decided(line)
    assert (decision.status, decision.reason, decision.hint) == (6, reason, hint)


def test_a_viewer_reads_but_does_not_change() -> None:
    assert decided("systemctl status sshd", identity=VIEWER).verdict == "allow"
    decision = decided("systemctl restart sshd", identity=VIEWER)
    assert (decision.status, decision.code, decision.rule) == (2, "role-class", "rbac:pact-viewer-ml")


@pytest.mark.parametrize("roles", [(), ("pact-ops-other",), ("nobody",), ("pact-service-ai",), ("pact-service-agent",)])
def test_without_the_right_role_nothing_runs(roles: tuple[str, ...]) -> None:
    decision = decided("true", identity=Identity("x@org", roles, "human", "uid"))
    assert (decision.verdict, decision.status, decision.code) == ("refuse", 2, "role-denied")


def test_an_assistant_may_exec_reads_where_the_policy_allows_it_but_never_open_a_shell() -> None:
    assistant = Identity("bot", ("pact-service-ai",), "service", "token")
    policy = Policy("ml", ai_exec_allowed=True)
    assert decide(request("ls", action="exec"), assistant, policy, shipped()).verdict == "allow"
    assert decide(request("kill 55", action="exec"), assistant, policy, shipped()).status == 2
    assert decide(request("ls", action="shell"), assistant, policy, shipped()).status == 2


@pytest.mark.parametrize("path", ["/etc/shadow", "shadow", "../proc/1/environ", "/dev/sda"])
def test_input_redirects_obey_the_same_rules_as_operands(path: str) -> None:
    stage = StageRequest(("cat",), ((0, 3),), inputs=(Input(path, (5, 9)),))
    decision = decide(Request("cat <...", (stage,), "shell", cwd="/etc"), OPS, POLICY, shipped())
    assert (decision.code, decision.status, decision.span) == ("secret-path", 6, (5, 9))


def test_a_relative_operand_is_judged_in_the_sessions_directory() -> None:
    assert decided("cat shadow", cwd="/etc").code == "secret-path"
    assert decided("cat shadow", cwd="/srv").verdict == "allow"
    assert decided("grep -r x", cwd="/proc").code == "secret-path"


def test_a_file_name_from_a_glob_never_becomes_an_option() -> None:
    argv = ("ls", "-l", "-a", "x")
    stage = StageRequest(argv, ((0, 2), (3, 5), (6, 7), (6, 7)), from_glob=(False, False, True, True))
    decision = decide(Request("ls -l *", (stage,), "shell"), OPS, POLICY, shipped())
    assert (decision.code, decision.span) == ("glob-option", (6, 7))


def test_a_broken_catalog_file_refuses_its_command_and_no_other(tmp_path: Path) -> None:
    (tmp_path / "ls.toml").write_text("name = 'ls'")
    catalog = load_catalog().changed((), ())
    broken = Catalog({"ls": tmp_path / "ls.toml", "true": Path(load_catalog.__code__.co_filename).parent / "true.toml"})
    assert decide(request("ls"), OPS, POLICY, broken).code == "catalog-error"
    assert decide(request("true"), OPS, POLICY, broken).verdict == "allow"
    assert decide(request("ls"), OPS, POLICY, catalog).verdict == "allow"


ADMIN = Identity("adam@org", ("pact-platform-admin",), "human", "ssh")


def bypassing(
    *lines: str,
    who: Identity = ADMIN,
    policy: Policy = POLICY,
    action: Literal["shell", "exec"] = "exec",
) -> Decision:
    return decide(request(*lines, action=action), who, policy, shipped())


def test_a_platform_admin_runs_a_command_outside_the_whitelist_and_it_shows() -> None:
    decision = bypassing("bypass fdisk -l /dev/sda")
    assert (decision.verdict, decision.code, decision.rule, decision.class_) == ("allow", "bypass", "bypass", "change")
    (stage,) = decision.stages
    assert (stage.bypass, stage.argv, stage.name, stage.dimension) == (True, ("fdisk", "-l", "/dev/sda"), "fdisk", None)
    assert stage.program is not None
    assert stage.program.paths == ("/usr/sbin/fdisk", "/usr/bin/fdisk", "/sbin/fdisk", "/bin/fdisk")
    assert not any(stage.bypass for stage in decided("ls", "grep x").stages)


@pytest.mark.parametrize("roles", [("pact-ops-ml",), ("pact-viewer-ml",), ("pact-regulated-ml", "pact-ops-ml")])
@pytest.mark.parametrize("action", ["shell", "exec"])
def test_nobody_else_does(roles: tuple[str, ...], action: Literal["shell", "exec"]) -> None:
    decision = bypassing("bypass ls", who=Identity("x@org", roles, "human", "ssh"), action=action)
    assert (decision.status, decision.code, decision.span) == (2, "role-bypass", (0, 1))


def test_a_role_of_another_vcluster_gets_no_further_than_ever() -> None:
    assert bypassing("bypass ls", who=Identity("x", ("pact-ops-other",), "human", "ssh")).code == "role-denied"


def test_a_session_stays_within_the_whitelist() -> None:
    decision = bypassing("bypass ls", action="shell")
    assert (decision.status, decision.code) == (6, "bypass-shell")
    assert decision.hint == "from outside: pact exec --bypass NODE -- COMMAND"


def test_the_policy_can_forbid_it() -> None:
    decision = bypassing("bypass ls", policy=Policy("ml", bypass_allowed=False))
    assert (decision.status, decision.code, decision.rule) == (3, "bypass-forbidden", "policy:ml")


@pytest.mark.parametrize("lines", [("bypass ls", "cat"), ("cat", "bypass sh"), ("bypass ls", "bypass ls")])
def test_it_takes_a_line_of_its_own(lines: tuple[str, ...]) -> None:
    decision = bypassing(*lines)
    assert (decision.status, decision.code) == (6, "bypass-line")


@pytest.mark.parametrize("rest", ["", "''", "/bin/ls", "./x", "../ls", "-x", "--", "'a b'", "bypass ls", "exit", "pact",
                                  "cd /", "l\u0131s", ".."])  # fmt: skip
def test_it_takes_the_bare_name_of_a_program(rest: str) -> None:
    decision = bypassing(f"bypass {rest}")
    assert (decision.status, decision.code) == (6, "bypass-name")


def test_it_takes_no_name_from_a_pattern_and_no_secret_to_read() -> None:
    stage = StageRequest(("bypass", "ls"), ((0, 6), (7, 8)), from_glob=(False, True))
    assert decide(Request("", (stage,), "exec"), ADMIN, POLICY, shipped()).code == "bypass-name"
    stage = StageRequest(("bypass", "cat"), inputs=(Input("/etc/shadow"),))
    assert decide(Request("", (stage,), "exec"), ADMIN, POLICY, shipped()).code == "secret-path"


@pytest.mark.parametrize("line", ["fdisk -l", "ls --frobnicate", "sort -o x", "ip netns exec x", "ping -i 0.001 x"])
def test_who_may_is_told_of_it_where_it_would_help(line: str) -> None:
    told = "pact exec --bypass runs it outside the whitelist, marked as such in the journal"
    assert bypassing(line).hint.endswith(told)
    forbidden = msgspec.structs.replace(POLICY, bypass_allowed=False)
    for decision in (
        bypassing(line, action="shell"),
        bypassing(line, who=OPS),
        bypassing(line, policy=forbidden),
        bypassing(line, "cat"),
    ):
        assert decision.verdict == "refuse"
        assert "bypass" not in decision.hint


def test_a_secret_is_no_case_for_it() -> None:
    for line in ("cat /etc/shadow", "/bin/ls"):
        assert "bypass" not in bypassing(line).hint


def test_it_is_no_command_of_the_shell() -> None:
    assert "bypass" not in shipped()


def test_a_refusal_says_which_stage_it_is_about() -> None:
    assert decided("ls", "rm x").refused == 1
    assert decided("ls", "kill 5", identity=VIEWER).refused is None


TEXT = st.text(max_size=20) | st.binary(max_size=10).map(lambda b: b.decode(errors="surrogateescape"))
PIECE = st.sampled_from(sorted({word for line in LINES for word in line.split()} | {"bypass"})) | TEXT
ARGV = st.lists(PIECE, max_size=8).map(tuple)


@settings(max_examples=400, deadline=None)
@given(
    st.lists(
        st.builds(
            StageRequest,
            ARGV,
            inputs=st.lists(st.builds(Input, TEXT), max_size=2).map(tuple),
            from_glob=st.just(()) | st.just((True,) * 9),
        )
    ),
    TEXT,
    st.sampled_from([OPS, VIEWER, ADMIN, Identity("", (), "", "")]),
    st.sampled_from(["shell", "exec"]),
)
def test_it_answers_whatever_it_is_asked(
    stages: list[StageRequest], cwd: str, who: Identity, action: Literal["shell", "exec"]
) -> None:
    decision = decide(Request("", tuple(stages), action, cwd), who, POLICY, shipped())
    if decision.verdict == "allow":
        assert decision.status == 0
        assert len(decision.stages) == len(stages)
    else:
        assert decision.status in (2, 3, 6)
        assert decision.reason
        assert decision.reason.isprintable()


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(shipped())), ARGV)
def test_what_runs_is_the_named_program_and_nothing_gets_lost(name: str, rest: tuple[str, ...]) -> None:
    decision = decide(Request("", (StageRequest((name, *rest)),), "shell", "/var"), OPS, POLICY, shipped())
    if decision.verdict == "allow":
        (stage,) = decision.stages
        assert stage.argv[0] == name
        assert stage.builtin == (stage.program is None)
        if shipped()[name].grammar == "words":
            assert stage.argv[1:] == rest


def test_long_lines_are_answered_in_linear_time() -> None:
    """No pattern may backtrack: 64 KiB of the worst characters within the test's patience."""
    for word in ("a" * 65536, "/" * 65536, "pid=x " * 10000 + ",zz", "1," * 30000 + "x", "a.b" * 20000, "=" * 65536):
        for name in shipped():
            for option in ("", "-o", "-p", "--sort", "-d"):
                argv = (name, option, word) if option else (name, word)
                decide(Request("", (StageRequest(argv),), "shell"), OPS, POLICY, shipped())


@pytest.mark.parametrize(
    "inputs", [("/etc/shadow", "/etc/hostname"), ("/etc/hostname", "/etc/shadow"), ("shadow", "x")]
)
def test_every_file_that_is_opened_counts_not_the_last_alone(inputs: tuple[str, ...]) -> None:
    stage = StageRequest(("cat",), ((0, 3),), tuple(Input(path) for path in inputs), cwd="/etc")
    assert decide(Request("cat <a <b", (stage,), "shell", "/"), OPS, POLICY, shipped()).code == "secret-path"


def test_a_path_is_judged_from_where_the_stage_will_stand() -> None:
    stage = StageRequest(("cat", "shadow"), ((0, 3), (4, 10)), cwd="/etc")
    for session in ("/", "/var"):
        assert decide(Request("cd /etc; cat shadow", (stage,), "shell", session), OPS, POLICY, shipped()).status == 6
    plain = StageRequest(("cat", "shadow"), ((0, 3), (4, 10)))
    assert decide(Request("cat shadow", (plain,), "shell", "/var"), OPS, POLICY, shipped()).verdict == "allow"


def repeating(*inner: str, beside: int = 0) -> Decision:
    """The decision about a `watch` of one pipeline with these stages, and `beside` more stages in its own."""
    lines = tuple(StageRequest(tuple(shlex.split(line)), ((6, 9),) * 9) for line in inner)
    watch = StageRequest(("watch", *inner), ((0, 5), *((6, 9),) * len(inner)), inner=lines)
    others = (StageRequest(("cat",), ((20, 23),)),) * beside
    return decide(Request("watch", (watch, *others), "shell"), OPS, POLICY, shipped())


def test_what_watch_repeats_is_decided_stage_by_stage_with_its_own_rights() -> None:
    decision = repeating("ping -c 1 localhost", "grep ttl")
    assert (decision.verdict, decision.class_) == ("allow", "read")
    ping, grep = decision.stages[0].inner
    assert ping.program is not None
    assert grep.program is not None
    assert (ping.program.grants.net, grep.program.grants.net) == (True, False)


@pytest.mark.parametrize(
    "inner",
    [
        "kill 1234",
        "sysctl -w vm.swappiness=1",
        "cd /",
        "exit",
        "pact emergency -r x",
        "pact commit -m x",
        "pact rollback",
        "pact service restart chrony",
    ],
)
def test_watch_repeats_nothing_that_changes_the_node_or_the_session(inner: str) -> None:
    decision = repeating("uptime", inner)
    assert (decision.verdict, decision.code, decision.span) == ("refuse", "watch-change", (6, 9))


def test_watch_repeats_what_pact_shows() -> None:
    assert repeating("pact status").verdict == "allow"


def test_watch_stands_in_no_pipeline() -> None:
    decision = repeating("uptime", beside=1)
    assert (decision.verdict, decision.code, decision.span) == ("refuse", "watch-alone", (0, 5))


@pytest.mark.parametrize("word", ["--token", "--toke=x", "--tok", "--to=x", "--t"])
def test_no_token_of_pacts_own_is_taken_from_the_line(word: str) -> None:
    decision = decided(f"pact log {word} s3cret")
    assert (decision.verdict, decision.code, decision.span) == ("refuse", "secret-argument", (2, 3))


@pytest.mark.parametrize(
    ("line", "path"),
    [
        ("cat", "/etc/pact/" + "token" * 20_000),
        ("cat", "/etc/pact/" + "a/" * 50_000 + "token"),
        ("ls", "/" + "." * 90_000),
    ],
)
def test_a_path_that_no_kernel_opens_is_refused_before_it_is_looked_at(line: str, path: str) -> None:
    """Looking for secrets in it would hold up everybody: the agent has one thread."""
    given = StageRequest((line,), ((0, 3),), inputs=(Input(path, (4, 9)),))
    for stage in (given, StageRequest((line, path), ((0, 3), (4, 9)))):
        decision = decide(Request(line, (stage,), "shell"), OPS, POLICY, shipped())
        assert (decision.verdict, decision.code, decision.span) == ("refuse", "bad-value", (4, 9))


@pytest.mark.parametrize(
    "argv",
    [
        ("ps", "-" + "f" * 5000), ("ps", "a" * 5000), ("lsof", "-" + "n" * 5000), ("ls", "-" + "l" * 5000),
        ("journalctl", "-n", "9" * 5000), ("tail", "-" + "9" * 5000), ("lsof", "-" + "c" * 5000),
    ],
)  # fmt: skip
def test_words_longer_than_any_that_mean_something_are_refused(argv: tuple[str, ...]) -> None:
    decision = decide(Request(" ".join(argv), (StageRequest(argv),), "shell"), OPS, POLICY, shipped())
    assert (decision.verdict, decision.status) == ("refuse", 6)
