"""Entries in the kernel's log: whole, in parts that the kernel keeps, and nothing when it takes none."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pact_agent.lastresort import KMSG, LastResort
from pact_agent.records import Unnumbered

from pactsh.errors import PactError
from pactsh.model.entry import Author, JsonObject

AUTHOR = Author("root@org", ("pact-platform-admin",), "human")


def draft(line: str) -> Unnumbered:
    return Unnumbered(
        time="2026-01-31T12:00:00.000000Z", type="intent", scope="node:n", author=AUTHOR, body={"line": line}
    )


KERNEL_LOG = pytest.mark.skipif(
    not os.access(KMSG, os.W_OK), reason="no kernel log to write to: run as root where there is one"
)


def logged(write: Callable[[LastResort], object]) -> list[JsonObject]:
    """The bodies of the entries that `write` puts into the kernel's log."""
    log = os.open(KMSG, os.O_RDONLY | os.O_NONBLOCK)
    try:
        os.lseek(log, 0, os.SEEK_END)
        write(LastResort("node042"))
        found: dict[int, str] = {}
        while True:
            try:
                record = os.read(log, 8192).decode()
            except BlockingIOError:
                break
            match = re.search(r";pact-agent: node042: (\d+) \d+/\d+ (.*)\n", record)
            if match:
                found[int(match[1])] = found.get(int(match[1]), "") + match[2]
    finally:
        os.close(log)
    return [json.loads(text)["body"] for text in found.values()]


@KERNEL_LOG
@pytest.mark.parametrize(("length", "count"), [(10, 30), (5000, 3)])  # more at once than one opening may write; parts
def test_the_kernel_has_the_whole_entry(length: int, count: int) -> None:
    def write(made: LastResort) -> None:
        for number in range(count):
            made.write(draft(f"echo {number} " + "x" * length))

    bodies = logged(write)
    assert [body["line"] for body in bodies] == [f"echo {n} " + "x" * length for n in range(count)]
    assert {body["recorded"] for body in bodies} == {"kernel-log"}


@KERNEL_LOG
def test_those_written_at_once_are_whole_too() -> None:
    count = 16

    def write(made: LastResort) -> None:
        with ThreadPoolExecutor(count) as pool:
            list(pool.map(made.write, [draft(f"{n} " + "x" * 3000) for n in range(count)]))

    lines = sorted(int(str(body["line"]).split()[0]) for body in logged(write))
    assert lines == list(range(count))


def test_what_the_kernel_does_not_take_is_an_error_and_not_kept(tmp_path: Path) -> None:
    made = LastResort("node042", str(tmp_path / "missing" / "kmsg"))
    with pytest.raises(PactError, match="No such file"):
        made.write(draft("echo"))
    assert len(made) == 0


def test_entries_wait_in_order(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.touch()
    made = LastResort("node042", str(log))
    for line in ("one", "two"):
        made.write(draft(line))
    seen = []
    while (waiting := made.next()) is not None:
        seen.append((waiting.body or {})["line"])
        made.done(waiting)
    assert seen == ["one", "two"]
