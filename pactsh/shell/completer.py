"""Tab: what can stand at the cursor, from the catalog, pact's own command tree and the file system.

Everything slow to import, xonsh's parser of completion contexts above all, is imported on the first
Tab and not before. Called in a thread, so a directory that doesn't answer never blocks typing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from pactsh.catalog import Catalog
from pactsh.catalog.complete import complete, is_acceptable
from pactsh.catalog.secrets import is_hidden, is_secret
from pactsh.shell.lookups import look_up
from pactsh.shell.paths import complete_path

if TYPE_CHECKING:
    from xonsh.parsers.completion_context import CompletionContextParser

_OPEN_ENDS = ("=", ".", "/")


@dataclass(frozen=True, slots=True)
class Where:
    """The cursor's place in one command: the words before it, and what is typed of its own word."""

    words: tuple[str, ...]
    prefix: str
    opening_quote: str
    typed_characters: int
    is_target: bool


class LineCompleter(Completer):
    """Completes the line from `catalog`, which changes with the policy. `cwd` gives the session's directory."""

    def __init__(self, catalog: Catalog, cwd: Callable[[], str], is_allowed: Callable[[str], bool]) -> None:
        self.catalog = catalog
        self._cwd = cwd
        self._is_allowed = is_allowed
        self._parser: CompletionContextParser | None = None

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:  # noqa: ARG002
        """Yield completions for the word at the cursor."""
        where = self.where(document.current_line, document.cursor_position_col)
        if where is None:
            return
        if where.is_target:
            yield from self._paths(where, where.prefix, directories_only=False, prefix=None)
        elif where.words and where.words[0] == "pact":
            yield from self._pact_words(where)
        else:
            yield from self._from_catalog(where)

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
        ahead = line[: cursor - len(typed)]
        if command.is_after_closing_quote or not line[:cursor].endswith(typed):
            return None
        if "\\" in typed or ahead.endswith("\\ "):
            return None  # xonsh knows no escaped blanks: the word does not begin where it says
        return Where(words, command.prefix, command.opening_quote, len(typed), is_target)

    def _from_catalog(self, where: Where) -> Iterator[Completion]:
        found = complete(self.catalog, (*where.words, where.prefix), len(where.words))
        typed = where.prefix.removeprefix(found.prefix)
        start = -where.typed_characters + len(found.prefix) + len(where.opening_quote)
        for candidate in found.known:
            if self._is_offered(where, found.prefix, candidate.text, candidate.kind):
                yield _completion(candidate.text, start, candidate.help)
        for kind in found.kinds:
            if kind in ("path", "dir"):
                yield from self._paths(where, typed, directories_only=kind == "dir", prefix=found.prefix)
            else:
                for text, description in look_up(kind, typed):
                    if self._is_offered(where, found.prefix, text, kind):
                        yield _completion(text, start, description)

    def _is_offered(self, where: Where, prefix: str, text: str, kind: str) -> bool:
        """Whether the line could be accepted with this word: what the catalog refuses is not offered."""
        if kind == "command":
            return self._is_allowed(text)
        if text.endswith(_OPEN_ENDS):
            return True  # more belongs to the same word
        return is_acceptable(self.catalog, (*where.words, prefix + text), self._cwd())

    def _pact_words(self, where: Where) -> Iterator[Completion]:
        """Complete pact's own verbs and options from its command tree, less what is not offered in here."""
        from click.shell_completion import ShellComplete

        from pactsh.cli.tree import Tree

        offered = {candidate.text for candidate in complete(self.catalog, ("pact", ""), 1).known}
        tree = ShellComplete(Tree(), {}, "pact", "_PACT_COMPLETE")
        for item in tree.get_completions(list(where.words[1:]), where.prefix):
            is_verb = len(where.words) == 1 and not item.value.startswith("-")
            if item.type == "plain" and (not is_verb or item.value in offered):
                yield _completion(item.value, -len(where.prefix), item.help or "")

    def _paths(self, where: Where, typed: str, *, directories_only: bool, prefix: str | None) -> Iterator[Completion]:
        """Names of files. `prefix` stands before them in the word; None: behind a `<`, where contents are read."""
        start = -len(typed) - len(where.opening_quote)
        for place in complete_path(typed, self._cwd(), where.opening_quote):
            if place.is_directory:
                if not is_hidden(place.path, self._cwd()):
                    yield Completion(place.text, start, display=place.shown)
            elif directories_only:
                continue
            elif (
                not is_secret(place.path, self._cwd())
                if prefix is None
                else self._is_offered(where, prefix, place.path, "path")
            ):
                yield Completion(place.text + " ", start, display=place.shown)


def _completion(text: str, start: int, description: str) -> Completion:
    """Complete to `text`, and to the blank after it unless more belongs to the same word."""
    blank = "" if text.endswith(_OPEN_ENDS) else " "
    return Completion(text + blank, start, display=text, display_meta=description)
