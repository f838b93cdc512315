"""Terminals: whatever a client says of its own becomes a sane value, and what was typed is not lost."""

from __future__ import annotations

import base64
import fcntl
import os
import struct
import termios

import pytest
from pact_agent.io import Pty, Terminal, encode_unread, parse_lang

LONG = "x" * 63


@pytest.mark.parametrize(
    "name", ["xterm", "xterm-256color", "screen.xterm-256color", "rxvt-unicode", "vt100+nav", LONG]
)
def test_names_of_terminfo_are_kept(name: str) -> None:
    assert Terminal.of(name, 24, 80).term == name


@pytest.mark.parametrize(
    "name",
    ["", None, 7, b"xterm", ["xterm"], "../x", "/etc/x", "-e", ".x", "x y", "x\n", "x\0", "x\x1b[2J", "ü", LONG + "x"],
)
def test_anything_else_is_a_dumb_terminal(name: object) -> None:
    assert Terminal.of(name, 24, 80).term == "dumb"


@pytest.mark.parametrize(
    ("rows", "cols", "size"),
    [
        (50, 132, (50, 132)),
        (1, 1, (1, 1)),
        (500, 500, (500, 500)),
        (501, 1 << 70, (500, 500)),
        (0, -1, (24, 80)),
        (None, "80", (24, 80)),
        (24.5, [], (24, 80)),
        (True, False, (24, 80)),
    ],
)
def test_sizes_are_bounded(rows: object, cols: object, size: tuple[int, int]) -> None:
    terminal = Terminal.of("xterm", rows, cols)
    assert (terminal.rows, terminal.cols) == size


@pytest.mark.parametrize("value", ["C", "POSIX", "C.UTF-8", "de_DE", "de_DE.UTF-8", "ast_ES.ISO8859-15"])
def test_locales_are_kept(value: str) -> None:
    assert parse_lang(value) == value


@pytest.mark.parametrize(
    "value", ["", None, 3, "de", "de_DE.UTF-8\n", "../x", "/tmp/x", "de_DE@euro", "C.UTF-8;id", "xx_YY."]
)
def test_other_locales_are_not(value: object) -> None:
    assert parse_lang(value) == "C.UTF-8"


def test_a_terminal_has_the_size_and_gives_back_what_nobody_read() -> None:
    pty = Pty(Terminal("xterm", 40, 100))
    try:
        size = struct.unpack("HHHH", fcntl.ioctl(pty.slave, termios.TIOCGWINSZ, bytes(8)))
        assert size[:2] == (40, 100)
        pty.resize(100_000, 0)  # as untrusted as the first size
        size = struct.unpack("HHHH", fcntl.ioctl(pty.slave, termios.TIOCGWINSZ, bytes(8)))
        assert size[:2] == (500, 80)
        os.write(pty.master, b"read\nnot read\nhalf")
        assert os.read(pty.slave, 100) == b"read\n"
        assert pty.close() == b"not read\nhalf"
        assert pty.close() == b""
    finally:
        os.close(pty.master)


def test_a_terminal_whose_other_end_is_gone_has_nothing_left() -> None:
    pty = Pty(Terminal())
    os.close(pty.master)
    assert pty.close() == b""


def test_unread_input_travels_as_base64() -> None:
    assert base64.b64decode(encode_unread(b"\xff\x00 ls\n")) == b"\xff\x00 ls\n"
