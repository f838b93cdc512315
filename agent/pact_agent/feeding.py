"""Compressed files for a program that reads plain text: `zgrep` without the shell script of that name.

In the stage's own process, bound already: for each file the program is started once more, in a child,
with the text on its stdin. The filter lets each of these processes make the one exec that its copy of
the ticket is good for; none of the programs can start anything. Source of the semantics: zgrep(1).
Standard library only, nothing imported late.
"""

from __future__ import annotations

import os
import signal
import sys
import zlib
from collections.abc import Iterator, Sequence

from pact_agent import kernel
from pact_agent.seccomp import ExecTicket

_CHUNK = 1 << 16
_GZIP = 16 + zlib.MAX_WBITS  # zlib.h, inflateInit2: a gzip header and no other
_MATCHED, _NOTHING, _TROUBLE = 0, 1, 2


class Damaged(Exception):  # noqa: N818  it is what the file is
    """Compressed data that can't be read any further."""


def run(names: Sequence[str], path: bytes, argv: list[bytes], environ: list[bytes], ticket: ExecTicket) -> int:
    """Run the program for each file; the status as grep has it: matched somewhere, nowhere, or trouble."""
    worst = _NOTHING
    matched = False
    for name in names:
        try:
            source = 0 if name == "-" else os.open(os.fsencode(name), os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC)
        except OSError as error:
            worst = _say(argv, name, error.strerror or "")
            continue
        label = [b"--label=" + os.fsencode(name)] if name != "-" else []
        options = [*([b"-H"] if len(names) > 1 else ()), *label]
        ticket.fill(path, [argv[0], *options, *argv[1:]], environ)
        status, trouble = _one(source, ticket)
        if source:
            os.close(source)
        if trouble:
            worst = _say(argv, name, trouble)
        if status > 128:
            return status
        matched = matched or status == _MATCHED
        worst = max(worst, status)
    return worst if worst >= _TROUBLE else _MATCHED if matched else _NOTHING


def _one(source: int, ticket: ExecTicket) -> tuple[int, str]:
    """Feed one file to one run of the program: its status, and what was wrong with the file."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
            os.dup2(read, 0, inheritable=True)
            ticket.execute()
        finally:
            os._exit(126)
    os.close(read)
    trouble = ""
    # A stage dies of a broken pipe; here it only means that this file has been read enough.
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    try:
        for text in plain(source):
            while text:
                text = text[os.write(write, text) :]  # noqa: PLW2901  what is left to write
    except BrokenPipeError:
        pass  # it has read enough
    except Damaged as error:
        trouble = str(error)
    except OSError as error:
        trouble = error.strerror or ""
    os.close(write)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return (128 - code if code < 0 else code), trouble


def plain(source: int) -> Iterator[bytes]:
    """The text of a descriptor: decompressed where it is gzip's (RFC 1952, any number of members), else as it is.

    Raises `Damaged`; what could be read before is given out first.
    """
    data = os.read(source, _CHUNK)
    while 0 < len(data) < 2 and (more := os.read(source, _CHUNK)):
        data += more
    if data[:2] != b"\x1f\x8b":
        while data:
            yield data
            data = os.read(source, _CHUNK)
        return
    member = zlib.decompressobj(_GZIP)
    while data:
        try:
            yield member.decompress(data, _CHUNK)
        except zlib.error:
            raise Damaged("the compressed data is damaged") from None
        data = member.unconsumed_tail
        if member.eof:
            data = member.unused_data.lstrip(b"\0")  # padding between and after members
            data = data or os.read(source, _CHUNK).lstrip(b"\0")
            if not data:
                return
            member = zlib.decompressobj(_GZIP)
        elif not data:
            data = os.read(source, _CHUNK)
    raise Damaged("the compressed data ends too early")


def _say(argv: list[bytes], name: str, what: str) -> int:
    """Tell what is wrong with a file; the status for that."""
    sys.stderr.flush()
    os.write(2, argv[0] + b": " + os.fsencode(name) + b": " + what.encode() + b"\n")
    return _TROUBLE
