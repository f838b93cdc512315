from __future__ import annotations

import os
import pty
import tempfile
import termios

from hypothesis import given
from hypothesis import strategies as st

from pactsh.shell.lines import FileLines, SharedLines, TerminalLines, TooLong
from pactsh.shell.runner import LINE_LIMIT_BYTES

texts = st.lists(st.binary(max_size=5000).map(lambda data: data.replace(b"\n", b"")), max_size=8)


def drained(lines: FileLines | SharedLines) -> list[bytes | TooLong]:
    out: list[bytes | TooLong] = []
    while (line := lines.read_line()) is not None:
        out.append(line)
    return out


@given(texts, st.booleans(), st.sampled_from([FileLines, SharedLines]))
def test_lines_of_a_file(content: list[bytes], ends: bool, kind: type[FileLines | SharedLines]) -> None:
    data = b"\n".join(content) + (b"\n" if ends else b"")
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.seek(0)
        expected = data.split(b"\n")
        if expected[-1] == b"":
            expected.pop()
        assert drained(kind(file.fileno())) == expected


def test_a_shared_file_is_left_behind_the_line() -> None:
    with tempfile.TemporaryFile() as file:
        file.write(b"one\ntwo\nthree\n")
        file.seek(0)
        assert SharedLines(file.fileno()).read_line() == b"one"
        assert os.read(file.fileno(), 100) == b"two\nthree\n"


def test_a_shared_pipe_is_left_behind_the_line() -> None:
    reader, writer = os.pipe()
    os.write(writer, b"one\ntwo\n")
    assert SharedLines(reader).read_line() == b"one"
    assert os.read(reader, 100) == b"two\n"
    os.close(reader)
    os.close(writer)


def test_too_long_lines_are_read_to_their_end() -> None:
    for kind in (FileLines, SharedLines):
        with tempfile.TemporaryFile() as file:
            file.write(b"x" * LINE_LIMIT_BYTES + b"\n" + b"y" * (LINE_LIMIT_BYTES + 1) + b"\nafter\n" + b"z" * 200_000)
            file.seek(0)
            whole, long, after, unended = drained(kind(file.fileno()))
        assert whole == b"x" * LINE_LIMIT_BYTES
        assert long == b"y" * (LINE_LIMIT_BYTES + 1)  # enough for the agent to refuse it
        assert after == b"after"
        assert unended == b"z" * (LINE_LIMIT_BYTES + 1)


def test_a_terminals_lines_and_what_was_put_back() -> None:
    master, slave = pty.openpty()
    lines = TerminalLines(slave)
    lines.put_back(b"typed\rah")
    os.write(master, b"ead\nlast\n")
    assert [lines.read_line() for _ in range(3)] == [b"typed", b"ahead", b"last"]
    os.write(master, b"\x04")
    assert lines.read_line() is None
    os.close(master)
    os.close(slave)


def test_a_line_cut_by_the_terminal_is_too_long() -> None:
    master, slave = pty.openpty()
    modes = termios.tcgetattr(slave)
    modes[3] &= ~termios.ECHO
    termios.tcsetattr(slave, termios.TCSANOW, modes)
    lines = TerminalLines(slave)
    os.write(master, b"x" * 4094 + b"\n")
    assert lines.read_line() == b"x" * 4094
    os.write(master, b"x" * 4095 + b"\n")
    assert isinstance(lines.read_line(), TooLong)
    os.close(master)
    os.close(slave)
