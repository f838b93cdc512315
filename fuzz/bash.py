"""A bash that lives as long as the fuzz run and tells what it would run for a line, as argv.

No command exists in it: builtins are disabled, PATH leads nowhere, and functions or the not-found handler write
down the words they were called with. It may write no file and, where that can be arranged, belongs to nobody.
"""

from __future__ import annotations

import os
import pwd
import select
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

# The loop's own words. No line that holds one as a command is shown to bash.
RESERVED = frozenset(["eval", "read", "builtin", "note", "command_not_found_handle"])
_TIMEOUT_S = 10.0
_LONGEST = 3000  # what a process writes of a line must be one write, so that stages don't mix

_SCRIPT = r"""
note() {
  IFS=$'\x01'; words="$*"; IFS=$' \t\n'
  builtin printf '%s\x03' "$rc.$words" >&@notes@
  (( ! rc ))
}
command_not_found_handle() { note "$@"; }
@functions@
set +H
ulimit -f 0
for name in $(compgen -b); do
  case $name in eval|read|builtin|enable|printf) ;; *) enable -n "$name" ;; esac
done
enable -n enable
while IFS= read -r -d '' -u @lines@ line; do
  for rc in 0 1; do
    (( ! rc ))
    eval -- "$line" </dev/null
  done
  builtin printf '\x04' >&@notes@
done
"""

Runs = list[list[str]]


class BashEndedError(Exception):
    """bash ended, or did not answer in time, over a line."""


class Bash:
    """One process, started at the first line; it stands in `root` with `variables` and knows `commands`."""

    def __init__(self, root: Path, variables: Mapping[str, str], commands: Iterable[str]) -> None:
        names = [name for name in commands if name not in RESERVED]
        functions = "\n".join(f'{name}() {{ note {name} "$@"; }}' for name in names)
        self._script = _SCRIPT.replace("@functions@", functions)
        self._root, self._variables = root, dict(variables)
        self._process: subprocess.Popen[bytes] | None = None
        self._lines = self._notes = -1

    def runs(self, line: str) -> tuple[Runs, Runs] | None:
        """What runs when every command succeeds, and when every one fails, sorted; None for a line too long."""
        data = line.encode("utf-8")
        if len(data) > _LONGEST:
            return None
        if self._process is None:
            self._start()
        _write_all(self._lines, data + b"\0")
        answer = self._read()
        found: tuple[Runs, Runs] = ([], [])
        for note in answer.split(b"\x03")[:-1]:
            status, _, words = note.partition(b".")
            found[int(status)].append(words.decode("utf-8", "surrogateescape").split("\x01"))
        if any(sum(map(len, argv)) > _LONGEST for argv in found[0]):
            return None
        return sorted(found[0]), sorted(found[1])

    def _read(self) -> bytes:
        chunks: list[bytes] = []
        while True:
            ready, _, _ = select.select([self._notes], [], [], _TIMEOUT_S)
            chunk = os.read(self._notes, 65536) if ready else b""
            if not chunk:
                self.close()
                raise BashEndedError("bash ended" if ready else f"no answer within {_TIMEOUT_S:g} s")
            chunks.append(chunk)
            if chunk.endswith(b"\x04"):
                return b"".join(chunks)[:-1]

    def _start(self) -> None:
        lines, self._lines = os.pipe()
        self._notes, notes = os.pipe()
        nobody = pwd.getpwnam("nobody") if os.getuid() == 0 else None
        self._process = subprocess.Popen(
            [
                "/bin/bash",
                "--noprofile",
                "--norc",
                "-c",
                self._script.replace("@lines@", str(lines)).replace("@notes@", str(notes)),
            ],
            cwd=self._root,
            env={"LC_ALL": "C.UTF-8", "PATH": "/nonexistent", **self._variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(lines, notes),
            user=nobody and nobody.pw_uid,
            group=nobody and nobody.pw_gid,
            extra_groups=nobody and [],
        )
        os.close(lines)
        os.close(notes)

    def close(self) -> None:
        """End the process."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        os.close(self._lines)
        os.close(self._notes)
        self._process = None


def _write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]
