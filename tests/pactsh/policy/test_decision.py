"""The one decider: who, what, why not, and where in the line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pactsh.catalog import load_catalog
from pactsh.catalog.loader import Catalog
from pactsh.model.identity import Identity
from pactsh.policy.decision import Request, StageRequest, decide
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
            "e is not allowed: it shows the environments of processes, which hold secrets",
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
    stage = StageRequest(("cat",), ((0, 3),), stdin_path=path, stdin_span=(5, 9))
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


TEXT = st.text(max_size=20) | st.binary(max_size=10).map(lambda b: b.decode(errors="surrogateescape"))
PIECE = st.sampled_from(sorted({word for line in LINES for word in line.split()})) | TEXT
ARGV = st.lists(PIECE, max_size=8).map(tuple)


@settings(max_examples=400, deadline=None)
@given(
    st.lists(st.builds(StageRequest, ARGV, stdin_path=st.none() | TEXT, from_glob=st.just(()) | st.just((True,) * 9))),
    TEXT,
    st.sampled_from([OPS, VIEWER, Identity("", (), "", "")]),
)
def test_it_answers_whatever_it_is_asked(stages: list[StageRequest], cwd: str, who: Identity) -> None:
    decision = decide(Request("", tuple(stages), "shell", cwd), who, POLICY, shipped())
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
