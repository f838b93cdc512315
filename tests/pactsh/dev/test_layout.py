from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from pactsh.dev.layout import (
    Layout,
    State,
    check_names,
    default_directory,
    load_state,
    make_directory,
    running,
    sign_lock,
    take_lock,
)
from pactsh.dev.processes import Process
from pactsh.errors import NotFoundError, UsageError


def test_default_directory_follows_xdg(tmp_path: Path) -> None:
    run, state = tmp_path / "run", tmp_path / "state"
    run.mkdir()
    state.mkdir()
    every = {"XDG_RUNTIME_DIR": str(run), "XDG_STATE_HOME": str(state), "HOME": "/home/alice"}
    assert default_directory(every) == run / "pact" / "dev"
    assert default_directory(every | {"XDG_RUNTIME_DIR": "/nowhere"}) == state / "pact" / "dev"
    assert default_directory(every | {"XDG_RUNTIME_DIR": "relative"}) == state / "pact" / "dev"
    assert default_directory({"HOME": "/home/alice"}) == Path("/home/alice/.local/state/pact/dev")
    with pytest.raises(UsageError, match="HOME is not set"):
        default_directory({})


def test_a_new_directory_is_for_its_owner_alone(tmp_path: Path) -> None:
    layout = make_directory(tmp_path / "a" / "dev")
    for path in (layout.directory, layout.journal, layout.shared, layout.client, layout.directory / "nodes"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700


def test_a_directory_open_to_others_is_refused(tmp_path: Path) -> None:
    for mode in (0o750, 0o705, 0o770):
        (tmp_path / "dev").mkdir(exist_ok=True)
        (tmp_path / "dev").chmod(mode)
        with pytest.raises(UsageError, match="open to others"):
            make_directory(tmp_path / "dev")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away: run the tests as root")
def test_a_directory_of_another_user_is_refused(tmp_path: Path) -> None:
    (tmp_path / "dev").mkdir(mode=0o700)
    os.chown(tmp_path / "dev", 65534, 65534)
    with pytest.raises(UsageError, match="belongs to another user"):
        make_directory(tmp_path / "dev")


def test_a_directory_with_other_things_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir(mode=0o700)
    (tmp_path / "home" / "thesis.tex").write_text("...")
    with pytest.raises(UsageError, match="not empty"):
        make_directory(tmp_path / "home")
    assert [p.name for p in (tmp_path / "home").iterdir()] == ["thesis.tex"]


def test_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "dev").write_text("")
    with pytest.raises(UsageError, match="not a directory"):
        make_directory(tmp_path / "dev")


@pytest.mark.parametrize("nodes", [("Node",), ("",), ("a/b",), ("-a",), ("a",) * 2, ("x" * 64,)])
def test_impossible_node_names_are_refused(nodes: tuple[str, ...]) -> None:
    with pytest.raises(UsageError):
        check_names(nodes, Layout(Path("/d")))


def test_a_path_too_long_for_a_socket_is_refused_and_the_longest_is_not(tmp_path: Path) -> None:
    fits = Path("/" + "d" * (107 - len("/nodes/n/run/agent.sock") - 1))
    check_names(("n",), Layout(fits))
    with pytest.raises(UsageError, match="too long for a socket"):
        check_names(("n",), Layout(fits.with_name(fits.name + "d")))


def test_one_supervisor_at_a_time(tmp_path: Path) -> None:
    layout = make_directory(tmp_path / "dev")
    first = take_lock(layout)
    assert first is not None
    sign_lock(first)
    assert layout.lock.read_text() == str(os.getpid())
    assert take_lock(layout) is None
    os.close(first)
    again = take_lock(layout)
    assert again is not None
    os.close(again)


def test_state_comes_back_as_it_was_and_is_private(tmp_path: Path) -> None:
    layout = make_directory(tmp_path / "dev")
    state = State("v", ("a", "b"), {"agent a": Process(1, 2)}, {"a": 7}, "127.0.0.1:1", ready=True)
    state.save(layout)
    assert load_state(layout) == state
    assert stat.S_IMODE(layout.state.stat().st_mode) == 0o600


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"processes": {"a": 1}}', '{"processes": {}, "x": 1}'])
def test_a_torn_state_file_counts_as_none(tmp_path: Path, text: str) -> None:
    layout = make_directory(tmp_path / "dev")
    layout.state.write_text(text)
    assert load_state(layout) is None


def test_running_tells_nothing_from_starting_from_up(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="nothing runs"):
        running(tmp_path / "dev")
    layout = make_directory(tmp_path / "dev")
    lock = take_lock(layout)
    assert lock is not None
    with pytest.raises(NotFoundError, match="still starting"):
        running(tmp_path / "dev")
    State("v", ("a",), ready=True).save(layout)
    assert running(tmp_path / "dev")[1].nodes == ("a",)
    os.close(lock)
    with pytest.raises(NotFoundError, match="nothing runs"):
        running(tmp_path / "dev")
