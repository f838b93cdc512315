"""A spec that is written is read back as it was; node deltas become one that the node satisfies."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pactsh.model.delta import Change
from pactsh.model.overlay import satisfies
from pactsh.spec import parse_spec, render_spec, value_faults, values_of

TEXTS = st.text(min_size=0, max_size=40).filter(lambda text: "\r" not in text)
NAMES = st.from_regex(r"\A[a-z][a-z0-9_-]{0,12}\Z")
PLACES = st.lists(st.from_regex(r"\A[\w .+ü-]{1,12}\Z").filter(lambda p: p.strip(". ") == p), min_size=1, max_size=3)
NUMBERS = st.from_regex(r"\A[0-9]{1,4}( [0-9]{1,4}){0,2}\Z")
KERNEL = st.dictionaries(NAMES.map(lambda n: f"vm.{n.replace('-', '_')}"), NUMBERS)
OPTIONS = st.sampled_from(["", "ro", "size=1m,mode=700"])
MOUNTS = st.dictionaries(
    PLACES.map(lambda parts: "/scratch/" + "/".join(parts)),
    st.tuples(NAMES, OPTIONS).map(lambda pair: f"type=tmpfs source={pair[0]} options={pair[1]}"),
)
LINKS = st.dictionaries(NAMES.map(lambda n: f"link:{n}"), st.integers(68, 9000).map(lambda n: f"state=up mtu={n}"))
SERVICES = st.dictionaries(
    NAMES.map(lambda n: f"{n}.service"), st.sampled_from(["state=running", "state=stopped enabled=masked"])
)
PACKAGES = st.dictionaries(NAMES, st.sampled_from(["*", "1.2-3+deb12u1", "2:1~rc1"]))
FILES = st.dictionaries(PLACES.map(lambda parts: "/etc/t/" + "/".join(parts)), TEXTS)


@given(KERNEL, MOUNTS, LINKS, SERVICES, PACKAGES, FILES)
def test_what_is_written_is_read_back(
    kernel: dict[str, str],
    mounts: dict[str, str],
    links: dict[str, str],
    services: dict[str, str],
    packages: dict[str, str],
    files: dict[str, str],
) -> None:
    contents = {hashlib.sha256(text.encode()).hexdigest(): text for text in files.values()}
    digests = {path: hashlib.sha256(text.encode()).hexdigest() for path, text in files.items()}
    values = {
        "kernel": kernel,
        "mounts": mounts,
        "network": links,
        "services": {key: value for key, value in services.items() if not key.startswith("pact-")},
        "packages": packages,
        "files": {path: f"file sha256={digest} mode=0640 owner=0:0" for path, digest in digests.items()},
    }
    values = {name: some for name, some in values.items() if some}
    if not values:
        return
    (spec,) = parse_spec(render_spec("ml", values, contents, overwrite={"n1": ["kernel:vm.x"]}), "x")
    assert (spec.values, spec.contents, spec.overwrite) == (values, contents, {"n1": ("kernel:vm.x",)})


MAPPED = {
    "kernel": ("net.ipv4.tcp_rmem", "4096\t131072\t6291456"),
    "module": ("module:nvme", "loaded"),
    "nfs": (
        "/scratch",
        "type=nfs4 source=s:/x options=rw,nosuid,nodev,relatime,vers=4.2,addr=10.0.0.1",
    ),
    "tmpfs": ("/ram", "type=tmpfs source=none options=rw,relatime,size=64k,inode64"),
    "file": ("/etc/a", f"file mode=0644 owner=0:0 size=3 sha256={'a' * 64}"),
    "link": ("/etc/b", "link -> ../b"),
    "up": ("link:ib0", "state=up mtu=4092 txqueuelen=256"),
    "address": ("address:ib0:10.0.0.1/16", "scope=global broadcast=10.0.255.255"),
    "route": ("route:default", "via=10.0.0.1 dev=ib0 proto=static"),
    "v6": ("route:::/0 metric=1024", "via=fd00::1 dev=ib0 proto=boot"),
    "service": ("chrony.service", "state=stopped enabled=disabled"),
    "failed": ("chrony.service", "state=failed enabled=enabled"),
    "package": ("htop", "3.2.2-2"),
}
DIMENSION = {"module": "kernel", "nfs": "mounts", "tmpfs": "mounts", "file": "files", "link": "files", "up": "network"}
DIMENSION |= {"address": "network", "route": "network", "v6": "network", "service": "services", "failed": "services"}
DIMENSION |= {"kernel": "kernel", "package": "packages"}


@pytest.mark.parametrize("name", MAPPED)
def test_a_delta_becomes_what_the_node_satisfies(name: str) -> None:
    key, value = MAPPED[name]
    dimension = DIMENSION[name]
    values, unmapped = values_of([Change(dimension, key, None, value)])
    assert unmapped == ()
    wanted = values[dimension][key]
    assert satisfies(dimension, wanted, value), wanted
    assert [*value_faults(dimension, {key: wanted}, {})] == []
    (spec,) = parse_spec(render_spec("ml", values, {}), "x")
    assert satisfies(dimension, spec.values[dimension][key], value)


@pytest.mark.parametrize(
    "change",
    [
        Change("kernel", "vm.swappiness", "60", None),
        Change("kernel", "kernel.core_pattern", "core", "|/bin/sh"),
        Change("gpu", "3", "healthy", "DEGRADED (ECC uncorrectable: 12)"),
        Change("files", "/etc/a", None, f"file mode=0600 owner=0:0 size=3 keyed={'a' * 64}"),
        Change("files", "/etc/d", None, "dir mode=0755 owner=0:0"),
        Change("files", "/etc/p", None, "fifo mode=0755 owner=0:0"),
        Change("files", "/etc/pact/agent.toml", None, f"file mode=0644 owner=0:0 size=3 sha256={'a' * 64}"),
        Change("mounts", "/x", None, "type=ext4 source=/dev/sda1 options=rw root=/part"),
        Change("mounts", "/x", None, "type=overlay source=o options=rw"),
        Change("mounts", "/x", None, "type=nfs source=s:/x options=rw"),
        Change("services", "pact-agent.service", None, "state=stopped enabled=enabled"),
    ],
    ids=lambda change: f"{change.dimension}:{change.key}",
)
def test_what_has_no_place_is_a_comment(change: Change) -> None:
    values, unmapped = values_of([change])
    assert (values, unmapped) == ({}, (change,))
    text = render_spec("ml", {"kernel": {"vm.x": "1"}}, {}, unmapped=unmapped)
    assert f"# {change.name}: " in text
    assert parse_spec(text, "x")[0].values == {"kernel": {"vm.x": "1"}}


def test_the_last_change_of_a_key_counts() -> None:
    changes = [
        Change("kernel", "vm.a", "0", "1"),
        Change("kernel", "vm.b", "0", "1"),
        Change("kernel", "vm.a", "1", "2"),
    ]
    assert values_of(changes) == ({"kernel": {"vm.a": "2", "vm.b": "1"}}, ())


def test_a_comment_stays_one() -> None:
    change = Change("gpu", "3", "healthy", "x\n[vcluster.ml.sysctl]\nevil = 1")
    text = render_spec("ml", {"kernel": {"vm.x": "1"}}, {}, unmapped=[change], header=["a\nb = 1"])
    assert parse_spec(text, "x")[0].values == {"kernel": {"vm.x": "1"}}
