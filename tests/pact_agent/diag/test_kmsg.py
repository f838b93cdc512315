"""The kernel's log: records as the kernel writes them, and those of this very kernel."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from pact_agent.diag.kmsg import (
    DEVICE,
    Record,
    called_records,
    head_of,
    joined,
    parse_lines,
    parse_record,
    records_of,
    search_kernel,
)

from tests.pact_agent.diag.searching import search


@pytest.mark.parametrize(
    ("data", "flags", "record"),
    [
        (b"6,339,5140900,-;NET: up\n", b"-", Record(6, 5.1409, b"NET: up")),
        (b"7,160,424069,-,caller=T1;pci: [io]\n SUBSYSTEM=acpi\n DEVICE=+acpi:1\n", b"-", Record(7, 0.424069, b"pci: [io]")),  # noqa: E501
        (b"12,1,1,-;gr\\xc3\\xbcn\\x0aa\\x5cb\n", b"-", Record(12, 1e-06, "grün\na\\b".encode())),
        (b"4,2,3,c,from=a;part; of it\n", b"c", Record(4, 3e-06, b"part; of it")),
        (b"30,2,3;\n", b"-", Record(30, 3e-06, b"")),
    ],
)  # fmt: skip
def test_records(data: bytes, flags: bytes, record: Record) -> None:
    assert parse_record(data) == (flags, record)


@pytest.mark.parametrize("data", [b"", b"garbage", b"a,b,c,-;x", b"6,339;x", b"6,1,x,-;y", b"-6,1,1,-;y"])
def test_what_is_no_record(data: bytes) -> None:
    assert parse_record(data) is None


def test_pieces_of_a_line_are_put_together() -> None:
    def parts() -> Iterator[tuple[bytes, Record]]:
        yield b"-", Record(6, 1.0, b"whole")
        yield b"c", Record(6, 2.0, b"a ")
        yield b"+", Record(6, 2.1, b"b ")
        yield b"+", Record(6, 2.2, b"c")
        yield b"c", Record(6, 3.0, b"begun")
        yield b"+", Record(4, 3.1, b"by another")
        yield b"c", Record(6, 4.0, b"last")

    assert [r.text for r in joined(parts())] == [b"whole", b"a b c", b"begun", b"by another", b"last"]


def test_what_stands_before_a_message() -> None:
    assert head_of(Record(3, 5.25, b""), 1_000_000_000.0) == b"2001-09-09T01:46:45.250Z kern.err: "
    assert head_of(Record(12, None, b""), 0.0) == b"user.warning: "
    assert head_of(Record(16 * 8 + 7, 0.0, b""), 0.0) == b"1970-01-01T00:00:00.000Z local0.debug: "


def test_lines_of_the_call() -> None:
    data = b"<6>[    0.000000] Linux version\n<3>[12345.678901] bad\n<4>no time\njunk\n"
    assert list(parse_lines(data)) == [
        Record(6, 0.0, b"Linux version"),
        Record(3, 12345.678901, b"bad"),
        Record(4, None, b"no time"),
    ]


def marked() -> str:
    """A line that was just written to this kernel's log."""
    marker = f"pact-test-{secrets.token_hex(8)}"
    try:
        if not stat.S_ISCHR(os.stat(DEVICE).st_mode):
            pytest.skip(f"{DEVICE} is no device here")
        with open(DEVICE, "wb", buffering=0) as log:
            log.write(f"<12>{marker} gr\u00fcn \x1b[2J\n".encode())  # without the end of the line it is not one yet
        next(records_of(DEVICE))
    except (OSError, StopIteration) as error:
        pytest.skip(f"{DEVICE}: {error}: this needs a kernel's log that may be written and read")
    return marker


def test_a_line_in_the_kernels_log_is_found() -> None:
    marker = marked()
    found = search_kernel(search(grep=marker))
    assert (found.source, len(found.lines), found.error) == ("kernel", 1, "")
    assert found.lines[0].endswith(f"user.warning: {marker} grün \\x1b[2J")
    assert search_kernel(search(grep=marker, since="2999-01-01T00:00:00Z")).lines == []
    assert len(search_kernel(search(grep=marker, since="2020-01-01T00:00:00Z")).lines) == 1


def test_without_the_device_the_call_is_made() -> None:
    marker = marked()
    try:
        list(called_records())
    except OSError as error:
        pytest.skip(f"syslog(2): {error}")
    found = search_kernel(search(grep=marker), device="/nowhere/kmsg")
    assert (len(found.lines), found.error) == (1, "")
    assert f"user.warning: {marker}" in found.lines[0]


def test_a_link_in_the_devices_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("6,1,1,-;secret\n")
    (tmp_path / "kmsg").symlink_to(tmp_path / "secret")
    with pytest.raises(OSError, match="symbolic links"):
        next(records_of(str(tmp_path / "kmsg")))
