from __future__ import annotations

import os

from pactsh.shell.lookups import look_up


def test_what_this_machine_has() -> None:
    assert ("lo" in dict(look_up("interface", "l"))) == os.path.exists("/sys/class/net/lo")
    assert "root" in dict(look_up("user", "ro"))
    assert str(os.getpid()) in dict(look_up("pid", str(os.getpid())))


def test_kernel_settings_one_level_at_a_time() -> None:
    assert "kernel." in dict(look_up("sysctl", "ker"))
    assert "kernel.hostname" in dict(look_up("sysctl", "kernel.host"))
    assert all(name.startswith("kernel.h") for name, _ in look_up("sysctl", "kernel.h"))


def test_the_unknown_and_the_unreadable() -> None:
    assert look_up("planet", "") == []
    assert look_up("sysctl", "no.such.") == []
