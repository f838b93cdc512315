"""From outside the node: `pact exec`, `pact shell` and the stock OpenSSH client, on a whole system."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from tests.e2e.outside import Outside, outside_of
from tests.pact_agent.localnode import BIN

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]
NODES = ("node042", "node043")


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    yield from outside_of(tmp_path_factory, *NODES)


def test_exec_keeps_the_streams_apart_and_passes_status_and_stdin(outside: Outside) -> None:
    done = outside.pact("exec", "node042", "--", "uname", "-n")
    assert (done.stdout, done.stderr, done.returncode) == ("node042\n", "", 0)
    failed = outside.pact("exec", "node042", "--", "ls", "/nonexistent")
    assert (failed.stdout, failed.returncode) == ("", 2)
    assert "/nonexistent" in failed.stderr
    fed = outside.pact("exec", "node042", "--", "wc", "-c", stdin="x" * 100_000)
    assert fed.stdout.strip() == "100000"
    enough = outside.pact("exec", "node042", "--", "head", "-c", "5", stdin="x" * 3_000_000)
    assert (enough.stdout, enough.stderr, enough.returncode) == ("xxxxx", "", 0)


def test_words_reach_the_node_unchanged(outside: Outside) -> None:
    words = ["a  b", "$HOME", "`id`", "*", "it's", '"', "\\", "--", "-n", "é", "a;b|c&d>e"]
    done = outside.pact("exec", "node042", "--", "printf", "[%s]", *words)
    assert done.stdout == "".join(f"[{w}]" for w in words), done.stderr


def test_output_comes_while_the_command_runs(outside: Outside) -> None:
    process = outside.start("exec", "node042", "--", "vmstat", "1", "60")
    assert process.stdout is not None
    assert "procs" in process.stdout.readline()
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130


def running_on(outside: Outside, marker: str) -> bool:
    return marker in outside.pact("exec", "node042", "--", "ps", "-eo", "args").stdout


def test_an_interrupt_stops_the_remote_command_too(outside: Outside) -> None:
    process = outside.start("exec", "node042", "--", "sleep", "4321")
    while not running_on(outside, "sleep 4321"):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130
    assert not running_on(outside, "sleep 4321")


def test_a_timeout_stops_the_remote_command_and_is_status_5(outside: Outside) -> None:
    done = outside.pact("exec", "--timeout", "1", "node042", "--", "sleep", "4322")
    assert done.returncode == 5
    assert "within 1 s" in done.stderr
    assert not running_on(outside, "sleep 4322")


def test_too_much_output_is_cut_and_said(outside: Outside) -> None:
    done = outside.pact("exec", "--max-output", "1000", "node042", "--", "seq", "10000000")
    assert len(done.stdout) == 1000
    assert "[truncated]" in done.stderr
    assert done.returncode == 1


def test_a_command_killed_by_a_signal_is_128_and_more(outside: Outside) -> None:
    process = outside.start("exec", "node042", "--", "sleep", "4323")
    while not (
        line := [
            w
            for w in outside.pact("exec", "node042", "--", "ps", "-eo", "pid,args").stdout.splitlines()
            if w.endswith("sleep 4323")
        ]
    ):
        assert process.poll() is None
    assert outside.pact("exec", "node042", "--", "kill", "-9", line[0].split()[0]).returncode == 0
    process.communicate(timeout=30)
    assert process.returncode == 137


@pytest.mark.parametrize(
    ("args", "status", "says"),
    [
        (("exec", "node042", "--", "rm", "-rf", "/x"), 6, "not on the whitelist"),
        (("exec", "node999", "--", "uname"), 1, "node999"),
        (("exec", "NODE", "--", "uname"), 1, "expected names"),
        (("exec", "node[1-", "--", "uname"), 1, "missing bracket"),
        (("exec", "@nobody", "--", "uname"), 1, "no such vCluster"),
        (("exec", "node042", "-x", "@ml-training", "--", "uname"), 1, "names no node"),
        (("exec", "node042"), 1, "CMD"),
        (("exec", "node042", "--", "echo", "a\nb"), 1, "newline"),
        (("shell", "node999"), 1, "node999"),
    ],
)
def test_what_does_not_run_says_why(outside: Outside, args: tuple[str, ...], status: int, says: str) -> None:
    done = outside.pact(*args)
    assert done.returncode == status, done.stderr
    assert says in done.stderr
    assert done.stdout == ""


def test_a_nodeset_is_folded_and_its_options_may_follow(outside: Outside) -> None:
    done = outside.pact("exec", "@ml-training", "--fold", "-x", "node09[0-9]", "--", "uname", "-s")
    rule = "-" * 15
    assert done.stdout == f"{rule}\nnode[042-043] (2)\n{rule}\nLinux\n", done.stderr
    assert done.returncode == 0
    both = outside.pact("exec", "--fold", "node*", "--output", "json", "--", "uname", "-n")
    groups = [json.loads(line) for line in both.stdout.splitlines()]
    assert {(g["nodes"], g["stdout"]) for g in groups} == {("node042", "node042\n"), ("node043", "node043\n")}


def test_who_does_not_answer_is_told_at_the_end_and_in_the_status(outside: Outside) -> None:
    done = outside.pact("exec", "node[042-043],node999", "--", "ls", "/nonexistent")
    assert done.returncode == 2
    assert "node042: ls:" in done.stderr
    last = ["pact: exec: exit status 2: node[042-043] (2)", "pact: exec: no such node: node999"]
    assert done.stderr.splitlines()[-3:] == [*last, "pact: exec: 2 of 3 nodes finished"]
    again = outside.pact("exec", "@last.failed", "-x", "node999", "--", "ls", "-d", "/etc")
    assert (again.returncode, sorted(again.stdout.splitlines())) == (0, ["node042: /etc", "node043: /etc"])
    nobody = outside.pact("exec", "@last.failed", "--", "uname")
    assert (nobody.returncode, nobody.stderr.splitlines()[0]) == (
        1,
        "pact: nodes: @last.failed: there are no such nodes",
    )


def test_other_verbs_take_nodesets_too(outside: Outside) -> None:
    cap = outside.pact("cap", "node[042-043],node999")
    header, row, warning = cap.stdout.splitlines()
    assert (header.split()[0], row.split()[:2], cap.returncode) == ("NODES", ["node[042-043]", "(2)"], 1)
    assert warning == "[WARN] node999: no such nodes"
    diff = outside.pact("diff", "@ml-training")
    assert {line.partition(": ")[0] for line in diff.stdout.splitlines()} == set(NODES), diff.stderr
    assert diff.returncode == 0
    partly = outside.pact("diff", "node[043,999]")
    assert (partly.returncode, partly.stderr) == (
        1, "[WARN] node999: no node 'node999'\npact: diff: 1 of 2 nodes answered\n",
    )  # fmt: skip
    services = outside.pact("service", "status", "--node", "node[042-043]", "--output", "json")
    assert {json.loads(line)["node"] for line in services.stdout.splitlines()} == set(NODES)


def test_an_interrupt_of_several_stops_all_and_tells_who_had_finished(outside: Outside) -> None:
    process = outside.start("exec", "--fanout", "1", "node[042-043]", "--", "sleep", "4324")
    while not running_on(outside, "sleep 4324"):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "not started: node043" in errors
    assert "0 of 2 nodes finished" in errors
    assert not running_on(outside, "sleep 4324")


def test_on_a_terminal_a_bar_shows_how_far_it_is(outside: Outside) -> None:
    env = {**outside.env, "TERM": "xterm"}
    words = ["exec", "node[042-043]", "--", "uname", "-n"]
    child = pexpect.spawn(str(BIN / "pact"), words, env=env, encoding="utf-8", timeout=60)
    child.expect(r"\[-{30}\] 0/2")
    child.expect(r"node04[23]: node04[23]\r\n")
    child.expect(r"2/2")
    child.expect(pexpect.EOF)
    assert (child.before or "").endswith("\r\x1b[K"), "nothing of it stays"


def test_without_a_token_there_is_no_access(outside: Outside) -> None:
    assert outside.pact("exec", "node042", "--", "uname", env={"PACT_TOKEN": ""}).returncode == 2


def test_a_role_elsewhere_sees_no_node_and_gets_nothing_from_its_agent(outside: Outside, tmp_path: Path) -> None:
    made = outside.pact(
        "dev", "token", "--principal", "eve@org", "--role", "pact-ops-other", "--dir", str(outside.directory)
    )
    eve = {"PACT_TOKEN": made.stdout.strip()}
    unseen = outside.pact("exec", "node042", "--", "uname", env=eve)
    assert (unseen.returncode, unseen.stdout) == (1, "")
    assert "no node" in unseen.stderr
    # She knows the address all the same, and has a certificate of the right authority.
    certificate = json.loads(outside.pact("ssh-config", "--output", "json", env=eve).stdout)["certificate"]
    config = Path(ssh_config(outside, tmp_path))
    own = str(
        next(p for p in outside.home.glob(".local/state/pact/ssh/*/id_ed25519-cert.pub") if str(p) != certificate)
    )
    text = config.read_text().replace(own.removesuffix("-cert.pub"), certificate.removesuffix("-cert.pub"))
    config.write_text(text.replace(own, certificate))
    direct = subprocess.run(
        ["ssh", "-F", str(config), "node042", "uname"], capture_output=True, text=True, env=outside.env | eve
    )
    assert (direct.returncode, direct.stdout) == (2, ""), direct.stderr
    assert "role" in direct.stderr


def test_several_nodes_get_prefixes_and_the_worst_status(outside: Outside) -> None:
    done = outside.pact("exec", "node042,node043", "--", "uname", "-n")
    assert sorted(done.stdout.splitlines()) == ["node042: node042", "node043: node043"]
    worst = outside.pact("exec", "node042,node999", "--", "uname", "-n")
    assert worst.returncode != 0
    assert worst.stdout == "node042: node042\n"


def test_json_has_the_same_facts(outside: Outside) -> None:
    done = outside.pact("exec", "--output", "json", "node042", "--", "ls", "/nonexistent")
    result = json.loads(done.stdout)
    assert (result["node"], result["status"], result["result"]) == ("node042", 2, "ran")
    assert "/nonexistent" in result["stderr"]


def test_another_machine_at_the_address_is_not_believed(outside: Outside, tmp_path: Path) -> None:
    """The cached host CA is replaced by another: the real node then is the impostor."""
    assert outside.pact("exec", "node042", "--", "true").returncode == 0
    cache = next(outside.home.glob(".local/state/pact/ssh/*/nodes.json"))
    foreign = tmp_path / "ca"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(foreign)], check=True)
    content = json.loads(cache.read_text())
    before = cache.read_bytes()
    content["host_ca"] = " ".join(foreign.with_suffix(".pub").read_text().split()[:2])
    cache.write_text(json.dumps(content))
    try:
        done = outside.pact("exec", "node042", "--", "uname")
    finally:
        cache.write_bytes(before)
    assert done.returncode == 2
    assert "host certificate" in done.stderr


def test_shell_with_a_pipe_prints_just_the_output(outside: Outside) -> None:
    done = outside.pact("shell", "node042", stdin="uname -n\ncd /var\npwd\nexit 5\n")
    assert (done.stdout, done.returncode) == ("node042\n/var\n", 5)


def test_shell_on_a_terminal(outside: Outside) -> None:
    child = pexpect.spawn(
        str(BIN / "pact"), ["shell", "node042"], env=outside.env | {"TERM": "dumb"}, encoding="utf-8", timeout=60
    )
    child.expect_exact("pact:node042> ")
    child.sendline("uname -n")
    child.expect_exact("node042\r\n")
    child.expect_exact("pact:node042> ")
    child.sendline("sleep 4324")
    while not running_on(outside, "sleep 4324"):
        assert child.isalive()
    child.sendintr()
    child.expect_exact("pact:node042> ")
    child.sendline("echo status=$?")
    child.expect_exact("status=130")
    child.expect_exact("pact:node042> ")
    child.sendline("exit 3")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 3
    ended = outside.entries("--type", "session.end")
    assert ended


def ssh_config(outside: Outside, tmp_path: Path) -> str:
    shown = outside.pact("ssh-config")
    assert shown.returncode == 0, shown.stderr
    config = tmp_path / "config"
    config.write_text(shown.stdout)
    return str(config)


def test_the_stock_client_does_both(outside: Outside, tmp_path: Path) -> None:
    config = ssh_config(outside, tmp_path)
    run = subprocess.run(
        ["ssh", "-F", config, "node042", "uname -n; ls /nonexistent"], capture_output=True, text=True, env=outside.env
    )
    assert (run.stdout, run.returncode) == ("node042\n", 2), run.stderr
    shell = subprocess.run(
        ["ssh", "-F", config, "-T", "node042"],
        input="uname -n\nexit 4\n",
        capture_output=True,
        text=True,
        env=outside.env,
    )
    assert (shell.stdout, shell.returncode) == ("node042\n", 4), shell.stderr


@pytest.mark.parametrize("what", ["scp", "sftp"])
def test_copying_is_refused_and_on_record(outside: Outside, tmp_path: Path, what: str) -> None:
    config = ssh_config(outside, tmp_path)
    if shutil.which(what) is None:
        pytest.skip(f"{what} is not installed: apt-get install openssh-client")
    args = {"scp": ["/etc/hostname", "node042:/tmp/x"], "sftp": ["node042"]}[what]
    done = subprocess.run(
        [what, "-F", config, *args], capture_output=True, text=True, stdin=subprocess.DEVNULL, env=outside.env
    )
    assert done.returncode != 0
    assert "copying files is refused" in done.stderr
    assert any("sftp" in json.dumps(e["body"]) for e in outside.entries("--type", "connection.refused"))
