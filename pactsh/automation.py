"""Drives a pact shell from a script: lines in, status and output out.

Needs pexpect (`pip install 'pactsh[automation]'`).

    with Session("node042") as session:
        result = session.run("systemctl is-active sshd")
        if result.status != 0:
            print(result.output)

Without a node the `pactsh` of this machine is used. Each line is journaled under the identity that
runs the script, like one typed by hand; so are the `echo`s that ask for its status.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import pexpect

from pactsh.errors import PactError, UnreachableError, UsageError, error_of

_COLUMNS = 500  # the widest terminal that pact allows, so that output is not wrapped
_ROWS = 100
_KINDS = {1: "usage", 2: "auth", 3: "policy", 4: "conflict", 5: "timeout", 6: "not-whitelisted"}


@dataclass(frozen=True, slots=True)
class Result:
    """How a line ended: its status as `$?` had it, and what it printed (stdout and stderr as one)."""

    status: int
    output: str


class Session:
    """One interactive session in plain mode. Use as a context manager, or call `close`.

    `argv` replaces the program: it must lead to a pact prompt, as `("ssh", "node042")` does. `timeout_s` is how
    long to wait for the first prompt and for each line. Raises `PactError` of the kind the program ended with.
    """

    def __init__(self, node: str | None = None, *, argv: Sequence[str] | None = None, timeout_s: float = 30) -> None:
        self._timeout_s = timeout_s
        if argv is None:
            argv = (_program("pactsh"),) if node is None else (_program("pact"), "shell", node)
        self._child: pexpect.spawn[str] = pexpect.spawn(
            argv[0],
            list(argv[1:]),
            env={**os.environ, "TERM": "dumb"},
            dimensions=(_ROWS, _COLUMNS),
            encoding="utf-8",
            codec_errors="surrogateescape",
            echo=False,
            timeout=timeout_s,
        )
        self._child.delaybeforesend = None
        self._prompt, self._echoes = self._first_prompt()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def prompt(self) -> str:
        """The prompt that the shell shows, such as `pact:node042> `."""
        return self._prompt

    def run(self, line: str, *, timeout_s: float | None = None) -> Result:
        """Run one line and wait for its end. A refused line gives its refusal as output and status 6.

        Raises `UsageError` for text that is not one line, `UnreachableError` when it takes longer than
        `timeout_s` (the line is then interrupted), `PactError` when the session ends meanwhile.
        """
        if any(ord(character) < 32 for character in line):
            raise UsageError("a line holds no control characters", hint="run one line at a time")
        limit_s = self._timeout_s if timeout_s is None else timeout_s
        try:
            return self._run(line, limit_s)
        except pexpect.TIMEOUT:
            self._child.sendintr()
            self._settle()
            raise UnreachableError(f"no end after {limit_s} s: {line}") from None
        except pexpect.EOF:
            raise self._ended() from None

    def close(self) -> int:
        """Leave the session and return the program's exit status; closing twice is harmless."""
        if self._child.isalive():
            self._child.sendline("exit")
            try:
                self._child.expect(pexpect.EOF)
            except pexpect.TIMEOUT:
                pass
        self._child.close()
        return _status(self._child)

    def _run(self, line: str, limit_s: float) -> Result:
        """Run a line, then ask for its status together with a word that no output can know.

        Output may hold the prompt's text. If it is taken for the prompt, the question is typed too early, is read
        as type-ahead, and its answer still marks the line's real end.
        """
        self._child.sendline(line)
        prompt = re.escape(self._prompt)
        self._child.expect(prompt + "$", timeout=limit_s)
        output = self._without_echo(line, self._child.before or "")
        mark = secrets.token_hex(8)
        question = f"echo {mark} $?"
        self._child.sendline(question)
        self._child.expect(mark + r" (\d+)\r?\n" + prompt, timeout=limit_s)
        found = self._child.match
        assert isinstance(found, re.Match)
        more = re.sub(re.escape(question) + r"\r?\n", "", self._child.before or "")
        if more:
            output += self._prompt + more.removesuffix(self._prompt)
        return Result(int(found[1]), output.replace("\r\n", "\n"))

    def _without_echo(self, line: str, shown: str) -> str:
        return re.sub(rf"^{re.escape(line)}\r?\n", "", shown, count=1) if self._echoes else shown

    def _settle(self) -> None:
        """Get back to a prompt after an interrupt, or end the session: its state must be known."""
        mark = secrets.token_hex(8)
        self._child.sendline(f"echo {mark} $?")
        try:
            self._child.expect(mark + r" \d+\r?\n" + re.escape(self._prompt), timeout=5)
        except (pexpect.TIMEOUT, pexpect.EOF):
            self._child.close(force=True)

    def _first_prompt(self) -> tuple[str, bool]:
        """Wait for the prompt and find out whether the far terminal echoes, which a remote one may."""
        try:
            self._child.expect(r"(?:^|\n)(pact:[^\s>]+> )$")
            found = self._child.match
            assert isinstance(found, re.Match)
            prompt = str(found[1])
            mark = secrets.token_hex(8)
            self._child.sendline(f"echo {mark}")
            self._child.expect(rf"\r?\n{re.escape(prompt)}$")
        except pexpect.TIMEOUT:
            self._child.close(force=True)
            raise UnreachableError(f"no prompt after {self._timeout_s} s") from None
        except pexpect.EOF:
            raise self._ended() from None
        return prompt, f"echo {mark}" in (self._child.before or "")

    def _ended(self) -> PactError:
        """Turn the end of the program into the error that it stands for."""
        said = (self._child.before or "").replace("\r\n", "\n").strip()
        self._child.close()
        status = _status(self._child)
        kind = _KINDS.get(status, "error") if "pact: " in said else "error"  # `exit 6` is no refusal
        return error_of(kind, f"the session has ended with status {status}: {said}")


def _status(child: pexpect.spawn[str]) -> int:
    """The exit status as a shell would tell it."""
    if child.signalstatus is not None:
        return 128 + int(child.signalstatus)
    return int(child.exitstatus or 0)


def _program(name: str) -> str:
    """Find a program beside this interpreter, then in PATH."""
    beside = os.path.join(os.path.dirname(sys.executable), name)
    return beside if os.access(beside, os.X_OK) else shutil.which(name) or name
