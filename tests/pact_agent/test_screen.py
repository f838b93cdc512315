"""What `watch` shows, seen through a terminal emulator."""

from __future__ import annotations

import pyte
import pytest
from pact_agent.io import Terminal
from pact_agent.screen import Screen

from pactsh.catalog.watchargs import WatchOptions

NOW = "Wed Nov 25 22:40:00 2026"
WIDE = (10, 80)


def screen(options: WatchOptions, size: tuple[int, int] = WIDE, title: str = "ls") -> Screen:
    return Screen(options, title, "node042", Terminal("xterm", *WIDE), lambda: size)


def shown(*frames: bytes, size: tuple[int, int] = WIDE) -> pyte.Screen:
    """The terminal after these frames, which began with something else on it."""
    seen = pyte.Screen(size[1], size[0])
    stream = pyte.ByteStream(seen)
    stream.feed(b"old\r\n" * 20)
    for frame in frames:
        stream.feed(frame)
    return seen


def rows(seen: pyte.Screen) -> list[str]:
    return [line.rstrip() for line in seen.display]


def test_the_title_says_what_how_often_where_and_when() -> None:
    found = rows(shown(screen(WatchOptions()).frame(b"one\ntwo\n", 0, NOW)))
    assert found[0] == f"Every 2s: ls{'node042: ' + NOW:>68}"
    assert found[1:] == ["", "one", "two", "", "", "", "", "", ""]


def test_an_update_leaves_nothing_of_the_one_before() -> None:
    made = screen(WatchOptions(title=False))
    first, second = made.frame(b"a long line\nmore\nmore\n", 0, NOW), made.frame(b"short\n", 0, NOW)
    assert rows(shown(first, second)) == ["short", *[""] * 9]
    assert b"\x1b[2J" not in second  # it would flicker


def test_what_does_not_fit_is_cut_and_never_scrolls() -> None:
    made = screen(WatchOptions(), size=(6, 20), title="a title that is far too long")
    text = "".join(f"{n} {'x' * 50}\n" for n in range(50)).encode()
    found = rows(shown(made.frame(text, 0, NOW), made.frame(text, 0, NOW), size=(6, 20)))
    assert found == [
        "Every 2s: a title th",
        "",
        "0 xxxxxxxxxxxxxxxxxx",
        "1 xxxxxxxxxxxxxxxxxx",
        "2 xxxxxxxxxxxxxxxxxx",
        "",
    ]


@pytest.mark.parametrize(("kind", "still"), [("last", False), ("permanent", True)])
def test_differences_are_in_reverse(kind: str, still: bool) -> None:
    made = screen(WatchOptions(title=False, differences=kind))
    frames = [made.frame(text, 0, NOW) for text in (b"load 1.00\n", b"load 2.00\n")]
    row = shown(*frames).buffer[0]
    assert [row[n].reverse for n in range(9)] == [False] * 5 + [True] + [False] * 3
    again = shown(*frames, made.frame(b"load 2.00\n", 0, NOW)).buffer[0]
    assert again[5].reverse is still


@pytest.mark.parametrize(
    "nasty",
    [
        b"\x1b[2J\x1b[1;1H",
        b"\x1b]0;title\x07",
        b"\x1bc",
        b"\x9b2J",
        b"\x1b[?1049h",
        b"\x07\x08",
        b"\x1bP1;1|x\x1b\\",
        b"\x1b",
    ],
)
@pytest.mark.parametrize("color", [True, False])
def test_what_a_command_prints_cannot_steer_the_terminal(nasty: bytes, color: bool) -> None:
    frame = screen(WatchOptions(title=False, color=color)).frame(b"a" + nasty + b"b\n", 0, NOW)
    own = (
        frame.replace(b"\x1b[H\x1b[2J", b"", 1).replace(b"\x1b[K", b"").replace(b"\x1b[J", b"").replace(b"\x1b[m", b"")
    )
    assert all(32 <= c < 127 or c in b"\r\n" or c > 0xBF or (0x80 <= c < 0xC0 and b"\xef\xbf\xbd" in own) for c in own)
    assert b"\x1b" not in own
    assert rows(shown(frame))[0].startswith("a")


def test_colours_are_shown_when_asked_for() -> None:
    text = b"\x1b[31mred\x1b[0m plain\n"
    plain = shown(screen(WatchOptions(title=False)).frame(text, 0, NOW))
    coloured = shown(screen(WatchOptions(title=False, color=True)).frame(text, 0, NOW))
    assert rows(plain)[0] == rows(coloured)[0] == "red plain"
    assert (plain.buffer[0][0].fg, coloured.buffer[0][0].fg) == ("default", "red")


def test_differences_and_colours_go_together() -> None:
    made = screen(WatchOptions(title=False, differences="last", color=True))
    frames = [
        made.frame(f"\x1b[{colour}m{text}\x1b[m end\n".encode(), 0, NOW) for colour, text in ((31, "1.0"), (32, "2.0"))
    ]
    seen = shown(*frames)
    assert rows(seen)[0] == "2.0 end"
    assert [seen.buffer[0][n].fg for n in range(5)] == ["green"] * 3 + ["default"] * 2
    assert [seen.buffer[0][n].reverse for n in range(5)] == [True] + [False] * 4


def test_wide_characters_and_tabs_count_as_the_cells_they_take() -> None:
    made = screen(WatchOptions(title=False), size=(4, 10))
    assert rows(shown(made.frame("a\tbc\n漢字漢字漢字\n".encode(), 0, NOW), size=(4, 10)))[0] == "a       bc"


def test_a_failure_beeps_when_asked_to() -> None:
    assert b"\a" in screen(WatchOptions(beep=True)).frame(b"", 1, NOW)
    assert b"\a" not in screen(WatchOptions(beep=True)).frame(b"", 0, NOW)
    assert b"\a" not in screen(WatchOptions()).frame(b"", 1, NOW)


@pytest.mark.parametrize("terminal", [None, Terminal("dumb", 24, 80)])
def test_without_a_real_terminal_runs_follow_one_another_in_plain_text(terminal: Terminal | None) -> None:
    made = Screen(WatchOptions(), "ls", "node042", terminal, lambda: (0, 0))
    text = made.frame(b"\x1b[31mone\x1b[0m\n", 0, NOW) + made.frame(b"two\n", 0, NOW)
    title = f"Every 2s: ls  node042: {NOW}"
    assert text.decode().split("\n") == [title, "", "one", "", title, "", "two", ""]
