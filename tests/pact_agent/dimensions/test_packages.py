"""Packages as dpkg and rpm record them: real databases of real, tiny packages, below a directory of the test's own."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from pact_agent.dimensions import ApplyError
from pact_agent.dimensions.packages import Packages, parse_status

from pactsh.errors import PactError
from tests.pact_agent.localnode import IS_ROOT

as_root = pytest.mark.skipif(not IS_ROOT, reason="installing is root's: run the tests as root")
with_dpkg = pytest.mark.skipif(not shutil.which("dpkg-deb"), reason="needs dpkg-deb of the package dpkg")
with_rpm = pytest.mark.skipif(not shutil.which("rpmbuild"), reason="needs rpmbuild of Debian's package rpm")


def run(*words: str | Path, home: Path | None = None) -> None:
    environment = os.environ | ({"HOME": str(home)} if home is not None else {})
    subprocess.run([str(word) for word in words], check=True, capture_output=True, timeout=60, env=environment)


def own_architecture() -> str:
    return subprocess.run(["dpkg", "--print-architecture"], check=True, capture_output=True, text=True).stdout.strip()


def deb(place: Path, name: str, version: str, architecture: str = "all", script: str = "") -> Path:
    tree = place / f"{name}-{version}-{architecture}"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN/control").write_text(
        f"Package: {name}\nVersion: {version}\nArchitecture: {architecture}\n"
        + ("Multi-Arch: same\n" if architecture != "all" else "")
        + "Maintainer: nobody <nobody@example.org>\nDescription: nothing\n"
    )
    if script:
        (tree / "DEBIAN/postinst").write_text(script)
        (tree / "DEBIAN/postinst").chmod(0o755)
    run("dpkg-deb", "--build", tree, f"{tree}.deb")
    return Path(f"{tree}.deb")


def dpkg(root: Path, *words: str | Path) -> None:
    run("dpkg", f"--root={root}", "--force-script-chrootless", f"--log={root}/log", *words)


@pytest.fixture
def debian(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    for name in ("info", "updates", "triggers"):
        (root / "var/lib/dpkg" / name).mkdir(parents=True)
    (root / "var/lib/dpkg/status").touch()
    return root


def rpm_file(place: Path, name: str, version: str, epoch: str = "") -> Path:
    top = place / f"{name}-{version}"
    top.mkdir()
    (top / "a.spec").write_text(
        f"Name: {name}\nVersion: {version}\nRelease: 1\nSummary: nothing\nLicense: none\nBuildArch: noarch\n"
        + (f"Epoch: {epoch}\n" if epoch else "")
        + "%description\nnothing\n%files\n"
    )
    run("rpmbuild", "--define", f"_topdir {top}", "-bb", top / "a.spec", home=top)  # Debian's rpm has a database there
    return next(top.rglob("*.noarch.rpm"))


def rpm(root: Path, *words: str | Path) -> None:
    root.mkdir(exist_ok=True)
    run("rpm", "--root", root, "--dbpath", "/var/lib/rpm", "--nodeps", *words)


def seen_when(root: Path, change: Callable[[], None]) -> dict[str, str]:
    """What is found after a change, once woken for it. Looking must not wake again."""

    async def go() -> dict[str, str]:
        dimension, woken = Packages(str(root)), asyncio.Event()
        end = dimension.watch(woken.set)
        try:
            before = dimension.snapshot()
            await asyncio.to_thread(change)
            found = before
            async with asyncio.timeout(10):
                while found == before:
                    await woken.wait()
                    woken.clear()
                    found = await asyncio.to_thread(dimension.snapshot)
            for _ in range(3):  # rounds of the loop, in which the rest of what the change has caused is told
                await asyncio.sleep(0)
            woken.clear()
            await asyncio.to_thread(Packages(str(root)).snapshot)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await woken.wait()
            return found
        finally:
            end()

    return asyncio.run(go())


def test_without_any_database_there_is_nothing(tmp_path: Path) -> None:
    assert Packages(str(tmp_path)).snapshot() == {}
    assert list(tmp_path.iterdir()) == []

    async def go() -> None:
        Packages(str(tmp_path)).watch(lambda: None)()

    asyncio.run(go())


@as_root
@with_dpkg
def test_what_dpkg_does_is_seen(debian: Path, tmp_path: Path) -> None:
    first, second = deb(tmp_path, "pact-test", "1.0-1"), deb(tmp_path, "pact-test", "1:1.1~rc1-2")
    assert seen_when(debian, lambda: dpkg(debian, "-i", first)) == {"pact-test": "1.0-1"}
    assert seen_when(debian, lambda: dpkg(debian, "-i", second)) == {"pact-test": "1:1.1~rc1-2"}
    assert seen_when(debian, lambda: dpkg(debian, "-r", "pact-test")) == {}


@as_root
@with_dpkg
def test_states_that_are_not_plainly_installed_are_told(debian: Path, tmp_path: Path) -> None:
    dpkg(debian, "-i", deb(tmp_path, "held", "1"))
    subprocess.run(["dpkg", f"--root={debian}", "--set-selections"], input=b"held hold\n", check=True)
    dpkg(debian, "--unpack", deb(tmp_path, "loose", "2"))
    with pytest.raises(subprocess.CalledProcessError):
        dpkg(debian, "-i", deb(tmp_path, "broken", "3", script="#!/bin/sh\nexit 1\n"))
    expected = {"held": "1 hold", "loose": "2 unpacked", "broken": "3 half-configured"}
    assert Packages(str(debian)).snapshot() == expected


@as_root
@with_dpkg
def test_a_foreign_architecture_has_its_own_key(debian: Path, tmp_path: Path) -> None:
    """The other one's key stays what it was."""
    own = own_architecture()
    foreign = "i386" if own != "i386" else "amd64"
    dpkg(debian, "-i", deb(tmp_path, "dpkg", "1.21", own))
    dpkg(debian, "-i", deb(tmp_path, "lib", "1", own))
    before = Packages(str(debian)).snapshot()
    assert before == {"dpkg": "1.21", "lib": "1"}
    dpkg(debian, "--force-architecture", "-i", deb(tmp_path, "lib", "1", foreign))
    assert Packages(str(debian)).snapshot() == before | {f"lib:{foreign}": "1"}


@with_dpkg
def test_this_machine_is_read_as_dpkg_query_reads_it() -> None:
    answer = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Package} ${Version} ${db:Status-Status}\n"],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    expected = sorted(line.rpartition(" ")[0] for line in answer.splitlines() if line.endswith(" installed"))
    if not expected:
        pytest.skip("this machine has no packages of dpkg")
    found = Packages().snapshot()
    assert sorted(f"{k.partition(':')[0]} {v.removesuffix(' hold')}" for k, v in found.items()) == expected


def test_many_packages_are_read_fast() -> None:
    stanza = (
        "Package: name{0}\nStatus: install ok installed\nPriority: optional\nSection: libs\nArchitecture: amd64\n"
        "Version: {0}.1-2\nDepends: {1}\nDescription: one of many\n{2}\n"
    )
    text = "\n".join(
        stanza.format(n, "libc6 (>= 2.36), " * 10, " a line of what it is for\n" * 15) for n in range(1500)
    )
    best = min(_timed(text) for _ in range(5))
    assert best < 0.03


def _timed(text: str) -> float:
    start = time.perf_counter()
    assert len(list(parse_status(text))) == 1500
    return time.perf_counter() - start


def test_what_cannot_be_read_is_an_error_and_not_an_empty_machine(debian: Path) -> None:
    (debian / "var/lib/dpkg/status").unlink()
    (debian / "var/lib/dpkg/status").mkdir()
    with pytest.raises(PactError, match="status: Is a directory"):
        Packages(str(debian)).snapshot()


@as_root
@with_rpm
def test_what_rpm_does_is_seen(tmp_path: Path) -> None:
    root = tmp_path / "root"
    rpm(root, "-i", rpm_file(tmp_path, "other", "5"))
    first, second = rpm_file(tmp_path, "pact-test", "1.0"), rpm_file(tmp_path, "pact-test", "1.1", epoch="2")
    other = {"other": "5-1"}
    assert seen_when(root, lambda: rpm(root, "-i", first)) == other | {"pact-test": "1.0-1"}
    assert seen_when(root, lambda: rpm(root, "-U", second)) == other | {"pact-test": "2:1.1-1"}
    assert seen_when(root, lambda: rpm(root, "-e", "pact-test")) == other


@as_root
@with_rpm
def test_several_versions_at_once_have_a_key_each(tmp_path: Path) -> None:
    root = tmp_path / "root"
    rpm(root, "-i", rpm_file(tmp_path, "kernel-core", "5.1"))
    one = {"kernel-core-5.1-1.noarch": "5.1-1"}
    assert Packages(str(root)).snapshot() == one
    rpm(root, "-i", rpm_file(tmp_path, "kernel-core", "5.2"))
    rpm(root, "-i", rpm_file(tmp_path, "twice", "1"), rpm_file(tmp_path, "twice", "2"))
    assert Packages(str(root)).snapshot() == one | {
        "kernel-core-5.2-1.noarch": "5.2-1",
        "twice-1-1.noarch": "1-1",
        "twice-2-1.noarch": "2-1",
    }


@as_root
@with_dpkg
@with_rpm
def test_of_two_databases_the_one_beside_is_marked(debian: Path, tmp_path: Path) -> None:
    rpm(debian, "-i", rpm_file(tmp_path, "r", "1"))
    assert Packages(str(debian)).snapshot() == {"r": "1-1"}
    dpkg(debian, "-i", deb(tmp_path, "d", "1"))
    assert Packages(str(debian)).snapshot() == {"r": "1-1", "deb:d": "1"}
    dpkg(debian, "-i", deb(tmp_path, "dpkg", "1.21"))
    dimension = Packages(str(debian))
    assert dimension.snapshot() == {"rpm:r": "1-1", "d": "1", "dpkg": "1.21"}
    with pytest.raises(ApplyError, match="dnf install r-2-1"):
        dimension.apply("rpm:r", "2-1")


@as_root
@with_rpm
def test_a_broken_rpm_database_is_an_error(tmp_path: Path) -> None:
    root = tmp_path / "root"
    rpm(root, "-i", rpm_file(tmp_path, "r", "1"))
    for path in (root / "var/lib/rpm").glob("rpmdb.sqlite*"):
        path.write_bytes(b"not a database" * 400)
    with pytest.raises(PactError, match="packages: "):
        Packages(str(root)).snapshot()


def test_an_rpm_that_does_not_answer_is_an_error(tmp_path: Path) -> None:
    program = tmp_path / "rpm"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o755)
    (tmp_path / "var/lib/rpm").mkdir(parents=True)
    (tmp_path / "var/lib/rpm/rpmdb.sqlite").touch()
    with pytest.raises(PactError, match=r"packages: rpm: .* timed out"):
        Packages(str(tmp_path), programs=(str(program),), timeout_s=0.2).snapshot()


def apply(root: Path, key: str, value: str | None) -> str:
    with pytest.raises(ApplyError) as caught:
        Packages(str(root)).apply(key, value)
    said = f"{key}: packages are not changed by pact; by hand: "
    assert str(caught.value).startswith(said)
    return str(caught.value).removeprefix(said)


STATUS = "Package: {}\nStatus: {} ok {}\nArchitecture: amd64\nVersion: {}\n"


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("there", None, "apt-get remove there"),
        ("there", "2", "apt-get install --allow-downgrades there=2"),
        ("lib:i386", "2", "apt-get install --allow-downgrades lib:i386=2"),
        ("gone", "1:2~3", "apt-get install --allow-downgrades 'gone=1:2~3'"),
        ("gone", "2 hold", "apt-get install --allow-downgrades gone=2 && apt-mark hold gone"),
        ("gone", "*", "apt-get install --allow-downgrades gone"),
        ("there", "1 hold", "apt-mark hold there"),
        ("held", "1", "apt-mark unhold held"),
        ("half", "1", "dpkg --configure -a"),
        ("rpm:r", "1-1", "dnf install r-1-1"),
        ("a; b", None, "apt-get remove 'a; b'"),
    ],
)
def test_what_to_do_with_a_debian_package_is_said(debian: Path, key: str, value: str | None, says: str) -> None:
    stanzas = (
        STATUS.format("there", "install", "installed", "1"),
        STATUS.format("held", "hold", "installed", "1"),
        STATUS.format("half", "install", "half-configured", "1"),
    )
    (debian / "var/lib/dpkg/status").write_text("\n".join(stanzas))
    assert apply(debian, key, value) == says


@as_root
@with_rpm
@pytest.mark.parametrize(
    ("key", "value", "dnf", "zypper"),
    [
        ("r", None, "dnf remove r", "zypper remove r"),
        ("r", "2-1.el9", "dnf install r-2-1.el9", "zypper install --oldpackage r=2-1.el9"),
        ("glibc.i686", "2.34-1", "dnf install glibc-2.34-1.i686", "zypper install --oldpackage glibc.i686=2.34-1"),
        ("kernel-5.1-1.x86_64", "5.1-1", "dnf install kernel-5.1-1.x86_64", "zypper install kernel-5.1-1.x86_64"),
        ("r", "*", "dnf install r", "zypper install r"),
        ("gpg-pubkey-1-2", None, "rpm -e gpg-pubkey-1-2", "rpm -e gpg-pubkey-1-2"),
    ],
)
def test_what_to_do_with_an_rpm_is_said(tmp_path: Path, key: str, value: str | None, dnf: str, zypper: str) -> None:
    root = tmp_path / "root"
    rpm(root, "-i", rpm_file(tmp_path, "r", "1"))
    assert apply(root, key, value) == dnf
    (root / "usr/bin").mkdir(parents=True)
    (root / "usr/bin/zypper").touch()
    assert apply(root, key, value) == zypper
