"""The masked view: what it hides stays hidden, whatever becomes of the files."""

from __future__ import annotations

import asyncio
import fnmatch
import os
import signal
import socket
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path, PurePosixPath

import pytest
from pact_agent.masks import SECRETS, SecretPaths
from pact_agent.sandbox import Plan
from pact_agent.spawnclient import Job, Spawner, StageSpec

from pactsh.catalog.secrets import normalise
from tests.pact_agent.localnode import IS_ROOT
from tests.pactsh.catalog.deciding import cases

ENV = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
needs_root = pytest.mark.skipif(not IS_ROOT, reason="mount namespaces are root's: run the tests as root")
Read = Callable[..., Awaitable[tuple[int, str]]]


def with_spawner(tmp_path: Path, secrets: tuple[str, ...], use: Callable[[Read], Awaitable[None]]) -> None:
    """Let `use` run programs one after the other in the view without `secrets`."""
    scratch = tmp_path / "masks"
    scratch.mkdir()
    spawner = Spawner.launch(scratch, secrets)

    async def read(*argv: str, plan: Plan | None = None) -> tuple[int, str]:
        ours, theirs = os.pipe()
        bounds = plan if plan is not None else Plan(caps=("dac_read_search",))
        stage = StageSpec(path=argv[0], argv=argv, env=ENV, cwd="/", plan=bounds, stdio=(-2, 0, 0))
        running = await spawner.spawn(Job(stages=(stage,), fds=(theirs,)))
        os.close(theirs)
        ended = await running.wait()
        with os.fdopen(ours) as output:
            return ended.statuses[0], output.read()

    async def go() -> None:
        await spawner.start()
        try:
            await use(read)
        finally:
            spawner.close()

    try:
        asyncio.run(go())
    finally:
        os.kill(spawner.pid, signal.SIGKILL)
        os.waitpid(spawner.pid, 0)


@pytest.mark.parametrize("path", [p for p in cases("secret-paths.txt") if not p.startswith(("/dev", "/proc", "/sys"))])
def test_what_is_refused_by_name_is_masked_as_well(path: str) -> None:
    """A name can be got round: by a link, or by whatever reads a tree (`grep -r`)."""
    plain = PurePosixPath(normalise(path, "/"))
    places = [str(p) for p in (plain, *plain.parents)]
    assert any(fnmatch.fnmatchcase(place, secret) for place in places for secret in SECRETS)


def test_doors_to_all_that_root_can_do_and_to_the_kernel_are_masked() -> None:
    """Written out: no name stands for these elsewhere, and one that is lost from the list would not be missed."""
    assert set(SECRETS) >= {
        "/run/systemd/private", "/run/dbus/system_bus_socket", "/run/docker.sock", "/run/containerd/containerd.sock",
        "/run/crio/crio.sock", "/run/podman/podman.sock", "/run/libvirt/libvirt-sock", "/run/snapd.socket",
        "/run/pact", "/var/lib/pact", "/sys/kernel/debug", "/sys/kernel/tracing", "/proc/kcore", "/proc/kallsyms",
        "/proc/sysrq-trigger", "/proc/timer_list", "/proc/keys", "/proc/vmcore",
    }  # fmt: skip


@needs_root
def test_nothing_is_written_into_a_masked_directory(tmp_path: Path) -> None:
    """Not by a command that no Landlock domain binds, with root's rights either: it would be lost, or be believed."""
    directory = tmp_path / "private"
    directory.mkdir()

    async def use(read: Read) -> None:
        free = Plan(caps=("dac_override", "dac_read_search"), changing=True, confined=False)
        status, text = await read("/usr/bin/perl", "-e", f'open(F, ">", "{directory}/x") or print "$!"', plan=free)
        assert text == "Read-only file system"
        status, text = await read("/usr/bin/perl", "-e", f'open(F, ">", "{tmp_path}/x") or print "$!"', plan=free)
        assert (status, text) == (0, ""), "beside it, such a command writes"

    with_spawner(tmp_path, (str(directory),), use)


@needs_root
def test_a_secret_that_is_replaced_stays_masked(tmp_path: Path) -> None:
    """passwd(1) and friends write a new file and rename it over the old one, which takes a mask away."""
    secret = tmp_path / "etc" / "shadow"
    secret.parent.mkdir()
    secret.write_text("first")

    async def use(read: Read) -> None:
        assert (await read("/usr/bin/cat", str(secret)))[0] == 1
        for content in ("second", "third", "fourth"):
            fresh = secret.with_name("nshadow")
            fresh.write_text(content)
            fresh.rename(secret)
            status, text = await read("/usr/bin/cat", str(secret))
            assert (status, content in text) == (1, False)

    with_spawner(tmp_path, (str(secret),), use)


@needs_root
def test_a_secret_that_appears_or_comes_back_is_masked(tmp_path: Path) -> None:
    secret = tmp_path / "etc" / "key"
    secret.parent.mkdir()

    async def use(read: Read) -> None:
        for content in ("one", "two"):
            secret.write_text(content)
            status, text = await read("/usr/bin/cat", str(secret))
            assert (status, content in text) == (1, False)
            secret.unlink()
            assert "No such file" in (await read("/usr/bin/cat", str(secret)))[1]

    with_spawner(tmp_path, (str(secret),), use)


@needs_root
def test_a_masked_directory_looks_empty_and_a_masked_socket_answers_nobody(tmp_path: Path) -> None:
    directory, path = tmp_path / "private", tmp_path / "engine.sock"
    directory.mkdir()
    (directory / "inside").write_text("xyzzy")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        script = (
            f'use Socket; socket(S, PF_UNIX, SOCK_STREAM, 0); connect(S, sockaddr_un("{path}")) or die; print "done"'
        )

        async def use(read: Read) -> None:
            assert (await read("/usr/bin/ls", str(directory))) == (0, "")
            status, text = await read("/usr/bin/perl", "-e", script, plan=Plan(lookup=True))
            assert (status != 0, "done" in text) == (True, False)
            assert (await read("/usr/bin/stat", "-c", "%F", str(path))) == (0, "socket\n")

        with_spawner(tmp_path, (str(directory), str(path)), use)


def test_paths_are_found_again_when_their_directory_changes(tmp_path: Path) -> None:
    paths = SecretPaths((f"{tmp_path}/*/.ssh", f"{tmp_path}/key"))

    def mine() -> list[str]:
        return [p for p in paths.current() if p.startswith(str(tmp_path))]

    assert mine() == []
    (tmp_path / "alice").mkdir()
    (tmp_path / "alice" / ".ssh").mkdir()
    assert mine() == [f"{tmp_path}/alice/.ssh"]
    (tmp_path / "key").symlink_to(tmp_path / "real")
    (tmp_path / "real").write_text("x")
    assert mine() == [f"{tmp_path}/alice/.ssh", f"{tmp_path}/real"], "a link's target is what has to be hidden"


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_secret_is_masked_where_a_bind_mount_shows_it_too(tmp_path: Path, when: str) -> None:
    """A mask covers a place; the kernel's list of mounts tells the others."""
    (tmp_path / "safe" / "deep").mkdir(parents=True)
    (tmp_path / "safe" / "deep" / "secret").write_text("xyzzy")
    for name in ("whole", "part"):
        (tmp_path / name).mkdir()
    binds = (("safe", "whole"), ("safe/deep", "part"))
    found = SecretPaths((str(tmp_path / "safe" / "deep" / "secret"), str(tmp_path / "safe" / "*" / "nothing")))

    def bind() -> None:
        for source, target in binds:
            subprocess.run(["mount", "--bind", str(tmp_path / source), str(tmp_path / target)], check=True, timeout=20)

    try:
        if when == "before":
            bind()
            found = SecretPaths((str(tmp_path / "safe" / "deep" / "secret"),))
        else:
            assert found.current()
            bind()
        ours = [path.removeprefix(str(tmp_path)) for path in found.current() if path.startswith(str(tmp_path))]
        assert ours == ["/part/secret", "/safe/deep/secret", "/whole/deep/secret"]
    finally:
        for _, target in binds:
            subprocess.run(["umount", str(tmp_path / target)], check=False, capture_output=True, timeout=20)
    left = [path for path in found.current() if path.startswith(str(tmp_path))]
    assert left == [str(tmp_path / "safe" / "deep" / "secret")]


def test_a_link_in_a_home_hides_nothing_elsewhere(tmp_path: Path) -> None:
    """Else any user could take `/usr/bin` away from the administrators: `ln -s /usr/bin ~/.config`."""
    tools, homes = tmp_path / "tools", tmp_path / "home"
    tools.mkdir()
    for user in ("alice", "bob"):
        (homes / user).mkdir(parents=True)
    (homes / "alice" / ".config").symlink_to(tools)
    (homes / "bob" / ".config").mkdir()
    found = SecretPaths((f"{homes}/*/.config",)).current()
    assert str(homes / "bob" / ".config") in found
    assert str(tools) not in found
    assert str(homes / "alice" / ".config") not in found


@needs_root
def test_a_home_is_a_link_only_if_root_says_so(tmp_path: Path) -> None:
    tools, homes = tmp_path / "data", tmp_path / "home"
    for user in ("carol", "mallory"):
        (tools / user / ".ssh").mkdir(parents=True)
    homes.mkdir()
    for user, owner in (("carol", 0), ("mallory", 1234)):
        (homes / user).symlink_to(tools / user)
        os.lchown(homes / user, owner, owner)
    found = SecretPaths((f"{homes}/*/.ssh",)).current()
    assert str(tools / "carol" / ".ssh") in found
    assert str(tools / "mallory" / ".ssh") not in found
