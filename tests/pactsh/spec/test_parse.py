"""Specs as they are read: what they declare, and what is wrong with them, with file, line and key."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from pactsh.errors import UsageError
from pactsh.spec import load_spec, parse_spec

GOOD = """
[vcluster.ml-training.sysctl]
"vm.nr_hugepages" = "1024"
"net.ipv4.tcp_rmem" = "4096 131072 6291456"
"module:nvme" = "loaded"

[vcluster.ml-training.mounts."/local scratch"]
type = "nfs"
source = "storage03:/my scratch"
options = "ro"

[vcluster.ml-training.mounts."/ramdisk"]
type = "tmpfs"
source = "none"

[vcluster.ml-training.files."/etc/motd"]
content = "hello\\n"
mode = "644"
owner = "0:0"

[vcluster.ml-training.files."/etc/cron.allow"]
mode = "0600"

[vcluster.ml-training.files."/etc/localtime"]
link = "/usr/share/zoneinfo/UTC"

[vcluster.ml-training.services.chrony]
state = "running"
enabled = "enabled"

[vcluster.ml-training.services."nvidia-persistenced.service"]
state = "stopped"

[vcluster.ml-training.network]
ib0 = "state=up mtu=4092"
"route:10.9.0.0/16 metric=5" = "via=10.0.0.1 dev=ib0 proto=static"

[vcluster.ml-training.packages]
slurm-wlm = "22.05.8-4+deb12u2"
htop = "*"

[vcluster.ml-training.overwrite]
node043 = ["kernel:vm.nr_hugepages"]

[vcluster.other.sysctl]
"vm.swappiness" = "10"
"""


def test_what_it_declares() -> None:
    first, second = parse_spec(GOOD, "spec.toml")
    digest = hashlib.sha256(b"hello\n").hexdigest()
    assert first.vcluster == "ml-training"
    assert first.values == {
        "kernel": {
            "vm.nr_hugepages": "1024",
            "net.ipv4.tcp_rmem": "4096 131072 6291456",
            "module:nvme": "loaded",
        },
        "mounts": {
            "/local scratch": "type=nfs source=storage03:/my\\040scratch options=ro,nosuid,nodev",
            "/ramdisk": "type=tmpfs source=none options=",
        },
        "files": {
            "/etc/motd": f"file sha256={digest} mode=0644 owner=0:0",
            "/etc/cron.allow": "mode=0600",
            "/etc/localtime": "link -> /usr/share/zoneinfo/UTC",
        },
        "services": {
            "chrony.service": "state=running enabled=enabled",
            "nvidia-persistenced.service": "state=stopped",
        },
        "network": {
            "link:ib0": "state=up mtu=4092",
            "route:10.9.0.0/16 metric=5": "via=10.0.0.1 dev=ib0 proto=static",
        },
        "packages": {"slurm-wlm": "22.05.8-4+deb12u2", "htop": "*"},
    }
    assert first.contents == {digest: "hello\n"}
    assert first.overwrite == {"node043": ("kernel:vm.nr_hugepages",)}
    assert (second.vcluster, second.values) == ("other", {"kernel": {"vm.swappiness": "10"}})


SYSCTL = "[vcluster.ml.sysctl]\n"
FILE = '[vcluster.ml.files."/etc/x"]\n'
MOUNT = '[vcluster.ml.mounts."/x"]\ntype = "nfs"\nsource = "s:/x"\n'
BAD = {
    "empty": ("", "expected a table [vcluster.NAME.sysctl]"),
    "no TOML": ("[vcluster.ml", "line 1"),
    "another top": ("[clusters.ml.sysctl]\n", "line 1: clusters: unknown key"),
    "a near top": ("[vclusters.ml.sysctl]\n", "did you mean vcluster?"),
    "no table": ("vcluster = 1\n", "line 1: vcluster: expected a table"),
    "section no table": ("[vcluster.ml]\nsysctl = 1\n", "line 2: vcluster.ml.sysctl: expected a table"),
    "name": ("[vcluster.ML_x.sysctl]\n", "vcluster.ML_x: expected a vCluster's name"),
    "section": ("[vcluster.ml.sysctls]\n", "did you mean sysctl?"),
    "elsewhere": ("[vcluster.ml.modules]\n", 'write "module:NAME" = "loaded" in sysctl'),
    "a number": (SYSCTL + '"vm.swappiness" = 10\n', 'line 2: vcluster.ml.sysctl.vm.swappiness: expected text'),
    "no name": (SYSCTL + 'swappiness = "10"\n', "expected the name of a setting"),
    "runs programs": (SYSCTL + '"kernel.core_pattern" = "|/tmp/x"\n', "could make the kernel run programs"),
    "by slashes": (SYSCTL + '"kernel/core_pattern" = "x"\n', "could make the kernel run programs"),
    "a path as value": (SYSCTL + '"kernel.x" = "/bin/sh"\n', "expected the name of a setting"),
    "two lines": (SYSCTL + '"vm.swappiness" = "1\\n2"\n', "printable characters"),
    "a module": (SYSCTL + '"module:../x" = "loaded"\n', '"module:NAME" = "loaded"'),
    "a module away": (SYSCTL + '"module:nvme" = "gone"\n', '"module:NAME" = "loaded"'),
    "too long": (SYSCTL + f'"vm.x" = "{"1" * 5000}"\n', "at most 4096"),
    "escapes": ('[vcluster.ml.files."/etc/../root/x"]\nmode = "0600"\n', "expected a path from the root"),
    "relative": ('[vcluster.ml.files."etc/x"]\nmode = "0600"\n', "expected a path from the root"),
    "elsewhere than /etc": ('[vcluster.ml.files."/opt/x"]\nmode = "0600"\n', "expected a file below /etc"),
    "ours": ('[vcluster.ml.files."/etc/pact/agent.toml"]\nmode = "0600"\n', "is pact's own"),
    "secret": ('[vcluster.ml.files."/etc/shadow"]\ncontent = "x"\n', "is secret"),
    "mode": (FILE + 'mode = "rwx"\n', "expected mode=0644"),
    "owner": (FILE + 'owner = "root:root"\n', "owner=UID:GID by number"),
    "nothing": (FILE, "expected a content, a mode, an owner or a link"),
    "two contents": (FILE + f'content = "x"\ncontent_hash = "sha256:{"0" * 64}"\n', "is not the content's"),
    "hash": (FILE + 'content_hash = "abc"\n', "sha256=HEX"),
    "large": (FILE + f'content = "{"x" * 70000}"\n', "expected at most 65536 bytes"),
    "link and mode": (FILE + 'link = "/x"\nmode = "0600"\n', "a link has no content, mode or owner"),
    "file key": (FILE + 'contents = "x"\n', "did you mean content?"),
    "file number": (FILE + "mode = 420\n", 'line 2: vcluster.ml.files./etc/x.mode: expected text: write "420"'),
    "mount type": (MOUNT.replace("nfs", "fuse.sshfs"), "line 2: vcluster.ml.mounts./x.type: 'fuse.sshfs' is not"),
    "mount proc": ('[vcluster.ml.mounts."/x"]\ntype = "proc"\nsource = "p"\n', "expected one of nfs"),
    "mount source": ('[vcluster.ml.mounts."/x"]\ntype = "nfs"\n', "expected source"),
    "mount over": (MOUNT.replace("/x", "/usr"), "nothing is mounted there"),
    "mount below": (MOUNT.replace("/x", "/etc/x"), "nothing is mounted there"),
    "mount root": (MOUNT.replace("/x", "/"), "expected a path"),
    "suid": (MOUNT + 'options = "suid"\n', "the option 'suid'"),
    "bind": (MOUNT + 'options = "bind"\n', "the option 'bind'"),
    "service": ("[vcluster.ml.services.x]\n", "expected state"),
    "service state": ('[vcluster.ml.services.x]\nstate = "on"\n', "expected one of running, stopped"),
    "service name": ('[vcluster.ml.services."../x"]\nstate = "running"\n', "expected the name of a service"),
    "service mount": ('[vcluster.ml.services."srv.mount"]\nstate = "running"\n', "expected the name of a service"),
    "service ours": ('[vcluster.ml.services.pact-agent]\nstate = "stopped"\n', "is pact's own"),
    "network": ('[vcluster.ml.network]\nib0 = "up"\n', "expected words such as"),
    "network word": ('[vcluster.ml.network]\nib0 = "state=up; reboot"\n', "expected words such as"),
    "network key": ('[vcluster.ml.network]\n"tunnel:x" = "a=b"\n', "expected a link's name"),
    "package": ('[vcluster.ml.packages]\n"-x" = "1"\n', "expected the name of a package"),
    "package version": ('[vcluster.ml.packages]\nx = "1 2"\n', "expected a version"),
    "overwrite": ('[vcluster.ml.overwrite]\nnode1 = "x"\n', "expected a list of keys"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "says"), BAD.values(), ids=BAD)
def test_what_is_wrong_is_told_with_its_place(text: str, says: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse_spec(text, "spec.toml")
    assert raised.value.message.startswith("spec.toml: ")
    assert says in raised.value.message


def test_all_that_is_wrong_is_told_at_once() -> None:
    text = SYSCTL + '"vm.a" = 1\n"vm.b" = 2\n' + "".join(f'"vm.c{n}" = 3\n' for n in range(30))
    with pytest.raises(UsageError) as raised:
        parse_spec(text, "spec.toml")
    lines = raised.value.message.splitlines()
    assert (len(lines), lines[1][:18], lines[-1]) == (21, "spec.toml: line 3:", "and 12 more")


def test_files_that_can_not_be_read(tmp_path: Path) -> None:
    path = tmp_path / "spec.toml"
    with pytest.raises(UsageError, match="No such file"):
        load_spec(path)
    path.write_bytes(b'[vcluster.ml.sysctl]\n"vm.a" = "\xff"\n')
    with pytest.raises(UsageError, match="line 2: not UTF-8"):
        load_spec(path)
    path.write_bytes(b"# " + b"x" * (1 << 20))
    with pytest.raises(UsageError, match="over"):
        load_spec(path)
    path.write_text(GOOD)
    assert len(load_spec(path)) == 2
