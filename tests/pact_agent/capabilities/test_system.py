"""The machine and what it runs; its kernel's command line without secrets."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pact_agent.capabilities.system import system, without_secrets

from pactsh.model.capability import System
from tests.pact_agent.capabilities.tree import lay


def test_all_of_it(tmp_path: Path) -> None:
    lay(
        tmp_path,
        {
            "proc/stat": "cpu  1 2 3\nbtime 1769860800\nprocesses 7\n",
            "proc/cmdline": "BOOT_IMAGE=/vmlinuz root=/dev/sda1 ro quiet\n",
            "proc/sys/kernel/osrelease": "5.14.0-503.el9.x86_64\n",
            "etc/os-release": '#\nPRETTY_NAME="Rocky Linux 9.5"\nID="rocky"\nVERSION_ID="9.5"\n',
            "sys/class/dmi/id/sys_vendor": "HPE\n",
            "sys/class/dmi/id/product_name": "HPE Cray EX425\n",
            "sys/class/dmi/id/bios_version": "1.7.2\n",
        },
    )
    assert system(tmp_path) == System(
        kernel="5.14.0-503.el9.x86_64",
        command_line="BOOT_IMAGE=/vmlinuz root=/dev/sda1 ro quiet",
        boot_time="2026-01-31T12:00:00.000000Z",
        os="Rocky Linux 9.5",
        os_id="rocky",
        os_version="9.5",
        vendor="HPE",
        product="HPE Cray EX425",
        firmware="1.7.2",
    )


def test_what_is_missing_or_damaged_is_not_known(tmp_path: Path) -> None:
    assert system(tmp_path) == System(None, None, None, None, None, None)
    lay(tmp_path, {"proc/stat": "btime soon\n", "usr/lib/os-release": 'ID=debian\nPRETTY_NAME="no end\nrubbish\n'})
    found = system(tmp_path)
    assert (found.boot_time, found.os, found.os_id) == (None, None, "debian")


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("root=UUID=1f-2 rd.luks.uuid=3 ro", None),
        ("rd.iscsi.password=hunter2 ro", "rd.iscsi.password=[not shown] ro"),
        ('iscsi_in_passwd="hunter 2" ro', "iscsi_in_passwd=[not shown] ro"),
        ('"node.secret=hunter 2" ro', "node.secret=[not shown] ro"),
        ("SPIRE_TOKEN=hunter2", "SPIRE_TOKEN=[not shown]"),
        ("systemd.set_credential=root:hunter2", "systemd.set_credential=[not shown]"),
        ("rd.luks.key=/hunter2", "rd.luks.key=[not shown]"),
        ("vconsole.keymap=de", None),
        ("metal.server=https://joe:hunter2@boot/x", "metal.server=https://[not shown]@boot/x"),
        ("root=live:https://s3/rootfs?X-Sig=hunter2&E=1 ro", "root=live:https://s3/rootfs?[not shown] ro"),
        ("init=/i -- --token hunter2 --next 1", "init=/i -- --token [not shown] --next 1"),
        ("init=/i -- --auth-required --port 1", None),
        ("", None),
        ("rootflags=username=a,password=b ro", "rootflags=[not shown] ro"),
        ("systemd.setenv=FOO=hunter2", "systemd.setenv=[not shown]"),
        ("netroot=iscsi:user:pass@192.0.2.1::::iqn", "netroot=iscsi:[not shown]@192.0.2.1::::iqn"),
        ("rootpw=a psk=b xcred=c", "rootpw=[not shown] psk=[not shown] xcred=[not shown]"),
        ("powersave=off root=/dev/sda1 cpw0=1", None),
    ],
)
def test_secrets_of_the_command_line_are_left_out(line: str, shown: str | None) -> None:
    assert without_secrets(line) == (line if shown is None else shown)


def test_this_machine() -> None:
    found = system(Path("/"))
    assert found.kernel == os.uname().release
    assert found.boot_time is not None
