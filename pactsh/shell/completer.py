"""Tab: what can stand at the cursor, from the catalog, pact's own command tree and the file system.

Everything slow to import, xonsh's parser of completion contexts above all, is imported on the first
Tab and not before. Called in a thread, so a directory that doesn't answer never blocks typing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

if TYPE_CHECKING:
    from xonsh.parsers.completion_context import CompletionContextParser

    from pactsh.catalog import Catalog


@dataclass(frozen=True, slots=True)
class Candidate:
    """One word that may stand at the cursor; `kind` is "path" where the file system is to be asked."""

    text: str
    help: str = ""


@dataclass(frozen=True, slots=True)
class Where:
    """The cursor's place in one command: the words before it, and what is typed of its own word."""

    words: tuple[str, ...]
    prefix: str
    opening_quote: str
    typed_characters: int
    is_target: bool


class Source(Protocol):
    """What completes arguments of whitelisted commands."""

    def __call__(self, catalog: Catalog, words: tuple[str, ...], prefix: str) -> tuple[list[Candidate], bool]:
        """Return candidates for the word after `words`, and whether paths may stand there as well."""


class LineCompleter(Completer):
    """Completes the line. `cwd` gives the session's directory, `commands` the names that are allowed."""

    def __init__(self, catalog: Catalog, cwd: Callable[[], str], is_allowed: Callable[[str], bool]) -> None:
        self._catalog = catalog
        self._cwd = cwd
        self._is_allowed = is_allowed
        self._parser: CompletionContextParser | None = None

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:  # noqa: ARG002
        """Yield completions for the word at the cursor."""
        where = self.where(document.current_line, document.cursor_position_col)
        if where is None:
            return
        start = -where.typed_characters
        if not where.words and not where.is_target:
            yield from self._commands(where.prefix, start)
            return
        candidates, paths = self._arguments(where)
        for candidate in candidates:
            if candidate.text.startswith(where.prefix):
                space = "" if candidate.text.endswith("=") else " "
                yield Completion(
                    candidate.text + space,
                    start,
                    display=candidate.text,
                    display_meta=candidate.help,
                )
        if paths and not where.prefix.startswith("-"):
            yield from self._paths(where, start)

    def where(self, line: str, cursor: int) -> Where | None:
        """Find the cursor's command and word in the line, None where nothing can be completed."""
        if self._parser is None:
            from xonsh.parsers.completion_context import CompletionContextParser

            self._parser = CompletionContextParser()
        context = self._parser.parse(line[:cursor], cursor)
        if context is None or context.command is None:
            return None
        command = context.command
        if command.subcmd_opening or command.opening_quote not in ("", "'", '"'):
            return None  # a construct of xonsh's that this language refuses
        before = command.args[: command.arg_index]
        is_target = bool(before) and before[-1].is_io_redir
        words = tuple(arg.value for arg in before if not arg.is_io_redir)
        typed = command.opening_quote + command.prefix
        if command.is_after_closing_quote or not line[:cursor].endswith(typed) or "\\" in typed:
            return None  # after an escape the word's beginning isn't where xonsh sees it
        return Where(words, command.prefix, command.opening_quote, len(typed), is_target)

    def _commands(self, prefix: str, start: int) -> Iterator[Completion]:
        for name in self._catalog:
            if name.startswith(prefix) and self._is_allowed(name):
                yield Completion(name + " ", start, display=name, display_meta=self._catalog[name].summary)

    def _arguments(self, where: Where) -> tuple[Iterable[Candidate], bool]:
        if where.is_target:
            return (), True
        if where.words[0] == "pact":
            return _pact_words(where.words[1:], where.prefix), False
        if where.words[0] == "help":
            return [Candidate(name, self._catalog[name].summary) for name in self._catalog], False
        return command_words(self._catalog, where.words, where.prefix)

    def _paths(self, where: Where, start: int) -> Iterator[Completion]:
        from pactsh.shell.paths import complete_path

        for place in complete_path(where.prefix, self._cwd(), where.opening_quote):
            space = "" if place.is_directory else " "
            yield Completion(place.text + space, start, display=place.shown)


def _pact_words(words: tuple[str, ...], prefix: str) -> Iterator[Candidate]:
    """Complete pact's own verbs and options from its command tree."""
    from click.shell_completion import ShellComplete

    from pactsh.cli.tree import Tree

    complete = ShellComplete(Tree(), {}, "pact", "_PACT_COMPLETE")
    for item in complete.get_completions(list(words), prefix):
        if item.type == "plain":
            yield Candidate(item.value, item.help or "")


def command_words(catalog: Catalog, words: tuple[str, ...], prefix: str) -> tuple[list[Candidate], bool]:
    """Complete an argument of a whitelisted command; also tell whether a path may stand there."""
    command = catalog.get(words[0])
    if command is None:
        return [], True
    candidates: list[Candidate] = []
    if prefix.startswith("-"):
        candidates += [
            Candidate(name, option.help) for option in command.options if not option.deny for name in option.spellings
        ]
    elif command.commands:
        candidates += [Candidate(sub.spellings[0], sub.help) for sub in command.commands if not sub.deny]
    return candidates, not command.commands
