"""A spec that is written is read back as it was."""

from __future__ import annotations

import hashlib
import re
from ipaddress import ip_network

from hypothesis import given
from hypothesis import strategies as st

from pactsh.model.delta import Change
from pactsh.spec import parse_spec, render_spec, value_faults
from pactsh.spec.checks import covered_files
from pactsh.spec.parse import Spec
from pactsh.spec.render import render_text
from pactsh.spec.spelling import escaped

Values = dict[str, str]
TEXTS = st.text(max_size=40) | st.text(alphabet='ab"\\\n\r\t ', max_size=40)
NAMES = st.from_regex(r"[a-z][a-z0-9_-]{0,12}", fullmatch=True)
PLACES = st.lists(st.from_regex(r"[\w +\"\\']([\w .+ü\"\\']{0,10}[\wü])?", fullmatch=True), min_size=1, max_size=3)
PRINTABLE = st.text(alphabet=st.characters(exclude_categories=("C", "Z")), max_size=8)


def known_good(dimension: str, values: st.SearchStrategy[Values]) -> st.SearchStrategy[Values]:
    """Those that an overlay may hold: of names that are made up at random a few are pact's own and alike."""

    def kept(some: Values) -> Values:
        found = {k: v for k, v in some.items() if not [*value_faults(dimension, {k: v}, {})]}
        covered = dict(covered_files(found)) if dimension == "files" else {}
        return {key: value for key, value in found.items() if key not in covered}

    return values.map(kept)


def kernel() -> st.SearchStrategy[Values]:
    keys = st.tuples(NAMES, st.sampled_from(["", "eth0/100.", "a:b@c-d."])).map(
        lambda pair: f"net.{pair[1]}{pair[0].replace('-', '_')}"
    )
    settings = st.dictionaries(keys, st.from_regex(r"[0-9-]{1,4}([ \t][0-9]{1,4}){0,2}", fullmatch=True) | PRINTABLE)
    modules = st.sets(NAMES).map(lambda names: dict.fromkeys((f"module:{name}" for name in names), "loaded"))
    return st.tuples(settings, modules).map(lambda pair: pair[0] | pair[1])


def mounts() -> st.SearchStrategy[Values]:
    options = st.sampled_from(["nosuid,nodev", "ro,nosuid,nodev,vers=4.2", "nosuid,nodev,noatime"])
    nfs = st.tuples(st.sampled_from(["nfs", "nfs4", "lustre"]), PLACES, options).map(
        lambda m: f"type={m[0]} source={escaped('s:/' + '/'.join(m[1]))} options={m[2]}"
    )
    memory = NAMES.map(lambda name: f"type=tmpfs source={name} options=size=1m,mode=700")
    bare = NAMES.map(lambda name: f"type=tmpfs source={name} options=")
    return st.dictionaries(PLACES.map(lambda parts: "/scratch/" + "/".join(parts)), nfs | memory | bare)


def network() -> st.SearchStrategy[Values]:
    links = st.tuples(NAMES, st.integers(68, 9000)).map(lambda p: (f"link:{p[0]}", f"state=up mtu={p[1]} kind=ipoib"))
    addresses = st.tuples(NAMES, st.ip_addresses(), st.integers(0, 32)).map(
        lambda p: (f"address:{p[0]}:{p[1]}/{p[2]}", "scope=global label=x:1")
    )
    routes = st.tuples(st.ip_addresses(v=4), st.integers(1, 31), NAMES).map(
        lambda p: (f"route:{ip_network((p[0], p[1]), strict=False)} metric=5", f"dev={p[2]} proto=static")
    )
    return st.lists(links | addresses | routes).map(dict)


def services() -> st.SearchStrategy[Values]:
    units = st.tuples(NAMES, st.sampled_from(["service", "socket", "timer", "path"])).map(".".join)
    words = ["state=running", "state=stopped enabled=disabled", "enabled=disabled", "state=running enabled=enabled"]
    return st.dictionaries(units, st.sampled_from(words))


def packages() -> st.SearchStrategy[Values]:
    names = st.tuples(NAMES, st.sampled_from(["", ":i386", ".i686", "++"])).map("".join)
    return st.dictionaries(names, st.sampled_from(["*", "1.2-3+deb12u1", "2:1~rc1", "1.2^x-1.el9"]))


FILES = st.dictionaries(
    PLACES.map(lambda parts: "/etc/t/" + "/".join(parts)),
    st.tuples(TEXTS, st.sampled_from(["", "mode=0640 ", "mode=0640 owner=0:0 ", "owner=4294967294:7 "])),
)
OTHERS = st.dictionaries(
    PLACES.map(lambda parts: "/etc/u/" + "/".join(parts)),
    st.sampled_from(["mode=0600", "owner=1:2", f"file sha256={'a' * 64}", "mode=0600 owner=1:2"])
    | PLACES.map(lambda parts: f"link -> {'/'.join(parts)}"),
)


def read_back(dimension: str, values: Values, contents: Values) -> Spec:
    (spec,) = parse_spec(render_spec("ml", {dimension: values}, contents), "x")
    return spec


@given(known_good("kernel", kernel()).filter(bool))
def test_settings_are_read_back(values: Values) -> None:
    assert read_back("kernel", values, {}).values == {"kernel": values}


@given(known_good("mounts", mounts()).filter(bool))
def test_mounts_are_read_back(values: Values) -> None:
    assert read_back("mounts", values, {}).values == {"mounts": values}


@given(known_good("network", network()).filter(bool))
def test_the_network_is_read_back(values: Values) -> None:
    assert read_back("network", values, {}).values == {"network": values}


@given(known_good("services", services()).filter(bool))
def test_services_are_read_back(values: Values) -> None:
    assert read_back("services", values, {}).values == {"services": values}


@given(known_good("packages", packages()).filter(bool))
def test_packages_are_read_back(values: Values) -> None:
    assert read_back("packages", values, {}).values == {"packages": values}


@given(FILES, OTHERS)
def test_files_are_read_back(files: dict[str, tuple[str, str]], others: Values) -> None:
    texts = {path: hashlib.sha256(text.encode()).hexdigest() for path, (text, _) in files.items()}
    values = {path: f"file {words}sha256={texts[path]}" for path, (_, words) in files.items()} | others
    covered = dict(covered_files(values))
    values = {
        path: value
        for path, value in values.items()
        if path not in covered and not [*value_faults("files", {path: value}, {})]
    }
    contents = {texts[path]: files[path][0] for path in files if path in values}
    if values:
        spec = read_back("files", values, contents)
        assert (spec.values, spec.contents) == ({"files": values}, contents)


def test_all_of_it_in_one() -> None:
    values = {
        "packages": {"htop": "*"},
        "kernel": {"vm.x": "1", "module:nvme": "loaded"},
        "network": {"link:ib0": "state=up", "route:default": "dev=ib0"},
        "services": {"a.service": "state=running", "b.timer": "enabled=disabled"},
        "mounts": {"/x": "type=tmpfs source=x options="},
        "files": {"/etc/x": "mode=0644", "/etc/y": "link -> x"},
    }
    text = render_spec("ml", values, {}, header=["one", "two"], overwrite={"n1": ["kernel:vm.x"]})
    (spec,) = parse_spec(text, "x")
    assert (spec.vcluster, spec.values, spec.overwrite) == ("ml", values, {"n1": ("kernel:vm.x",)})
    assert text.startswith("# one\n# two\n\n[vcluster.ml.files.")
    other = {name: dict(reversed(some.items())) for name, some in reversed(values.items())}
    assert render_spec("ml", other, {}, header=["one", "two"], overwrite={"n1": ["kernel:vm.x"]}) == text


def test_the_text_of_a_file_is_written_line_by_line() -> None:
    text = 'a = "1"\n\tb = """\n\\"\n'
    assert render_text(text) == '"""\na = "1"\n\\tb = "\\""\n\\\\"\n"""'
    assert render_text("a\n") == '"a\\n"'


@given(TEXTS)
def test_what_is_written_stays_within_lines_that_can_be_shown(text: str) -> None:
    """`pact promote` prints it line by line and escapes what could move a terminal's cursor."""
    written = render_text(text)
    assert all(line.isprintable() for line in written.split("\n"))
    assert written.split("\n") == written.splitlines()


def test_a_comment_stays_one() -> None:
    change = Change("gpu", "3", "healthy", "x\n[vcluster.ml.sysctl]\nevil = 1\x1b[2J")
    text = render_spec("ml", {"kernel": {"vm.x": "1"}}, {}, unmapped=[change], header=["a\nb = 1"])
    assert parse_spec(text, "x")[0].values == {"kernel": {"vm.x": "1"}}
    assert re.search(r"^# gpu:3: healthy -> x\\u000A\[vcluster.ml.sysctl\]", text, re.MULTILINE)
    assert all(line.isprintable() for line in text.splitlines())


def test_one_nodes_address_is_pointed_out() -> None:
    network = {"address:eth0:10.0.0.7/24": "scope=global", "link:eth0": "state=up"}
    lines = render_spec("a", {"network": network}, {}).splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith('"address:eth0'))
    assert lines[at - 1].startswith("# One node's address")
    assert sum(line.startswith("#") for line in lines) == 1
