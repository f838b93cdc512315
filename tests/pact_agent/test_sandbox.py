"""What a process that misbehaves can still do once it is bound.

The misbehaving programs are bash and perl, which every Debian and RHEL has. Each attempt is
also made without the sandbox, where it must succeed: a probe that fails anyway proves nothing.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest
from pact_agent import kernel
from pact_agent.sandbox import Plan, executables
from pact_agent.spawnclient import Ended, Job, Spawner, StageSpec

from tests.pact_agent.localnode import IS_ROOT

ENV = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
pytestmark = pytest.mark.skipif(not IS_ROOT, reason="the sandbox of a root agent is tested: run the tests as root")


def run(argv: tuple[str, ...], plan: Plan, tmp_path: Path, secrets: tuple[str, ...] = ()) -> tuple[Ended, str]:
    """Run a program bound by `plan`; returns its end and its output."""

    async def go() -> tuple[Ended, str]:
        read, write = os.pipe()
        try:
            await spawner.start()
            stage = StageSpec(path=argv[0], argv=argv, env=ENV, cwd="/", plan=plan, stdio=(-2, 0, 0))
            running = await spawner.spawn(Job(stages=(stage,), fds=(write,)))
        finally:
            os.close(write)
        ended = await running.wait()
        with os.fdopen(read, "rb") as output:
            text = await asyncio.to_thread(output.read)
        spawner.close()
        return ended, text.decode(errors="replace")

    scratch = tmp_path / "masks"
    scratch.mkdir(exist_ok=True)
    spawner = Spawner.launch(scratch, secrets)
    try:
        return asyncio.run(go())
    finally:
        os.waitpid(spawner.pid, 0)


def attempt(script: str, plan: Plan, tmp_path: Path, secrets: tuple[str, ...] = ()) -> tuple[int, str]:
    """A perl script in the sandbox; first without, where it must say `done`."""
    free = subprocess.run(["/usr/bin/perl", "-e", script], capture_output=True, text=True, timeout=30)
    assert free.stdout.endswith("done"), f"without a sandbox it must work: {free.stdout} {free.stderr}"
    ended, text = run(("/usr/bin/perl", "-e", script), plan, tmp_path, secrets)
    assert not ended.errors, ended.errors
    return ended.statuses[0], text


READ = Plan(caps=("dac_read_search",))


def test_a_harmless_command_works(tmp_path: Path) -> None:
    ended, text = run(("/usr/bin/head", "-1", "/etc/passwd"), READ, tmp_path)
    assert (ended.statuses, text) == ((0,), "root:x:0:0:root:/root:/bin/bash\n")


@pytest.mark.parametrize(
    "script",
    [
        'open(F, ">", "FILE") or die "$!"; print "done"',
        'open(F, ">>", "FILE") or die "$!"; print "done"',
        'truncate("FILE", 0) or die "$!"; print "done"',
        'unlink("FILE") or die "$!"; print "done"',
        'mkdir("FILE.d") or die "$!"; print "done"',
        'symlink("/etc/passwd", "FILE.l") or die "$!"; print "done"',
        'rename("FILE", "FILE.2") or die "$!"; print "done"',
        'link("FILE", "FILE.3") or die "$!"; print "done"',
    ],
)
def test_it_cannot_write_or_change_names(tmp_path: Path, script: str) -> None:
    victim = tmp_path / "victim"
    victim.write_text("kept")

    def fresh() -> None:
        for path in tmp_path.glob("victim*"):
            path.rmdir() if path.is_dir() else path.unlink()
        victim.write_text("kept")

    text_script = script.replace("FILE", str(victim))
    free = subprocess.run(["/usr/bin/perl", "-e", text_script], capture_output=True, text=True, timeout=30)
    assert free.stdout == "done", free.stderr
    fresh()
    ended, text = run(("/usr/bin/perl", "-e", text_script), READ, tmp_path)
    assert ended.statuses[0] != 0, text
    assert "done" not in text
    assert victim.read_text() == "kept"
    assert sorted(p.name for p in tmp_path.glob("victim*")) == ["victim"]


def test_it_cannot_open_a_secret_by_any_name(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("xyzzy")
    (tmp_path / "link").symlink_to(secret)
    for name in (secret, tmp_path / "link", Path(f"/proc/self/root{secret}"), Path("/etc/shadow")):
        script = f'open(F, "<", "{name}") or die "$!"; my @l = <F>; print "done"'
        status, text = attempt(script, READ, tmp_path, (str(secret),))
        assert (status != 0, "done" in text) == (True, False), name


def test_a_secret_that_appears_later_is_masked_too(tmp_path: Path) -> None:
    directory = tmp_path / "later"
    directory.mkdir()
    (directory / "key").write_text("xyzzy")
    ended, text = run(("/usr/bin/cat", str(directory / "key")), READ, tmp_path, (str(tmp_path / "later/*"),))
    assert ended.statuses[0] == 1
    assert "xyzzy" not in text


@pytest.mark.parametrize("path", ["/dev/mem", "/dev/kmsg", "/proc/1/environ", "/proc/1/mem", "/proc/1/root/etc/shadow"])
def test_it_cannot_open_devices_or_other_processes(tmp_path: Path, path: str) -> None:
    if not os.path.exists(path):
        pytest.skip(f"this machine has no {path}: run on one that has")
    ended, text = run(("/usr/bin/perl", "-e", f'open(F, "<", "{path}") or die "$!"; print "done"'), READ, tmp_path)
    assert ended.statuses[0] != 0
    assert "done" not in text


def test_it_cannot_execute_anything_else(tmp_path: Path) -> None:
    status, text = attempt('exec("/usr/bin/printf", "done") or die "$!"', READ, tmp_path)
    assert status != 0
    assert "done" not in text


def test_the_dynamic_loader_runs_nothing_for_it(tmp_path: Path) -> None:
    loader = executables("/usr/bin/perl")[-1]
    script = f'exec("{loader}", "/usr/bin/printf", "done") or die "$!"'
    status, text = attempt(script, READ, tmp_path)
    assert status != 0
    assert "done" not in text


def test_not_even_itself_again(tmp_path: Path) -> None:
    status, text = attempt("exec('/usr/bin/perl', '-e', 'print q(done)') or die $!", READ, tmp_path)
    assert status != 0
    assert "done" not in text


@pytest.mark.skipif(shutil.which("setcap") is None, reason="needs setcap: apt-get install libcap2-bin")
def test_a_program_with_capabilities_on_its_file_runs_if_granted_them(tmp_path: Path) -> None:
    """Debian's ping is such a file; what the file grants counts for nothing without the plan."""
    program = tmp_path / "perl"
    shutil.copy("/usr/bin/perl", program)
    subprocess.run(["setcap", "cap_net_raw=ep", str(program)], check=True, timeout=30)
    script = 'open(F, "/proc/self/status"); while (<F>) { print if /^CapEff/ }'
    ended, text = run((str(program), "-e", script), Plan(caps=("net_raw",)), tmp_path)
    assert (ended.statuses, int(text.split()[1], 16)) == ((0,), 1 << 13)
    ended, text = run((str(program), "-e", script), Plan(), tmp_path)
    assert (ended.statuses[0] != 0, "Operation not permitted" in text) == (True, True)


def test_it_has_no_capability_it_was_not_granted(tmp_path: Path) -> None:
    script = 'open(F, "/proc/self/status"); while (<F>) { print if /^(Cap|NoNew|Seccomp:)/ }'
    for name, bit in (("syslog", 1 << 34), ("net_raw", 1 << 13)):
        _, text = run(("/usr/bin/perl", "-e", script), Plan(caps=(name,)), tmp_path)
        shown = dict(line.split(":\t") for line in text.splitlines())
        assert int(shown["CapEff"], 16) == int(shown["CapPrm"], 16) == bit
        assert int(shown["CapBnd"], 16) == (bit if name == "net_raw" else 0)
    assert shown["NoNewPrivs"] == "1"
    assert shown["Seccomp"] == "2"


def test_without_a_grant_it_has_none_at_all(tmp_path: Path) -> None:
    _, text = run(("/usr/bin/grep", "^Cap", "/proc/self/status"), Plan(), tmp_path)
    assert {line.split()[1] for line in text.splitlines()} == {"0" * 16}


def test_the_systems_own_ping_runs_with_the_one_it_is_granted(tmp_path: Path) -> None:
    if not os.path.exists("/usr/bin/ping"):
        pytest.skip("no ping here: apt-get install iputils-ping")
    ping = ("/usr/bin/ping", "-c", "1", "127.0.0.1")
    ended, text = run(ping, Plan(network=True, caps=("net_raw",)), tmp_path)
    assert ended.statuses == (0,), text


def test_it_cannot_signal_others(tmp_path: Path) -> None:
    victim = subprocess.Popen(["/usr/bin/sleep", "300"])
    try:
        script = f'kill(0, {victim.pid}) or die "$!"; print "done"'
        status, text = attempt(script, READ, tmp_path)
        assert (status != 0, "done" in text) == (True, False)
    finally:
        victim.send_signal(signal.SIGKILL)
        victim.wait()


@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_it_reaches_no_network(tmp_path: Path, kind: str) -> None:
    kinds = {"tcp": ("SOCK_STREAM", "getprotobyname('tcp')"), "udp": ("SOCK_DGRAM", "getprotobyname('udp')")}
    script = f"use Socket; socket(S, PF_INET, {kinds[kind][0]}, 0) or die $!; print 'done'"
    status, text = attempt(script, READ, tmp_path)
    assert (status != 0, "done" in text) == (True, False)


def test_with_the_network_it_still_cannot_listen(tmp_path: Path) -> None:
    script = (
        "use Socket; socket(S, PF_INET, SOCK_STREAM, 0) or die $!;"
        "bind(S, sockaddr_in(0, INADDR_LOOPBACK)) or die $!; listen(S, 1) or die $!; print 'done'"
    )
    status, text = attempt(script, Plan(network=True), tmp_path)
    assert (status != 0, "done" in text) == (True, False)


def test_it_reaches_no_abstract_socket(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        name = f"pact-test-{os.getpid()}"
        listener.bind("\0" + name)
        listener.listen()
        script = (
            "use Socket; socket(S, PF_UNIX, SOCK_STREAM, 0) or die;"
            f'connect(S, pack("Sa*", 1, "\\0{name}")) or die $!; print "done"'
        )
        status, text = attempt(script, Plan(lookup=True), tmp_path)
        assert (status != 0, "done" in text) == (True, False)


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("unshare", "syscall(272, 0x10000000)"),
        ("ptrace", "syscall(101, 16, getppid(), 0, 0)"),
        ("mount", "syscall(165, 0, 0, 0, 0, 0)"),
        ("open_by_handle_at", "syscall(304, -100, 0, 0)"),
        ("bpf", "syscall(321, 0, 0, 0)"),
        ("io_uring_setup", "syscall(425, 1, 0)"),
        ("userfaultfd", "syscall(323, 0)"),
        ("keyctl", "syscall(250, 0, -3, 0)"),
        ("process_vm_readv", "syscall(310, getppid(), 0, 0, 0, 0, 0)"),
    ],
)
def test_system_calls_it_has_no_use_for_are_refused(tmp_path: Path, name: str, call: str) -> None:
    if os.uname().machine != "x86_64":
        pytest.skip("the numbers are those of x86_64; run there")
    ended, text = run(("/usr/bin/perl", "-e", f"my $r = {call}; print $! + 0"), READ, tmp_path)
    assert ended.statuses == (0,)
    assert text == "1", f"{name}: expected EPERM"


@pytest.mark.parametrize(
    "script",
    [
        'chmod(04777, "FILE") or die "$!"; print "done"',
        'chown(1, 1, "FILE") or die "$!"; print "done"',
        'utime(0, 0, "FILE") or die "$!"; print "done"',
        'open(F, "<", "FILE") or die; chmod(0666, *F) or die "$!"; print "done"',
        'open(F, "<", "FILE"); $n="user.x"; $v="1"; syscall(190, fileno(F), $n, $v, 1, 0) && die "$!"; print "done"',
        'open(F, "<", "FILE") or die; fcntl(F, 1024, 1) or die "$!"; print "done"',
    ],
)
def test_it_cannot_change_modes_owners_times_attributes_or_leases(tmp_path: Path, script: str) -> None:
    """Landlock knows none of these, and the uid is that of most files' owner."""
    victim = tmp_path / "victim"
    victim.write_text("kept")
    victim.chmod(0o600)
    text_script = script.replace("FILE", str(victim))
    free = subprocess.run(["/usr/bin/perl", "-e", text_script], capture_output=True, text=True, timeout=30)
    if "not supported" in free.stderr:
        pytest.skip("the temporary directory's file system has no attributes: run with --basetemp on ext4")
    assert free.stdout == "done", free.stderr
    os.chown(victim, 0, 0)
    victim.chmod(0o600)
    os.utime(victim, (1000, 1000))
    ended, text = run(("/usr/bin/perl", "-e", text_script), READ, tmp_path)
    assert (ended.statuses[0] != 0, "done" in text) == (True, False), text
    info = victim.stat()
    assert (info.st_mode & 0o7777, info.st_uid, info.st_mtime) == (0o600, 0, 1000)


def test_it_cannot_limit_slow_down_or_pin_other_processes(tmp_path: Path) -> None:
    victim = subprocess.Popen(["/usr/bin/sleep", "300"])
    try:
        for call in (
            f'my $l = pack("QQ", 8, 8); syscall(302, {victim.pid}, 7, $l, 0)',
            f'my $m = pack("Q", 1); syscall(203, {victim.pid}, 8, $m)',
            f"syscall(141, 0, {victim.pid}, 5)",
            f"syscall(251, 1, {victim.pid}, 24576)",
        ):
            *before, last = call.split("; ")
            script = f'{"; ".join([*before, ""])}{last} >= 0 or die "$!"; print "done"'
            status, text = attempt(script, READ, tmp_path)
            assert (status != 0, "done" in text) == (True, False), call
    finally:
        victim.kill()
        victim.wait()


def test_signals_reach_itself_alone_also_where_landlock_cannot_say_so(tmp_path: Path) -> None:
    """Kernels before 6.12 scope no signals; uid 0 may signal all of root's processes without a capability."""
    victim = subprocess.Popen(["/usr/bin/sleep", "300"])
    try:
        plan = Plan(confined=False)
        script = f'kill("KILL", {victim.pid}) or die "$!"; print "done"'
        ended, text = run(("/usr/bin/perl", "-e", script), plan, tmp_path)
        assert (ended.statuses[0] != 0, "done" in text) == (True, False)
        assert victim.poll() is None
        ended, _ = run(("/usr/bin/perl", "-e", 'kill("TERM", $$); sleep 9'), plan, tmp_path)
        assert ended.statuses == (143,)
    finally:
        victim.kill()
        victim.wait()


@pytest.mark.parametrize("kind", ["SOCK_STREAM", "SOCK_DGRAM"])
def test_it_reaches_no_unix_socket(tmp_path: Path, kind: str) -> None:
    """Behind some of them (systemd, D-Bus, container engines) root can do everything."""
    with socket.socket(socket.AF_UNIX, getattr(socket, kind)) as listener:
        listener.bind(str(tmp_path / "engine.sock"))
        if kind == "SOCK_STREAM":
            listener.listen()
        address = f'sockaddr_un("{tmp_path}/engine.sock")'
        direct = f"socket(S, PF_UNIX, {kind}, 0) or die $!; connect(S, {address}) or die $!; print 'done'"
        status, text = attempt("use Socket; " + direct, READ, tmp_path)
        assert (status != 0, "done" in text) == (True, False)
        if kind == "SOCK_DGRAM":
            pair = f"socketpair(S, T, PF_UNIX, {kind}, 0) or die $!; send(S, 'x', 0, {address}) or die $!; print 'done'"
            status, text = attempt("use Socket; " + pair, READ, tmp_path)
            assert (status != 0, "done" in text) == (True, False)
        ended, text = run(("/usr/bin/perl", "-e", "use Socket; " + direct), Plan(lookup=True), tmp_path)
        assert (ended.statuses, text) == ((0,), "done")


@pytest.mark.parametrize("family", ["AF_ALG", "AF_VSOCK", "AF_KEY", "AF_BLUETOOTH", "AF_TIPC", "AF_RDS"])
def test_the_network_is_inet_and_netlink_and_nothing_odd(tmp_path: Path, family: str) -> None:
    number = getattr(socket, family, 15)
    script = f"socket(S, {number}, 5, 0) or socket(S, {number}, 2, 0) or die 0 + $!"
    ended, text = run(("/usr/bin/perl", "-e", script), Plan(network=True, caps=("net_raw",)), tmp_path)
    assert ended.statuses[0] != 0
    assert text.startswith("13 "), "refused by the filter, not for want of a module"


@pytest.mark.parametrize("call", ["syscall(29, 0, 4096, 0700)", "syscall(64, 0, 1, 0700)", "syscall(68, 0, 0700)"])
def test_it_has_no_system_v_ipc(tmp_path: Path, call: str) -> None:
    ended, text = run(("/usr/bin/perl", "-e", f"{call}; print $! + 0"), READ, tmp_path)
    assert (ended.statuses, text) == ((0,), "1")


def test_it_opens_its_own_terminal_and_nobody_elses(tmp_path: Path) -> None:
    master, slave = os.openpty()
    other_master, other = os.openpty()
    mine, theirs = os.ttyname(slave), os.ttyname(other)
    script = (
        f'open(A, "+<", "/dev/tty") or die "tty $!"; open(B, "+<", "{mine}") or die "mine $!";'
        f'open(C, "<", "{theirs}") and die "theirs"; open(D, ">", "/dev/console") and die; print STDOUT "fine"'
    )
    try:
        ended, text = _on_terminal(("/usr/bin/perl", "-e", script), slave, master, tmp_path)
        assert (ended.statuses, text) == ((0,), "fine")
    finally:
        for fd in (master, slave, other_master, other):
            os.close(fd)


def _on_terminal(argv: tuple[str, ...], slave: int, master: int, tmp_path: Path) -> tuple[Ended, str]:
    async def go() -> Ended:
        await spawner.start()
        stage = StageSpec(path=argv[0], argv=argv, env=ENV, cwd="/", plan=Plan(terminal=True), stdio=(0, 0, 0))
        running = await spawner.spawn(Job(stages=(stage,), fds=(slave,), tty=0))
        ended = await running.wait()
        spawner.close()
        return ended

    scratch = tmp_path / "masks"
    scratch.mkdir()
    spawner = Spawner.launch(scratch)
    try:
        ended = asyncio.run(go())
        return ended, os.read(master, 4096).decode()
    finally:
        os.waitpid(spawner.pid, 0)


def test_it_inherits_its_standard_descriptors_and_no_other(tmp_path: Path) -> None:
    ended, text = run(("/usr/bin/ls", "/proc/self/fd"), READ, tmp_path)
    assert ended.statuses == (0,)
    assert text.split() == ["0", "1", "2", "3"], "3 is the directory it reads"


def test_a_descriptor_for_reading_cannot_be_opened_again_for_writing(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("kept")
    script = f'open(F, "<", "{victim}") or die; open(G, ">", "/proc/self/fd/" . fileno(F)) or die "$!"; print "done"'
    free = subprocess.run(["/usr/bin/perl", "-e", script], capture_output=True, text=True, timeout=30)
    assert free.stdout == "done"
    victim.write_text("kept")
    ended, _ = run(("/usr/bin/perl", "-e", script), READ, tmp_path)
    assert ended.statuses[0] != 0
    assert victim.read_text() == "kept"


TRACE = Plan(caps=("dac_read_search", "sys_ptrace"), trace=True, uid=65534, gid=65534)
TRACE_AS_ROOT = Plan(caps=("dac_read_search", "sys_ptrace"), trace=True)  # where there is nobody else to be


@pytest.mark.parametrize("plan", [TRACE, TRACE_AS_ROOT], ids=["nobody", "root"])
def test_what_looks_into_other_processes_still_cannot_write_run_or_reach_anything(tmp_path: Path, plan: Plan) -> None:
    """No Landlock domain can see another process's files, so for `lsof` and `ss -p` the filter stands alone."""
    victim = tmp_path / "victim"
    victim.write_text("kept")
    ended, text = run(("/usr/bin/readlink", f"/proc/{os.getpid()}/exe"), plan, tmp_path)
    assert (ended.statuses[0], text.strip()) == (0, os.path.realpath(f"/proc/{os.getpid()}/exe"))
    ended, _ = run(("/usr/bin/readlink", f"/proc/{os.getpid()}/exe"), READ, tmp_path)
    assert ended.statuses[0] != 0
    for script in (
        f'open(F, ">>", "{victim}") or die "$!"; print "done"',
        f'open(F, ">>", "/proc/{os.getpid()}/root{victim}") or die "$!"; print "done"',
        f'open(F, "+<", "{victim}") or die "$!"; print "done"',
        f'truncate("{victim}", 0) or die "$!"; print "done"',
        f'mkdir("{victim}.d") or die "$!"; rmdir("{victim}.d"); print "done"',
        'exec("/bin/echo", "done") or die',
        'system("/bin/true") == 0 or die; print "done"',
        'require Socket; socket(S, Socket::AF_INET(), Socket::SOCK_DGRAM(), 0) or die "$!"; print "done"',
        "my $p = fork; if (!$p) { sleep 30; exit } kill(9, $p) == 1 or die; print 'done'",
    ):
        free = subprocess.run(["/usr/bin/perl", "-e", script], capture_output=True, text=True, timeout=30)
        assert free.stdout.strip().endswith("done"), (script, free.stderr)
        victim.write_text("kept")
        ended, text = run(("/usr/bin/perl", "-e", script), plan, tmp_path)
        assert ended.statuses[0] != 0, script
        assert "done" not in text, script
        assert victim.read_text() == "kept"


def test_opening_for_both_is_left_to_the_users_rights_where_there_are_any(tmp_path: Path) -> None:
    """lsof opens /dev/null so before anything else."""
    script = 'open(F, "+<", "/dev/null") or die "$!"; print "done"'
    assert attempt(script, TRACE, tmp_path)[1] == "done"
    assert "done" not in attempt(script, TRACE_AS_ROOT, tmp_path)[1]


def test_a_bypass_is_bound_by_nothing_but_its_limits(tmp_path: Path) -> None:
    target = tmp_path / "written"
    plan = Plan(caps=kernel.CAPABILITIES, confined=False, masked=False, free=True, changing=True, signals=True)
    script = f"cat /etc/shadow > {target} && exec /bin/chmod 600 {target}"
    ended, text = run(("/bin/sh", "-c", script), plan, tmp_path)
    assert (ended.statuses, text) == ((0,), "")
    assert target.read_bytes() == Path("/etc/shadow").read_bytes()


def test_a_device_pattern_opens_what_it_matches_and_nothing_beside_it(tmp_path: Path) -> None:
    script = 'open(F, "<", "/dev/NAME") or die "$!"; print "done"'
    plan = Plan(devices=("/dev/rando*", "/dev/pt*"), caps=("dac_read_search",))
    assert attempt(script.replace("NAME", "ptmx"), plan, tmp_path)[1] == "done"
    assert "done" not in attempt(script.replace("NAME", "ptmx"), READ, tmp_path)[1]


def test_code_from_memory_is_not_executed(tmp_path: Path) -> None:
    """memfd_create(2), then execve of its /proc name: the file system's rules do not cover it, the filter does."""
    script = (
        'my $f = syscall(319, "x", 0); open(P, "<", "/usr/bin/printf"); binmode P; local $/; my $p = <P>;'
        'open(M, ">&=", $f); binmode M; print M $p; M->flush(); exec("/proc/self/fd/$f", "done") or die "$!"'
    )
    free = subprocess.run(["/usr/bin/perl", "-MIO::Handle", "-e", script], capture_output=True, text=True)
    if free.stdout != "done":
        pytest.skip("perl cannot do it here outside the sandbox either: run where memfd_create(2) may be executed")
    ended, text = run(("/usr/bin/perl", "-MIO::Handle", "-e", script), READ, tmp_path)
    assert (ended.statuses[0] != 0, "done" in text) == (True, False)


def test_what_it_leaves_behind_is_killed(tmp_path: Path) -> None:
    """A child in a session of its own, which the group's signal does not reach."""
    script = "use POSIX; exit 0 if fork; POSIX::setsid(); exit 0 if fork; sleep 300"
    read, write = os.pipe()
    scratch = tmp_path / "masks"
    scratch.mkdir()
    spawner = Spawner.launch(scratch)

    async def go() -> None:
        await spawner.start()
        stage = StageSpec(
            path="/usr/bin/perl", argv=("perl", "-e", script), env=ENV, cwd="/", plan=READ, stdio=(-2, 0, -2)
        )
        running = await spawner.spawn(Job(stages=(stage,), fds=(write,)))
        os.close(write)
        await running.wait()
        # The daemon may detach a moment after its parent has ended; the next job's end finds it then.
        for _ in range(50):
            other = await spawner.spawn(Job(stages=(stage.__class__(**_fields(stage, "1")),), fds=()))
            await other.wait()
            if _at_end(read):
                spawner.close()
                return
        raise AssertionError("a daemon outlived its command")

    try:
        asyncio.run(go())

    finally:
        os.close(read)
        os.kill(spawner.pid, signal.SIGKILL)
        os.waitpid(spawner.pid, 0)


def _fields(stage: StageSpec, code: str) -> dict[str, Any]:
    raw = {name: getattr(stage, name) for name in stage.__struct_fields__}
    return raw | {"argv": ("perl", "-e", code), "stdio": (-2, -2, -2)}


def _at_end(fd: int) -> bool:
    os.set_blocking(fd, False)
    try:
        return os.read(fd, 1) == b""
    except BlockingIOError:
        return False


def test_the_interpreter_of_a_script_is_found() -> None:
    found = executables("/usr/bin/ldd")
    assert found[0] == "/usr/bin/ldd"
    assert found[1] in {"/bin/bash", "/usr/bin/bash"}
    assert found[2].startswith("/lib")


def test_a_view_without_masks_still_opens_no_secret(tmp_path: Path) -> None:
    """`mount` and `df` see the node's own mounts; Landlock alone keeps them from the files."""
    secret = tmp_path / "secret"
    secret.write_text("xyzzy")
    plan = Plan(read=("/usr", "/lib", "/lib64", "/bin", "/proc/self"), masked=False)
    for name in (secret, "/etc/shadow", f"/proc/self/root{secret}", f"/proc/{os.getpid()}/root{secret}"):
        script = f'open(F, "<", "{name}") or die "$!"; my @l = <F>; print "done"'
        assert "done" not in attempt(script, plan, tmp_path, (str(secret),))[1], name
    table = run(("/usr/bin/cat", "/proc/self/mountinfo"), plan, tmp_path, (str(secret),))[1]
    assert "/ / " in table
    assert "pact-masks" not in table
