"""What is known about the line being typed, before Enter: from the parser here, from the agent when it has said.

The agent alone decides. Its answers to `check` frames are kept, so that a command that this vCluster's
policy refuses or adds looks it from the second time on; until then the local catalog is asked.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection

from pactsh.language import LineError, Malformed, parse
from pactsh.shell.toolbar import Message
from pactsh.shell.wire import Frame

_CHECKED_CHARACTERS = 4096


class Judge:
    """Keeps verdicts. `commands` are the names that may be run; `send_check` sends a `check` frame and says whether
    that was possible."""

    def __init__(self, commands: Collection[str], send_check: Callable[[str], bool]) -> None:
        self.commands = commands
        self._send_check = send_check
        self._learned: dict[str, bool] = {}
        self._asked: deque[str] = deque()
        self._waiting: str | None = None
        self._answer: tuple[str, Message | None] = ("", None)

    def is_allowed(self, name: str) -> bool:
        """Tell whether a command's name is whitelisted, as far as is known here."""
        learned = self._learned.get(name)
        return name in self.commands if learned is None else learned

    def replace(self, commands: Collection[str]) -> None:
        """Take the names of a changed policy, and forget what the old one said."""
        self.commands = commands
        self._learned.clear()
        self._answer = ("", None)

    def message(self, text: str) -> Message | None:
        """Say what is wrong with the text, None when nothing is known to be."""
        for line in text.split("\n"):
            try:
                parse(line)
            except Malformed as error:
                if not error.incomplete:  # half a line is not a mistake
                    return Message("malformed", error.reason)
                return None
            except LineError as error:
                return Message("refused", error.reason)
        line, message = self._answer
        return message if line == text else None

    def ask(self, text: str) -> None:
        """Have the agent judge the text; only the newest waits while an answer is out."""
        if not text.strip() or len(text) > _CHECKED_CHARACTERS or "\n" in text or text == self._answer[0]:
            return
        try:
            parse(text)
        except LineError:
            return
        if self._asked:
            self._waiting = text
        elif self._send_check(text):
            self._asked.append(text)

    def answered(self, frame: Frame) -> None:
        """Take in a `decision` frame; answers come in the order of the questions."""
        if not self._asked:
            return
        text = self._asked.popleft()
        refused = frame.text("verdict") == "refuse"
        message = None
        span = frame.span()
        unfinished = span is not None and span[1] == len(text)  # "di" on the way to "diff" is no mistake
        if refused and not unfinished:
            what = "malformed" if frame.number("status") == 1 else "refused"
            message = Message(what, frame.text("reason"))
        self._learn(text, frame, refused=refused)
        self._answer = (text, message)
        if self._waiting is not None:
            waiting, self._waiting = self._waiting, None
            self.ask(waiting)

    def reset(self) -> None:
        """Forget questions that a lost connection will never answer."""
        self._asked.clear()
        self._waiting = None

    def _learn(self, text: str, frame: Frame, *, refused: bool) -> None:
        span = frame.span()
        for item in parse(text).items:
            for stage in item.pipeline.stages:
                start, end = stage.words[0].span
                if not refused:
                    self._learned[text[start:end]] = True
                elif span == (start, end):
                    self._learned[text[start:end]] = False
