"""The full prompt: reads lines with prompt-toolkit and runs each through the agent.

One thread, one event loop. While a line is typed the loop serves the agent's frames; while a line runs
it stands still and `runner` serves the connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import time
from collections.abc import Awaitable, Callable

from prompt_toolkit import PromptSession
from prompt_toolkit.application import run_in_terminal
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.input import Input
from prompt_toolkit.input.typeahead import store_typeahead
from prompt_toolkit.input.vt100_parser import Vt100Parser
from prompt_toolkit.key_binding import KeyPress
from prompt_toolkit.output import Output

from pactsh.catalog import load_catalog
from pactsh.shell.completer import LineCompleter
from pactsh.shell.highlight import LineLexer
from pactsh.shell.judge import Judge
from pactsh.shell.link import Link
from pactsh.shell.prompt import Surface, build_prompt, history_of
from pactsh.shell.report import error_text, notice_text, visible, write_error
from pactsh.shell.runner import AgentError, Outcome, send_line
from pactsh.shell.script import open_session, run_input
from pactsh.shell.toolbar import Fragments, Message, State, refresh_interval_s, render_toolbar
from pactsh.shell.wire import Connection, ConnectionLost, Frame, connect

_RECONNECT_FOR_S = 30.0
_RECONNECT_EVERY_S = 0.5
_CHECK_AFTER_S = 0.08  # a pause in typing, not every key


class Left(Exception):  # noqa: N818
    """Leaves the prompt with a status."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Repl:
    """An interactive session at a terminal."""

    def __init__(
        self,
        connection: Connection,
        session: Frame,
        *,
        input: Input | None = None,  # noqa: A002  prompt-toolkit's own name
        output: Output | None = None,
    ) -> None:
        self._node = visible(session.text("node"))
        self._cwd = session.text("cwd") or "/"
        self._status = 0
        self._leaving: int | None = None
        self._farewell = ""
        self._sent = ""
        self._state: State | None = None
        self._pasted = 0
        self._after_line: Callable[[], None] = lambda: None
        self._shown: Fragments = []
        self._printing: set[Awaitable[None]] = set()
        self._check_timer: asyncio.TimerHandle | None = None
        self._link = Link(connection, self._on_frame, self._on_lost)
        self._shipped = catalog = load_catalog()
        self._judge = Judge(catalog, self._link.ask_check)
        self._completer = LineCompleter(catalog, lambda: self._cwd, self._judge.is_allowed)
        self._policy = ""
        self._prompt: PromptSession[str] = build_prompt(
            Surface(self._prompt_text, self._toolbar, self._on_pasted),
            completer=self._completer,
            lexer=LineLexer(self._judge.is_allowed),
            history=history_of(ask_history(connection)),
            input=input,
            output=output,
        )
        self._accept = self._prompt.default_buffer.accept_handler
        self._prompt.default_buffer.accept_handler = self._accepted
        self._prompt.default_buffer.on_text_changed += lambda _buffer: self._text_changed()

    def run(self, after_first_line: Callable[[], None] = lambda: None) -> int:
        """Run to the end of the session and return its status.

        `after_first_line` is called once the editor has first given the terminal back.
        """
        self._after_line = after_first_line
        gc.freeze()  # what is loaded by now stays: collections that look at all of it would be felt when typing
        loop = asyncio.new_event_loop()
        # Not closed: a completion thread hanging in a dead file system must not hold up the exit.
        asyncio.set_event_loop(loop)
        return loop.run_until_complete(self._main())

    async def _main(self) -> int:
        signal.signal(signal.SIGINT, lambda *_: None)  # between prompts; prompt-toolkit and runner set their own
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._leave, 128 + number)
        ticker = loop.create_task(self._tick())
        try:
            while self._leaving is None:
                text = await self._read()
                if text is not None and self._leaving is None:
                    self._run_lines(text)
            return self._leaving
        except Left as left:
            return left.status
        finally:
            ticker.cancel()
            self._link.stop()
            if self._farewell:
                write_error(self._farewell)
            self._link.connection.post({"op": "bye", "status": self._status})

    # Reading

    async def _read(self) -> str | None:
        """Read one line, or several pasted ones; None when it was given up. Raises Left."""
        self._pasted, self._sent = 0, ""
        self._prompt.app.erase_when_done = False
        self._link.start()
        self._link.ask_state()
        try:
            return await self._prompt.prompt_async(set_exception_handler=False)
        except KeyboardInterrupt:
            return None
        except EOFError:
            left = self._state.window_left_s(time.monotonic()) if self._state else None
            if left is not None:
                write_error("pact: a commit window is open: what is not committed is rolled back at its end\n")
            raise Left(self._status) from None
        finally:
            self._link.stop()
            self._after_line()
            self._after_line = lambda: None

    def _accepted(self, buffer: Buffer) -> bool:
        """Send a line at once: the agent works while the prompt is drawn for the last time.

        Its output waits in a pseudo-terminal until the prompt has left this terminal. Several lines, and what
        doesn't print, take the longer way.
        """
        if buffer.text.strip() and buffer.text.isprintable() and not self._link.lost:
            self._link.stop()  # whatever the agent answers is for `_run_line`
            # What goes wrong goes wrong again, and is told, where the line's end is awaited.
            with contextlib.suppress(ConnectionLost, OSError, ValueError):
                send_line(self._link.connection, buffer.text)
                self._sent = buffer.text
        return self._accept(buffer) if self._accept is not None else False

    def _run_lines(self, text: str) -> None:
        """Run what was entered: one line, or pasted lines one after the other, each shown with its prompt."""
        lines = [line for line in text.split("\n") if line.strip()]
        for number, line in enumerate(lines):
            if len(lines) > 1:
                _write(f"pact:{self._node}> {visible(line)}\n".encode())
                self._prompt.history.append_string(line)
            outcome = self._run_line(line)
            if outcome.status == 130 and number + 1 < len(lines):
                write_error(f"pact: interrupted: {len(lines) - number - 1} pasted lines were not run\n")
                return

    def _run_line(self, line: str) -> Outcome:
        if self._link.lost:
            write_error(error_text(5, "timeout", "agent: not connected", "the line was not run"))
            return Outcome(5)
        try:
            outcome = run_input(
                self._link.connection,
                line.encode("utf-8", "surrogateescape"),
                on_frame=self._link.take,
                sent=self._sent == line,
            )
        except (ConnectionLost, AgentError) as error:
            self._status = 5 if isinstance(error, ConnectionLost) else error.code
            self._link.mark_lost(error)
            return Outcome(self._status)
        self._status = outcome.status
        self._cwd = outcome.cwd or self._cwd
        if outcome.needs_newline:
            _write(b"\n")
        self._put_back(outcome.unread)
        if outcome.end:
            raise Left(outcome.status)
        if outcome.stopped_by:
            raise Left(128 + outcome.stopped_by)
        return outcome

    def _put_back(self, typed: bytes) -> None:
        """Let the next prompt read what was typed while the command ran and not read by it."""
        if not typed:
            return
        keys: list[KeyPress] = []
        parser = Vt100Parser(keys.append)
        parser.feed(typed.decode("utf-8", "replace"))
        parser.flush()
        store_typeahead(self._prompt.app.input, keys)

    # What the prompt shows

    def _prompt_text(self) -> StyleAndTextTuples:
        return [("class:prompt", f"pact:{self._node}> ")]

    def _toolbar(self) -> Fragments:
        now = time.monotonic()
        message = self._judge.message(self._prompt.default_buffer.text)
        if self._pasted and message is None:
            message = Message("pasted", f"Enter runs {self._pasted} lines one after the other, ^C drops them")
        columns = self._prompt.app.output.get_size().columns
        return render_toolbar(self._state, message, now, columns, connected=not self._link.lost)

    def _on_pasted(self, lines: int) -> None:
        self._pasted = lines
        self._prompt.app.erase_when_done = True  # the lines are shown again as each is run

    def _text_changed(self) -> None:
        if "\n" not in self._prompt.default_buffer.text:
            self._pasted = 0
            self._prompt.app.erase_when_done = False
        if self._check_timer is not None:
            self._check_timer.cancel()
        loop = asyncio.get_running_loop()
        self._check_timer = loop.call_later(_CHECK_AFTER_S, self._check)

    def _check(self) -> None:
        if self._prompt.app.is_running:
            self._judge.ask(self._prompt.default_buffer.text)

    async def _tick(self) -> None:
        """Ask for the state and redraw the toolbar when it reads differently."""
        while True:
            if self._prompt.app.is_running:
                self._link.ask_state()
                self._redraw()
            await asyncio.sleep(refresh_interval_s(self._state, time.monotonic()))

    def _redraw(self) -> None:
        if self._prompt.app.is_running and (shown := self._toolbar()) != self._shown:
            self._shown = shown
            self._prompt.app.invalidate()

    # What the agent says

    def _on_frame(self, frame: Frame) -> None:
        if frame.op == "state":
            self._state = State.of(frame, time.monotonic())
            if self._state.policy != self._policy and self._link.ask_whitelist():
                self._policy = self._state.policy
            self._redraw()
        elif frame.op == "item":
            self._take_whitelist(frame.value("value"))
        elif frame.op == "decision":
            self._judge.answered(frame)
            self._redraw()
            self._prompt.app.invalidate()
        elif frame.op == "notice":
            self._print_above(notice_text(frame))

    def _take_whitelist(self, value: object) -> None:
        """Offer, colour and complete what the vCluster's policy allows this person."""
        from msgspec import ValidationError, convert

        from pactsh.policy.model import CommandOverlay
        from pactsh.policy.whitelist import whitelist

        if not isinstance(value, dict):
            return
        try:
            overlay, highest = convert((value["overlay"], value["class"]), tuple[CommandOverlay, str])
        except (ValidationError, KeyError):
            return  # an agent of another version: the catalog that came with this program has to do
        catalog = whitelist(self._shipped, overlay, highest)
        self._completer.catalog = catalog
        self._judge.replace(catalog)
        self._prompt.app.invalidate()

    def _print_above(self, text: str) -> None:
        """Print above the prompt; what is being typed stays as it is."""
        if not self._prompt.app.is_running:
            write_error(text)
            return
        printing = asyncio.ensure_future(run_in_terminal(lambda: write_error(text)))
        self._printing.add(printing)
        printing.add_done_callback(self._printing.discard)

    def _on_lost(self, error: ConnectionLost | AgentError) -> None:
        self._judge.reset()
        if isinstance(error, AgentError):
            text = error_text(error.code, error.kind, error.message, error.hint)
        else:
            hint = "open the session anew" if self._link.connection.inherited else "trying to reach it again"
            text = error_text(5, "timeout", f"agent: {error}", hint)
        if self._link.connection.inherited or isinstance(error, AgentError):
            self._farewell = text
            self._leave(error.code if isinstance(error, AgentError) else 5)
            return
        self._print_above(text)
        waiting = asyncio.ensure_future(self._reconnect())
        self._printing.add(waiting)
        waiting.add_done_callback(self._printing.discard)

    async def _reconnect(self) -> None:
        """Try for a while to get the agent back; the session is then a new one."""
        deadline = time.monotonic() + _RECONNECT_FOR_S
        while time.monotonic() < deadline:
            await asyncio.sleep(_RECONNECT_EVERY_S)
            try:
                connection, session = await asyncio.to_thread(_open_again)
            except (OSError, ValueError, ConnectionLost, AgentError):
                continue
            if session.op == "started":
                connection.close()
                for fd in session.fds:
                    os.close(fd)
                text = "sessions are recorded here by now, and this one can't be: it ends"
                self._farewell = error_text(3, "policy", text, "log in again")
                self._leave(3)
                return
            self._link.replace(connection)
            self._cwd = session.text("cwd") or "/"
            self._print_above("pact: agent: connected again; this is a new session, its directory is /\n")
            if self._prompt.app.is_running:
                self._link.start()
            return
        self._farewell = error_text(5, "timeout", "agent: can't be reached; this session ends")
        self._leave(5)

    def _leave(self, status: int) -> None:
        """Leave from outside the prompt: a signal, or the agent is gone for good."""
        self._status = status
        self._leaving = status
        if self._prompt.app.is_running and not self._prompt.app.is_done:
            self._prompt.app.exit(exception=Left(status))


def _open_again() -> tuple[Connection, Frame]:
    connection = connect()
    return connection, open_session(connection, "interactive")


def ask_history(connection: Connection) -> tuple[str, ...]:
    """Return the lines that the agent keeps for this user, oldest first. Raises ConnectionLost, AgentError."""
    connection.send({"op": "history"})
    while True:
        frame = connection.receive()
        if frame.op == "history":
            return frame.texts("lines")
        if frame.op == "error":
            raise AgentError(frame)


def _write(data: bytes) -> None:
    try:
        os.write(1, data)
    except OSError:
        pass  # the terminal is gone, and the next prompt finds that out
