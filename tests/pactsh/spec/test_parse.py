"""Specs as they are read: what they declare, and what is wrong with them, with file, line and key."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
            "/etc/motd": f"file mode=0644 owner=0:0 sha256={digest}",
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
    "a path as value": (SYSCTL + '"kernel.x" = "/bin/sh"\n', "expected a value that is not empty and no path"),
    "a name without quotes": (SYSCTL + 'vm.swappiness = "1"\n', 'written in quotes: "vm.swappiness" = …'),
    "with slashes": (SYSCTL + '"vm/swappiness" = "1"\n', "write vm.swappiness"),
    "does not stay": (SYSCTL + '"vm.drop_caches" = "3"\n', "is no setting that stays"),
    "a switch": (SYSCTL + '"vm.swappiness" = true\n', "expected text, in quotes"),
    "a huge number": (SYSCTL + f'"vm.swappiness" = 0x{"f" * 9000}\n', "expected text, in quotes"),
    "a list": (SYSCTL + '"vm.swappiness" = ["1"]\n', "expected text, in quotes"),
    "bells": (SYSCTL + '"vm.\\u0007\\n" = "1"\n', "sysctl.vm.\\u0007\\u000A: expected a name of printable"),
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
    "directory and content": (FILE + 'type = "directory"\ncontent = "x"\n', "a directory has no content"),
    "odd type": (FILE + 'type = "fifo"\n', "'fifo': expected file or directory"),
    "link and mode": (FILE + 'link = "/x"\nmode = "0600"\n', "a link has no content, mode or owner"),
    "file key": (FILE + 'contents = "x"\n', "did you mean content?"),
    "file number": (FILE + "mode = 420\n", 'line 2: vcluster.ml.files./etc/x.mode: expected text, in quotes: "0644"'),
    "set-uid": (FILE + 'mode = "4755"\n', "line 2: vcluster.ml.files./etc/x.mode: '4755': expected mode=0644"),
    "long mode": (FILE + 'mode = "00644"\n', "'00644': expected mode=0644"),
    "no such user": (FILE + 'owner = "4294967295:0"\n', "expected owner=UID:GID by number"),
    "below a file": (FILE + 'mode = "0644"\n[vcluster.ml.files."/etc/x/y"]\nmode = "0644"\n', "/etc/x is to be no dir"),
    "unit of ours": ('[vcluster.ml.files."/etc/systemd/system/pact-agent.service"]\ncontent=""\n', "pact's own"),
    "secret, by hash": (
        f'[vcluster.ml.files."/etc/shadow"]\ncontent_hash = "{hashlib.sha256(b"x").hexdigest()}"\n'
        + FILE + 'content = "x"\n',
        "line 1: vcluster.ml.files./etc/shadow: is secret",
    ),
    "link nowhere": (FILE + 'link = ""\n', "expected the target of a link"),
    "mount type": (MOUNT.replace("nfs", "fuse.sshfs"), "line 2: vcluster.ml.mounts./x.type: 'fuse.sshfs' is not"),
    "mount proc": ('[vcluster.ml.mounts."/x"]\ntype = "proc"\nsource = "p"\n', "expected one of nfs"),
    "mount source": ('[vcluster.ml.mounts."/x"]\ntype = "nfs"\n', "expected source"),
    "mount nothing": ('[vcluster.ml.mounts."/x"]\n', "x: expected type"),
    "mount number": (MOUNT + "options = 1\n", 'line 4: vcluster.ml.mounts./x.options: expected text: write "1"'),
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
    "network word": ('[vcluster.ml.network]\nib0 = "state=up; reboot"\n', "state=up;: expected state=up or down"),
    "network number": ("[vcluster.ml.network]\nib0 = 9000\n", 'expected text: write "9000"'),
    "network lines": ('[vcluster.ml.network]\nib0 = "state=up\\nmtu=9000"\n', "printable characters"),
    "network twice": ('[vcluster.ml.network]\nib0 = "state=up"\n"link:ib0" = "state=up"\n', "line 3"),
    "service twice": (
        '[vcluster.ml.services.x]\nstate = "running"\n[vcluster.ml.services."x.service"]\nstate = "running"\n',
        "line 3: vcluster.ml.services.x.service: is there twice, the other time as x",
    ),
    "service unquoted": ('[vcluster.ml.services.x.service]\nstate = "running"\n', '[… services."x.service"]'),
    "service of all": ('[vcluster.ml.services.dbus]\nstate = "stopped"\n', "the system's own services"),
    "service template": ('[vcluster.ml.services."x@"]\nstate = "running"\n', "expected the name of a service"),
    "network key": ('[vcluster.ml.network]\n"tunnel:x" = "a=b"\n', "expected a link's name"),
    "package": ('[vcluster.ml.packages]\n"-x" = "1"\n', "expected the name of a package"),
    "package version": ('[vcluster.ml.packages]\nx = "1 2"\n', "expected a version"),
    "overwrite node": ('[vcluster.ml.overwrite]\n"../x" = []\n', "expected the name of a node"),
    "overwrite key": ('[vcluster.ml.overwrite]\nn1 = ["gpu:3"]\n', "expected a list of keys"),
    "overwrite": ('[vcluster.ml.overwrite]\nnode1 = "x"\n', "expected a list of keys"),
}  # fmt: skip


def told(error: UsageError) -> list[str]:
    return [error.message, *error.more]


@pytest.mark.parametrize(("text", "says"), BAD.values(), ids=BAD)
def test_what_is_wrong_is_told_with_its_place(text: str, says: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse_spec(text, "spec.toml")
    assert raised.value.message.startswith("spec.toml: ")
    assert any(says in line for line in told(raised.value))


def test_all_that_is_wrong_is_told_at_once() -> None:
    text = SYSCTL + '"vm.a" = 1\n"vm.b" = 2\n' + "".join(f'"vm.c{n}" = 3\n' for n in range(30))
    with pytest.raises(UsageError) as raised:
        parse_spec(text, "spec.toml")
    lines = told(raised.value)
    assert (len(lines), lines[1][:18], lines[-1]) == (21, "spec.toml: line 3:", "and 12 more")


def test_it_is_told_in_the_order_of_lines() -> None:
    text = FILE + 'mode = "x"\n[vcluster.ml.sysctl]\n"x" = "1"\n[other]\n' + '[vcluster.ml.services.y]\nstate = "on"\n'
    with pytest.raises(UsageError) as raised:
        parse_spec(text, "spec.toml")
    starts = [line.split(": ")[1] for line in told(raised.value)]
    assert starts == ["line 2", "line 4", "line 5", "line 7"]


def test_tables_without_a_line_of_their_own() -> None:
    text = '# x\n[vcluster.ml.sysctl]\n"vm.x" = "1"\n\n[vcluster.ml.service.x]\nstate = "running"\n'
    text += '[vcluster.ML.sysctl]\n"vm.x" = "1"\n[[vcluster.ml.packages]]\nname = "x"\n'
    with pytest.raises(UsageError) as raised:
        parse_spec(text, "spec.toml")
    assert [line.split(": ")[1:3] for line in told(raised.value)] == [
        ["line 5", "vcluster.ml.service"],
        ["line 7", "vcluster.ML"],
        ["line 9", "vcluster.ml.packages"],
    ]


def test_one_wrong_field_does_not_hide_another() -> None:
    text = FILE + 'mode = 644\nowner = "root:root"\n[vcluster.ml.mounts."/x"]\ntype = 1\n'
    with pytest.raises(UsageError) as raised:
        parse_spec(text, "spec.toml")
    assert [line.split(": ")[1:3] for line in told(raised.value)] == [
        ["line 2", "vcluster.ml.files./etc/x.mode"],
        ["line 3", "vcluster.ml.files./etc/x.owner"],
        ["line 4", "vcluster.ml.mounts./x"],
        ["line 5", "vcluster.ml.mounts./x.type"],
    ]


def test_one_spelling_of_what_can_be_written_in_several() -> None:
    digest = hashlib.sha256(b"x").hexdigest()
    text = f'''
[vcluster.ml]
services."a.timer" = {{ enabled = "enabled", state = "running" }}
services."dbus-org.x.y" = {{ state = "running" }}
files."/etc/x" = {{ content_hash = "{digest.upper()}", owner = "0:0", mode = "644" }}
files."/etc/y" = {{ content = "x", content_hash = "sha256:{digest}" }}
network.ib0 = " state=up   mtu=4092 "
'''
    with pytest.raises(UsageError, match="the system's own"):
        parse_spec(text, "x")
    (spec,) = parse_spec(text.replace("dbus-org.x.y", "org.x.y"), "x")
    assert spec.values == {
        "services": {"a.timer": "state=running enabled=enabled", "org.x.y.service": "state=running"},
        "files": {"/etc/x": f"file mode=0644 owner=0:0 sha256={digest}", "/etc/y": f"file sha256={digest}"},
        "network": {"link:ib0": "state=up mtu=4092"},
    }


PIECES = st.sampled_from(
    [*GOOD.split("\n"), '"""', "[[", "]", '"', ".", "=", "{", "}", "'", "\\", "1", "1979-05-27", "#"]
)


@given(st.lists(PIECES | st.text(max_size=3), max_size=12), st.sampled_from(["", "\n", " "]))
def test_whatever_is_written_is_read_or_told(pieces: list[str], between: str) -> None:
    lines = []
    try:
        parse_spec(between.join(pieces), "x")
    except UsageError as error:
        lines = told(error)
    assert all(line.startswith(("x: line ", "and ")) for line in lines)


def test_many_faults_take_no_longer_than_few() -> None:
    text = SYSCTL + "".join(f'"vm.x{n}" = {n}\n' for n in range(20_000))
    with pytest.raises(UsageError) as raised:
        parse_spec(text, "spec.toml")
    assert told(raised.value)[-1] == "and 19980 more"


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
