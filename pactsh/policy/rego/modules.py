"""Modules of a directory, read and checked before an engine gets them.

The engine takes a text that is no module, a call of a function that nobody defined and a misspelt `input` without a
word: the rule is then never true, and what it was to refuse is allowed. So these are errors here. (`opa check --strict`
finds more.)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from pactsh.errors import UsageError
from pactsh.policy.rego.verdict import PACKAGE

MOST_BYTES = 1 << 20
_PACKAGE = re.compile(r"\s*package\s+([A-Za-z_][A-Za-z0-9_.]*)[ \t]*(?:\n|$)")
_CALL = re.compile(r"(?<![\w.])([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)\(")
_DEFINED = re.compile(r"^(?:default\s+)?([A-Za-z_]\w*)\(", re.MULTILINE)
_RULE = re.compile(r"^(?:default\s+)?(deny|allow|approval_required)\b", re.MULTILINE)
_ROOT = re.compile(r"(?<![\w.])([A-Za-z_]\w*)(?=[.\[])")
_BARE = re.compile(r"(?<![\w.])([A-Za-z_]\w*)(?![\w.\[(])")
_IMPORTED = re.compile(r"^\s*import\s+[\w.]*?(\w+)\s*$", re.MULTILINE)
_AT_START = re.compile(r"^([A-Za-z_]\w*)(?=[.\[])", re.MULTILINE)
_KEYWORDS = frozenset({"if", "not", "in", "some", "every", "with", "as", "contains", "else", "default", "set"})
_DROPPED = re.compile(r'"(?:\\.|[^"\\\n])*"|`[^`]*`|#[^\n]*')
# The first argument of regex.match and others; flags, and classes by their names or numbers.
_PATTERN_COMES = re.compile(r"\bregex\.\w+\(\s*\Z")
_REASON_COMES = re.compile(r"(\bdeny\s+contains\s+|\bsprintf\(\s*)\Z")  # it is shown, not compared
_ODD_PATTERN = re.compile(r"\(\?[A-Za-z-]|\\{1,2}[pPx][{0-9A-Za-z]")


def read_modules(directory: Path) -> dict[str, str]:
    """The texts of `*.rego` by name, tests (`*_test.rego`) left out. Raises `UsageError`."""
    found: dict[str, str] = {}
    try:
        for path in sorted(directory.glob("*.rego")):
            if not path.name.endswith("_test.rego"):
                found[path.name] = path.read_text(encoding="utf-8")
        directory.stat()
    except OSError as error:
        raise UsageError(f"{error.filename or directory}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{directory}: {error}") from error
    if sum(map(len, found.values())) > MOST_BYTES:
        raise UsageError(f"{directory}: modules of more than {MOST_BYTES} bytes")
    return found


def check_modules(modules: Mapping[str, str], is_builtin: Callable[[str], bool]) -> None:
    """Raise `UsageError` for what can't be meant, with file and line."""
    plain = {name: _without_texts(text) for name, text in modules.items()}
    packages = {name: _PACKAGE.match(text) for name, text in plain.items()}
    for name, package in packages.items():
        if package is None:
            raise UsageError(f"{name}:1: expected `package NAME` first")
    deciding = [plain[name] for name, package in packages.items() if package and package[1] == PACKAGE]
    if not any(_RULE.search(text) for text in deciding):
        raise UsageError(f"no module of package {PACKAGE} has a rule deny, allow or approval_required")
    defined = {found for text in plain.values() for found in _DEFINED.findall(text)}
    for name, text in plain.items():
        for line, function in _calls(text):
            if not is_builtin(function) and function.rpartition(".")[2] not in defined:
                raise UsageError(f"{name}:{line}: no function {function}, in the modules or built in")
        for line, root in _unknown_roots(text):
            raise UsageError(f"{name}:{line}: {root} is not defined anywhere")
    for name, text in modules.items():
        for line, why in _never_equal(text):
            raise UsageError(f"{name}:{line}: {why}", hint="docs/policy.md says what the embedded engine can't compare")


def _never_equal(module: str) -> Iterator[tuple[int, str]]:
    """Texts that this engine compares with others than OPA does: what a rule with one is to refuse is allowed."""
    for found in _DROPPED.finditer(module):
        text, line = found[0], module.count("\n", 0, found.start()) + 1
        if text.startswith("#"):
            continue
        if _PATTERN_COMES.search(module[max(0, found.start() - 80) : found.start()]):
            if (odd := _ODD_PATTERN.search(text)) is not None:
                yield line, f"{odd[0]} in a pattern never matches"
        elif _REASON_COMES.search(module[max(0, found.start() - 80) : found.start()]):
            continue
        elif "\\" in text or (text.startswith("`") and '"' in text):
            yield line, f"{text[:40]}: quotes, backslashes and escapes are equal to nothing outside a pattern"


def _without_texts(module: str) -> str:
    """The module with blanks in place of strings and comments; lines stay where they are."""
    return _DROPPED.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), module)


def _unknown_roots(text: str) -> Iterator[tuple[int, str]]:
    """Names in front of a `.` or `[` that stand nowhere by themselves, as variables, rules and arguments do."""
    known = {"input", "data", *_BARE.findall(text), *_IMPORTED.findall(text), *_AT_START.findall(text)}
    calls = {found[1].partition(".")[0] for found in _CALL.finditer(text)}
    body = re.sub(r"^[ \t]*(package|import)\b[^\n]*", "", text, flags=re.MULTILINE)
    for found in _ROOT.finditer(body):
        if found[1] not in known | calls | _KEYWORDS:
            yield body.count("\n", 0, found.start()) + 1, found[1]


def _calls(text: str) -> Iterator[tuple[int, str]]:
    for found in _CALL.finditer(text):
        if found[1] not in _KEYWORDS:
            yield text.count("\n", 0, found.start()) + 1, found[1]
