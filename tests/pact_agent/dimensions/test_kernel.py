"""The kernel's settings and modules: this machine's own, and a directory that looks like them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pact_agent.dimensions import ApplyError
from pact_agent.dimensions.kernel import Kernel


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    for name, value in (("vm/swappiness", "60"), ("net/ipv4/conf/eth0.100/forwarding", "0"), ("kernel/range", "1\t2")):
        path = tmp_path / "sys" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(value + "\n")
    (tmp_path / "modules").write_text(
        "nfs 516096 2 lockd,nfsv4, Live 0x0000000000000000\nlockd 131072 0 - Live 0x0000000000000000\n"
    )
    return tmp_path / "sys"


def kernel(settings: Path) -> Kernel:
    return Kernel(str(settings), str(settings.parent / "modules"))


def test_settings_have_sysctls_names_and_modules_theirs(settings: Path) -> None:
    assert kernel(settings).snapshot() == {
        "vm.swappiness": "60",
        "net.ipv4.conf.eth0/100.forwarding": "0",
        "kernel.range": "1\t2",
        "module:nfs": "loaded",
        "module:lockd": "loaded",
    }


def test_what_only_informs_or_only_acts_is_no_setting(settings: Path) -> None:
    for name, mode in (("vm/informs", 0o444), ("vm/acts", 0o200)):
        (settings / name).write_text("1\n")
        (settings / name).chmod(mode)
    (settings / "vm/link").symlink_to("/etc/passwd")
    assert {"vm.informs", "vm.acts", "vm.link"} & kernel(settings).snapshot().keys() == set()


def test_counters_and_secrets_are_left_out(settings: Path) -> None:
    for name in ("kernel/ns_last_pid", "kernel/random/boot_id", "net/ipv4/tcp_fastopen_key", "vm/drop_caches"):
        (settings / name).parent.mkdir(parents=True, exist_ok=True)
        (settings / name).write_text("7\n")
    assert len(kernel(settings).snapshot()) == 5


def test_a_setting_is_written(settings: Path) -> None:
    for key, value in (("vm.swappiness", "1"), ("net.ipv4.conf.eth0/100.forwarding", "1")):
        kernel(settings).apply(key, value)
        assert kernel(settings).snapshot()[key] == value


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("vm.swappiness", None, "can't be taken away"),
        ("vm.nonsense", "1", "No such file"),
        ("module:nfs", None, "module nfs is in use"),
        ("module:../x", None, "is not the name of a module"),
        ("module:pact_no_such", "loaded", "pact_no_such"),
    ],
)
def test_what_cannot_be_applied_says_why(settings: Path, key: str, value: str | None, says: str) -> None:
    with pytest.raises(ApplyError, match=says):
        kernel(settings).apply(key, value)


@pytest.mark.parametrize("key", ["vm.link", "vm.//.//.outside", "//.outside", ".", ""])
def test_nothing_is_written_through_a_link_or_outside(settings: Path, key: str) -> None:
    victim = settings.parent / "outside"
    victim.write_text("kept")
    (settings / "vm/link").symlink_to(victim)
    with pytest.raises(ApplyError):
        kernel(settings).apply(key, "1")
    assert victim.read_text() == "kept"


def test_who_uses_a_module_is_told(settings: Path) -> None:
    with pytest.raises(ApplyError) as caught:
        kernel(settings).apply("module:nfs", None)
    assert [holder.command for holder in caught.value.holders] == ["lockd", "nfsv4"]


def test_this_kernels_own_settings_are_read_and_stay_as_they_are() -> None:
    first, second = Kernel().snapshot(), Kernel().snapshot()
    assert int(first["vm.swappiness"]) >= 0
    assert first["kernel.hostname"] == os.uname().nodename
    assert len(first) > 300
    assert {key for key in first.keys() & second.keys() if first[key] != second[key]} == set()
