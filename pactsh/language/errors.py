"""Why a line is not run: the errors of the language and the words they are told in.

Every error carries a reason, a hint and the span of code points it is about. `Malformed` is a line nobody
could read (status 1); `Refused` is a line bash would run and pact will not (status 6), with a stable code.
"""

from __future__ import annotations

from typing import ClassVar, Final

Span = tuple[int, int]


class LineError(Exception):
    """A line that is not run; `span` counts code points of the text that was parsed."""

    status: ClassVar[int] = 1

    def __init__(self, code: str, reason: str, hint: str, span: Span) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.hint = hint
        self.span = span


class Malformed(LineError):  # noqa: N818  (the language's own word, as is Refused)
    """A line without a meaning; `incomplete` says that more text could still give it one."""

    status: ClassVar[int] = 1

    def __init__(self, code: str, span: Span, *, incomplete: bool = False) -> None:
        reason, hint = MALFORMED[code]
        super().__init__(code, reason, hint, span)
        self.incomplete = incomplete


class Refused(LineError):  # noqa: N818
    """A construct that pact does not run; `code` is a stable name such as "command-substitution"."""

    status: ClassVar[int] = 6

    def __init__(self, code: str, span: Span, *, reason: str = "", hint: str = "") -> None:
        standard_reason, standard_hint = REFUSED[code]
        super().__init__(code, reason or standard_reason, hint or standard_hint, span)


MALFORMED: Final[dict[str, tuple[str, str]]] = {
    "not-utf8": ("the line is not valid UTF-8", "set the terminal to UTF-8, or reach the name with a pattern"),
    "unbalanced-quote": ("this quote is never closed", "close it, or put a backslash before it"),
    "trailing-backslash": (
        "there is nothing after the backslash",
        "write two backslashes for one, or remove it; a line can't be continued",
    ),
    "empty-command": ("there is no command here", "put a command on both sides of the operator"),
    "missing-target": ("the redirection has no target", "name a file after <, or /dev/null after >"),
    "unexpected-parenthesis": ("this parenthesis closes nothing", "quote it if it is meant as text"),
}

_NO_SHELL = "run the command on its own line and use what it prints"
_QUOTE = "put it in single quotes if it is meant as text"
_ONE_COMMAND = "write one command after another, joined by | ; && or ||"

REFUSED: Final[dict[str, tuple[str, str]]] = {
    # characters and sizes
    "line-too-long": ("the line is longer than 64 KiB", "split it into several lines"),
    "too-many-words": ("the line has more than 4096 words", "split it into several lines, or use a pattern"),
    "too-many-commands": ("the line has more than 64 commands", "split it into several lines"),
    "too-many-wildcards": ("the word has more than 128 wildcards", "use a simpler pattern"),
    "too-many-matches": ("the pattern matches too many names", "use a narrower pattern, or list the directory"),
    "newline": ("a line break inside a line", "enter one line at a time"),
    "control-character": ("a control character", "remove it; it could hide what the line does"),
    "invisible-character": (
        "an invisible or direction-changing character",
        "remove it; it could hide what the line does",
    ),
    "unicode-blank": ("a blank that is neither space nor tab", "type an ordinary space"),
    # expansions
    "command-substitution": ("command substitution is not available", _NO_SHELL),
    "process-substitution": ("process substitution is not available", "connect two commands with |"),
    "arithmetic": ("arithmetic is not available", "work the number out beforehand and write it down"),
    "parameter-expansion": (
        "${…} is not available",
        "write $HOME, $USER, $HOSTNAME, $PACT_NODE, $PACT_VCLUSTER or $? without braces",
    ),
    "unknown-variable": (
        "there is no such variable here",
        "there are $?, $HOME, $USER, $HOSTNAME, $PACT_NODE and $PACT_VCLUSTER; use single quotes for a plain $",
    ),
    "special-parameter": ("this shell parameter is not available", "use single quotes for a plain $"),
    "plain-dollar": ("a plain $ in a word with a variable", "put the plain $ in single quotes"),
    "ansi-quote": ("$'…' quoting is not available", "use '…' and write the characters themselves"),
    "locale-quote": ('$"…" quoting is not available', 'use "…" without the dollar sign'),
    "brace-expansion": ("brace expansion is not available", "write the words out, or quote the brace if it is text"),
    "tilde": ("~ is not expanded here", "write the path, or $HOME, or quote the tilde if it is text"),
    "extended-glob": ("extended patterns are not available", "use * ? and […]; " + _QUOTE),
    "bracket": ("a [ inside […] is only understood as a class such as [:digit:]", "put a backslash before the inner ["),
    # redirections
    "here-document": ("here-documents are not available", "name a file after <, or pipe the text in with echo"),
    "here-string": ("here-strings are not available", "pipe the text in: echo … | command"),
    "redirect-write": (
        "output can't be written to a file",
        "leave it on the terminal or pipe it on; only /dev/null is allowed after >",
    ),
    "redirect-append": (
        "output can't be appended to a file",
        "leave it on the terminal or pipe it on; only /dev/null is allowed after >",
    ),
    "redirect-read-write": ("<> is not available", "use <file to read"),
    "redirect-descriptor": (
        "this redirection of a file descriptor is not available",
        "there are <file, 2>&1, >/dev/null, 2>/dev/null and &>/dev/null",
    ),
    "redirect-without-command": ("a redirection without a command", "put the command before it"),
    "redirect-ambiguous": ("the target of < is not exactly one name", "name one file"),
    # structure
    "background": ("commands can't run in the background", "run it in the foreground, or open a second session"),
    "pipe-errors": ("|& is not available", "write 2>&1 | instead"),
    "subshell": ("subshells are not available", _ONE_COMMAND),
    "group": ("groups are not available", _ONE_COMMAND),
    "function": ("functions can't be defined", "use the commands themselves; help lists them"),
    "keyword": ("this is a shell keyword, and there is no scripting here", _ONE_COMMAND),
    "job": ("there are no jobs here", "commands run in the foreground; ^C ends one"),
    "test-expression": ("tests are not available", "use stat, ls or grep and look at $?"),
    "assignment": ("variables can't be set", "give the command an option instead"),
    # the command word
    "command-empty": ("the command is an empty word", "name a command; help lists them"),
    "command-path": ("a path can't be used as a command", "write the bare name; help lists the commands"),
    "command-variable": ("a variable can't be used in a command's name", "write the command's name"),
    "command-glob": ("a pattern can't be used in a command's name", "write the command's name"),
    "command-name": ("a command's name has ASCII characters only", "retype the name; help lists the commands"),
}
