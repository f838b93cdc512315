"""One recording: what is shown is in it, what can't be in it is not shown."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from pact_agent import recording
from pact_agent.recording import Recording

from pactsh.model.asciicast import Event, Header, Origin, parse
from tests.pact_agent.recording import FakeClock

HEADER = Header(2, 80, 24, 1700000000, "t", {"TERM": "dumb"}, Origin("00" * 8, principal="alice@org"))


async def begun(tmp_path: Path, limit_bytes: int = 1 << 20) -> tuple[Recording, FakeClock, Path]:
    clock, path = FakeClock(), tmp_path / f"{'00' * 8}.cast"
    return await recording.create(path, HEADER, limit_bytes=limit_bytes, clock=clock), clock, path


def events(path: Path) -> list[Event]:
    with path.open("rb") as file:
        return list(parse(file, path.name)[1])


def test_what_is_shown_is_in_the_file_with_its_time_and_its_hash(tmp_path: Path) -> None:
    async def go() -> None:
        made, clock, path = await begun(tmp_path)
        assert path.stat().st_mode & 0o777 == 0o600
        assert made.shown(b"one\r\n\xe6\x97")
        clock.pass_s(1.5)
        assert made.shown(b"\xa5")
        made.resized(100, 30)
        made.ended.set()
        sealed = await made.seal()
        data = path.read_bytes()
        assert (sealed.sha256, sealed.bytes, sealed.seconds) == (hashlib.sha256(data).hexdigest(), len(data), 1.5)
        assert events(path) == [Event(0, "o", "one\r\n"), Event(1.5, "o", "日"), Event(1.5, "r", "100x30")]
        assert await made.seal() == sealed
        assert not made.shown(b"late")
        assert made.problem == ""

    asyncio.run(go())


def test_it_is_on_disk_long_before_its_end(tmp_path: Path) -> None:
    """What an agent that is killed leaves behind."""

    async def go() -> None:
        made, _, path = await begun(tmp_path)
        made.shown(b"seen")
        async with asyncio.timeout(10):
            while b"seen" not in path.read_bytes():
                await asyncio.sleep(0.01)
        await made.discard()
        assert not path.exists()

    asyncio.run(go())


def test_at_its_limit_it_ends_with_a_marker_and_nothing_more_is_shown(tmp_path: Path) -> None:
    async def go() -> None:
        made, _, path = await begun(tmp_path, limit_bytes=20_000)
        told: list[str] = []
        made.on_problem = told.append
        shown = 0
        while made.shown(b"x" * 1000):
            shown += 1
        assert not made.shown(b"y")
        made.ended.set()
        sealed = await made.seal()
        assert told == [made.problem] == ["its recording has reached the limit of 0 MiB"]
        assert sealed.bytes <= 20_000
        *output, marker = events(path)
        assert [event.data for event in output] == ["x" * 1000] * shown
        assert (marker.code, marker.data) == ("m", f"pact: {made.problem}: the session ends")

    asyncio.run(go())


def failing_after(count: int, code: int) -> Callable[[int, bytes], int]:
    """A write(2) that takes half of a piece after `count` calls, and then fails."""
    real, calls = os.write, iter(range(count + 1))

    def write(fd: int, data: bytes) -> int:
        number = next(calls, None)
        if number is None:
            raise OSError(code, os.strerror(code))
        return real(fd, data if number < count else data[: len(data) // 2])

    return write


def test_a_disk_that_is_full_ends_it_with_whole_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def go() -> None:
        made, _, path = await begun(tmp_path)
        failed = asyncio.Event()
        made.on_problem = lambda _problem: failed.set()
        monkeypatch.setattr("os.write", failing_after(1, errno.ENOSPC))
        made.shown(b"one")
        async with asyncio.timeout(10):
            while b"one" not in path.read_bytes():
                await asyncio.sleep(0.01)
            made.shown(b"two")
            await failed.wait()
        assert not made.shown(b"three")
        monkeypatch.undo()  # there is room again: a gap would be worse than an end
        made.ended.set()
        sealed = await made.seal()
        assert made.problem == "it can't be recorded any more (No space left on device)"
        assert [event.data for event in events(path)] == ["one"]
        assert sealed.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()

    asyncio.run(go())


def test_what_can_not_begin_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def go() -> None:
        monkeypatch.setattr("os.write", failing_after(0, errno.EIO))
        with pytest.raises(OSError, match="Input/output error"):
            await begun(tmp_path)

    asyncio.run(go())
    assert list(tmp_path.iterdir()) == []


def test_whoever_feeds_it_is_held_back_while_the_disk_lags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def go() -> None:
        made, _, _path = await begun(tmp_path, limit_bytes=64 << 20)
        lags: list[bool] = []
        changed = asyncio.Event()

        def on_lag(lagging: bool) -> None:
            lags.append(lagging)
            changed.set()

        made.on_lag = on_lag
        for _ in range(20):
            made.shown(b"z" * 65536)
        assert lags == [True]
        changed.clear()
        async with asyncio.timeout(10):
            await changed.wait()
        assert lags == [True, False]
        made.ended.set()
        await made.seal()

    asyncio.run(go())
