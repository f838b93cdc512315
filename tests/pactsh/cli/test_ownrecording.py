"""A person's own copy: a new file, whole as far as the disk takes it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from pactsh.cli.ownrecording import OwnRecording
from pactsh.errors import UsageError
from pactsh.model.asciicast import parse

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def test_what_is_shown_is_in_it(tmp_path: Path) -> None:
    path = tmp_path / "x.cast"
    with OwnRecording(path, "shell on node042", (100, 30), "xterm", NOW) as recording:
        recording.shown(b"caf\xc3")
        recording.shown(b"\xa9\xe6")
        recording.resized(80, 24)
    assert path.stat().st_mode & 0o777 == 0o600
    with path.open("rb") as file:
        header, events = parse(file, path.name)
        assert (header.width, header.height, header.title, header.pact) == (100, 30, "shell on node042", None)
        assert [(e.code, e.data) for e in events] == [
            ("o", "caf"),
            ("o", "é"),
            ("r", "80x24"),
            ("o", "\N{REPLACEMENT CHARACTER}"),
        ]
    assert recording.problem == ""


def test_no_file_is_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "x.cast"
    path.write_text("mine")
    with pytest.raises(UsageError, match=r"shell: --record: .*x\.cast: File exists"):
        OwnRecording(path, "", (80, 24), "", NOW)
    assert path.read_text() == "mine"
    with pytest.raises(UsageError, match="No such file"):
        OwnRecording(tmp_path / "none" / "x", "", (80, 24), "", NOW)


def test_nothing_is_left_of_a_session_that_never_was(tmp_path: Path) -> None:
    with pytest.raises(KeyError), OwnRecording(tmp_path / "x.cast", "", (80, 24), "", NOW):
        raise KeyError("node042 can't be reached")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_ends_the_copy_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with OwnRecording(tmp_path / "x.cast", "", (80, 24), "", NOW) as recording:

        def full(_fd: int, _data: bytes) -> int:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("os.write", full)
        recording.shown(b"one")
        monkeypatch.undo()
        recording.shown(b"two")
    assert recording.problem == "No space left on device"
    assert b"two" not in (tmp_path / "x.cast").read_bytes()
