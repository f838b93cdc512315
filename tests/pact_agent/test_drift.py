"""What differs, in which order it is undone, what is known noise. (The magnitude and the patterns have doctests.)"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pact_agent.drift import BLACKLIST, differences, undoing_order

from pactsh.model.blacklist import is_covered
from pactsh.model.delta import Change, declared

STATES = st.dictionaries(
    st.sampled_from(["kernel", "mounts", "files"]), st.dictionaries(st.sampled_from("abcd"), st.sampled_from("12"))
)


def never(_dimension: str, _key: str) -> bool:
    return False


def test_keys_that_differ_come_and_go_and_change() -> None:
    found = differences({"files": {"/a": "1", "/b": "1"}}, {"files": {"/b": "2", "/c": "1"}}, never)
    assert found == (
        Change("files", "/a", "1", None),
        Change("files", "/b", "1", "2"),
        Change("files", "/c", None, "1"),
    )


def test_a_dimension_that_was_not_looked_at_does_not_differ() -> None:
    assert differences({"files": {"/a": "1"}}, {}, never) == ()


def test_noise_is_left_out() -> None:
    found = differences({}, {"files": {"/tmp/a": "1", "/etc/a": "1"}}, lambda _, key: key.startswith("/tmp/"))
    assert [change.key for change in found] == ["/etc/a"]


@given(STATES, STATES)
def test_the_differences_are_what_makes_one_of_the_other(
    before: dict[str, dict[str, str]], after: dict[str, dict[str, str]]
) -> None:
    from pactsh.model.delta import Delta

    changes = differences(before, after, never)
    made = declared(before, [Delta("x", changes, "a", "", "")])
    assert {name: made.get(name, {}) for name in after} == after
    assert all(change.before != change.after for change in changes)


def test_what_was_added_goes_first_and_what_depends_goes_before_that() -> None:
    added = [
        Change("kernel", "module:nfs", None, "loaded"),
        Change("mounts", "/data", None, "nfs"),
        Change("mounts", "/data/deep", None, "nfs"),
        Change("services", "job", None, "running"),
    ]
    put_back = [
        Change("services", "sshd", "running", "stopped"),
        Change("kernel", "vm.swappiness", "60", "10"),
        Change("mounts", "/scratch", "nfs", None),
    ]
    order = [change.key for change in undoing_order([*put_back, *added])]
    assert order == ["job", "/data/deep", "/data", "module:nfs", "vm.swappiness", "/scratch", "sshd"]


@pytest.mark.parametrize("key", ["/tmp/x", "/etc/resolv.conf", "/etc/pact/agent.key", "/proc/sys/fs/binfmt_misc"])
def test_what_the_system_writes_itself_is_noise(key: str) -> None:
    assert is_covered(BLACKLIST, "files", key)


@pytest.mark.parametrize("key", ["/etc/passwd", "/etc/pact/agent.toml", "/etc/resolv.conf.d", "/scratch", "/tmpfoo"])
def test_configuration_is_not(key: str) -> None:
    assert not is_covered(BLACKLIST, "files", key)


def test_settings_of_a_link_are_put_back_after_it() -> None:
    setting = Change("kernel", "net.ipv4.conf.br0.rp_filter", "2", None)
    link, module = Change("network", "link:br0", "kind=bridge", None), Change("kernel", "module:bridge", "loaded", None)
    assert undoing_order([setting, link, module]) == [module, link, setting]


def test_files_in_a_mount_are_put_back_after_it() -> None:
    place = Change("files", "/etc/md", "dir mode=0755 owner=0:0", None)
    mount = Change("mounts", "/etc/md", "type=tmpfs source=x options=rw", None)
    inside, outside = Change("files", "/etc/md/f", "file", None), Change("files", "/etc/mdf", "file", None)
    assert undoing_order([inside, mount, outside, place]) == [outside, mount, place, inside]
