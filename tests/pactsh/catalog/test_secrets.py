"""Secret paths by their text, in every spelling that needs no file system to see through."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pactsh.catalog.secrets import is_hidden, is_secret, is_unwalkable, normalise

SECRET = """
/etc/shadow /etc/shadow- /etc/gshadow /etc/gshadow- /etc/master.passwd /etc/sudoers /etc/sudoers.d/x
/etc/security/opasswd /var/backups/shadow.bak /root/x /root /home/a/.ssh/id_rsa /home/a/.ssh/config /home/a/.aws/credentials
/home/a/.kube/config /home/a/.netrc /home/a/.bash_history /home/a/.config/gcloud/auth /etc/ssh/ssh_host_ed25519_key
/etc/ssl/private/a.pem /etc/pact/ca/x /run/pact/ca/x /etc/pact/agent.key /etc/kubernetes/pki/ca.crt /etc/wireguard/wg0.conf
/etc/munge/munge.key /etc/krb5.keytab /etc/slurm/jwt_hs256.key /etc/slurm/slurmdbd.conf /etc/sssd/sssd.conf
/etc/NetworkManager/system-connections/x /run/secrets/x /var/run/secrets/x /run/credentials/x/y
/var/lib/systemd/credential.secret /proc/1/environ /proc/1/mem /proc/1/maps /proc/1/stack /proc/1/fd/3 /proc/1/root/etc/hosts
/proc/self/cwd/x /proc/1/task/2/environ /proc/kcore /proc/kmsg /dev/sda /dev/mem /dev/kmsg /dev/zero /dev/watchdog /dev/tty1
/dev/disk/by-id/x /dev/fd/3 /dev/stdin /dev/../dev/sda /sys/bus/pci/devices/0/resource0 /sys/devices/x/rom
/sys/kernel/debug/x /sys/kernel/tracing/trace_pipe /dev/nullx /dev/null/../sda
""".split()
HARMLESS = """
/etc/passwd /etc/hostname /var/log/syslog /etc/ssh/sshd_config /etc/ssh/ssh_host_rsa_key.pub /proc/cpuinfo /proc/1/status
/proc/1/cmdline /dev/null /sys/class/net/eth0/mtu /etc/ssl/certs/ca.pem /home/a/notes /etc/pact/agent.toml /rootfs/x
""".split()


@pytest.mark.parametrize("path", SECRET)
def test_a_secret_is_recognised_in_every_plain_spelling(path: str) -> None:
    for spelling in (path, "/" + path, path.replace("/", "//"), "/./" + path[1:], "/x/.." + path, path.replace("/", "/./")):
        assert is_secret(spelling, "/"), spelling


@pytest.mark.parametrize("path", HARMLESS)
def test_an_ordinary_file_is_not(path: str) -> None:
    assert not is_secret(path, "/")


@pytest.mark.parametrize(("path", "cwd"), [("shadow", "/etc"), ("../etc/shadow", "/var"), ("../../../etc/shadow", "/a")])
def test_a_relative_path_is_judged_where_the_session_stands(path: str, cwd: str) -> None:
    assert is_secret(path, cwd)


def test_metadata_of_a_secret_file_is_open_but_not_of_a_secret_directory() -> None:
    assert not is_hidden("/etc/shadow", "/")
    assert not is_hidden("/dev/sda", "/")
    assert is_hidden("/root/.bashrc", "/")
    assert is_hidden("/etc/pact/ca", "/")


@pytest.mark.parametrize("path", ["/", "/proc", "/sys/class", "/dev", "/proc/1", "//", "/etc/.."])
def test_a_walk_may_not_start_where_devices_and_processes_are(path: str) -> None:
    assert is_unwalkable(path, "/")


def test_a_walk_may_start_in_an_ordinary_directory() -> None:
    assert not is_unwalkable("/var/log", "/")
    assert is_unwalkable(".", "/proc/sys")


@given(st.text(alphabet="/.ab\n", max_size=30), st.text(alphabet="/.ab", max_size=10))
def test_a_normalised_path_is_absolute_and_stays_as_it_is(path: str, cwd: str) -> None:
    plain = normalise(path, cwd)
    assert plain.startswith("/")
    assert normalise(plain, "/") == plain
    assert not {"", ".", ".."} & set(plain.split("/")[1:]) or plain == "/"
