"""Names of programs that run what they are given, in all the ways they are called."""

from __future__ import annotations

import pytest

from pactsh.policy.runners import RUNNERS, runs_others

NAMES = """
bash sh dash zsh ksh python python3 python3.11 python3.11-dbg /usr/bin/python3 x86_64-linux-gnu-python3.11
pypy3 perl perl5.36.0 ruby3.1 node nodejs lua5.4 luajit-2.1 php8.2 tclsh8.6 awk gawk mawk original-awk sed
find xargs env nohup timeout nice stdbuf taskset chrt setsid unshare nsenter chroot systemd-run ssh su sudo
pkexec runuser busybox busybox.static toybox vim vim.basic vi more man git tar gcc gcc-12 docker podman ld.so
/usr/lib/ld-linux.so.2 /usr/lib64/ld-linux-x86-64.so.2 ld-musl-x86_64.so.1
/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2 ld-2.36.so gdb strace insmod modprobe pactsh Rscript crontab
bwrap ssh-agent cpulimit jshell pg ftp fish run0 sulogin posh ipython3 emacs-nox emacs-29.1 trace-cmd kak zless
eatmydata tini split crash nc.openbsd lynx psql conda helm buildah rmmod gdbus
"""
OTHERS = """
smartctl ipmitool nvme lsscsi sensors ibstat ibdiagnet lctl lfs sinfo squeue dmidecode turbostat rdma chronyc
hostnamectl timedatectl cat ls lsof findmnt node-exporter perfquery ldconfig ldd shasum findfs timex environ
sha256sum
"""


@pytest.mark.parametrize("name", NAMES.split())
def test_a_runner_is_known(name: str) -> None:
    assert runs_others(name).startswith("it ")


@pytest.mark.parametrize("name", OTHERS.split())
def test_other_programs_are_not(name: str) -> None:
    assert runs_others(name) == ""


def test_each_reason_completes_a_sentence() -> None:
    assert {why for why in RUNNERS.values() if not why.startswith("it ") or why.endswith(".")} == set()
