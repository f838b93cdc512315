"""What must hold of a line that was allowed, checked by other means than those that allowed it.

Every check raises `Finding`. The words are checked in `wording`; here paths are resolved by `os.path`, rights are
compared with a short list, operators and redirections found by a scan of the text.
"""

from __future__ import annotations

import os.path
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from fuzz.watched import Finding, Watched
from pactsh.catalog.kinds import KINDS
from pactsh.catalog.schema import Command
from pactsh.policy.decision import StageDecision
from pactsh.policy.model import CommandOverlay

# -- paths

_TREES = (
    "/root", "/etc/ssl/private", "/etc/sudoers.d", "/etc/pact/ca", "/etc/pact/tls", "/run/secrets", "/run/credentials",
    "/var/lib/pact", "/etc/munge", "/etc/wireguard", "/sys/kernel/debug", "/sys/kernel/tracing", "/proc/1/root",
    "/proc/self/root",
    "/proc/self/fd", "/proc/1/fd", "/proc/self/cwd", "/dev/fd", "/etc/kubernetes",
)  # fmt: skip
_FILES = frozenset([
    "/etc/shadow", "/etc/shadow-", "/etc/gshadow", "/etc/sudoers", "/proc/1/environ", "/proc/self/environ",
    "/proc/1/mem",
    "/proc/self/mem", "/proc/kcore", "/proc/kmsg", "/etc/krb5.keytab", "/proc/1/maps", "/proc/self/maps",
])  # fmt: skip
_ENDLESS = ("/proc", "/sys", "/dev")


def check_paths(watched: Watched, cwd: str) -> None:
    """No path that a program opens is a secret, and no walk starts above devices and processes."""
    for kind, place, value in watched.values:
        opens = KINDS[kind].opens
        if opens and (why := secret(value, cwd, contents=opens == "contents")):
            raise Finding(f"{value!r} ({place!r}) is {why}: {watched.words!r} in {cwd!r}")
    if watched.walked:
        starts = [value for kind, _, value in watched.values if KINDS[kind].opens] or ["."]
        for value in starts:
            plain = resolved(value, cwd)
            if plain == "/" or _below(plain, _ENDLESS):
                raise Finding(f"a walk from {plain}: {watched.words!r} in {cwd!r}")


def secret(path: str, cwd: str, *, contents: bool) -> str:
    """What is secret about a path, or ""."""
    plain = resolved(path, cwd)
    if _below(plain, _TREES) or "/.ssh/" in plain + "/":
        return f"in a secret directory, {plain}"
    if contents and plain in _FILES:
        return f"a secret file, {plain}"
    if contents and plain.startswith("/dev/") and plain != "/dev/null":
        return f"a device, {plain}"
    return ""


def resolved(path: str, cwd: str) -> str:
    """The plain absolute path, /var/run as /run."""
    plain = "/" + os.path.normpath(os.path.join(cwd, path)).lstrip("/")
    return plain.removeprefix("/var") if (plain + "/").startswith("/var/run/") else plain


def _below(path: str, trees: Sequence[str]) -> bool:
    return any(path == tree or path.startswith(tree + "/") for tree in trees)


# -- rights

_READING_CAPS = frozenset(["cap_dac_read_search", "cap_net_raw", "cap_syslog", "cap_sys_ptrace"])
# What reading forms are granted besides. Each is a decision of the catalog's that has to be made here once more.
_BEYOND: Mapping[str, Collection[str]] = {
    "chronyc": ("unconfined", "cap_dac_override"),  # binds a socket beside chronyd's
    "ethtool": ("cap_net_admin",),
    "lspci": ("cap_sys_admin",),  # the kernel shows the rest of the configuration space to nobody else
    "rocm-smi": ("exec", "write"),  # a script: asks a shell for versions, takes a lock in /dev/shm
}


def check_rights(stage: StageDecision, command: Command) -> None:
    """The program is the catalog's own; a stage that reads gets nothing to write with."""
    if stage.builtin != command.builtin or (stage.program is None) != command.builtin:
        raise Finding(f"{stage.name}: builtin or not?")
    if stage.program is None:
        return
    if stage.program.paths != command.paths:
        raise Finding(f"{stage.name}: another program, {stage.program.paths!r}")
    if stage.class_ != "read":
        return
    grants = stage.program.grants
    rights = {*grants.caps} - _READING_CAPS | {
        name for name in ("write", "exec", "unconfined") if getattr(grants, name)
    }
    if rights.difference(_BEYOND.get(stage.name, ())):
        raise Finding(f"{stage.argv!r} reads, and is granted {grants!r}")


# -- what a vCluster took away


def check_overlay(overlay: CommandOverlay, stage: StageDecision, watched: Watched) -> None:
    """Nothing of what the overlay removes or narrows; `watched` read the command as it was before."""
    if stage.name in overlay.remove:
        raise Finding(f"{stage.name} was removed")
    for narrowing in overlay.narrow:
        if narrowing.command != stage.name:
            continue
        names = [name for option, _ in watched.options for name in option.spellings]
        subs = [name for sub in watched.subs for name in sub.spellings]
        gone = {*narrowing.options} & {*names} or {*narrowing.subcommands} & {*subs}
        if gone or (narrowing.read_only and stage.class_ != "read"):
            raise Finding(f"{stage.argv!r} is narrowed away: {narrowing!r}")


# -- the text itself


@dataclass(frozen=True, slots=True)
class Outline:
    """What a line has outside quotes: its operators and its redirections, each with the word behind it."""

    operators: tuple[str, ...]
    redirects: tuple[tuple[str, str], ...]


@dataclass(slots=True)
class _Scan:
    text: str
    at: int = 0
    operators: list[str] = field(default_factory=list)
    redirects: list[tuple[str, str]] = field(default_factory=list)


_ALLOWED = frozenset([
    ("2>&", "1"), (">", "/dev/null"), ("1>", "/dev/null"), ("2>", "/dev/null"), ("&>", "/dev/null"),
])  # fmt: skip


def outline(text: str) -> Outline:
    """Operators and redirections by a scan that knows quotes, backslashes and comments alone."""
    scan = _Scan(text)
    word = ""
    fresh = True  # a word may begin here, and so may a comment
    while scan.at < len(text):
        char = text[scan.at]
        if char == "#" and fresh:
            break
        if char in "|&;<>":
            _operator(scan, word)
            word, fresh = "", True
        elif char in " \t":
            scan.at, word, fresh = scan.at + 1, "", True
        else:
            begin = scan.at
            _skip(scan)
            word, fresh = word + text[begin : scan.at], False
    return Outline(tuple(scan.operators), tuple(scan.redirects))


_MARKS = (
    "&>>",
    "<<<",
    "<<-",
    "&&",
    "||",
    "&>",
    "|&",
    ";;",
    "<<",
    "<>",
    "<&",
    ">>",
    ">|",
    ">&",
    "|",
    "&",
    ";",
    "<",
    ">",
)


def _operator(scan: _Scan, word: str) -> None:
    mark = next(mark for mark in _MARKS if scan.text.startswith(mark, scan.at))
    scan.at += len(mark)
    if not set(mark) & set("<>"):
        scan.operators.append(mark)
        return
    while scan.at < len(scan.text) and scan.text[scan.at] in " \t":
        scan.at += 1
    start = scan.at
    while scan.at < len(scan.text) and scan.text[scan.at] not in " \t|&;<>":
        _skip(scan)
    number = word if word.isdigit() and mark[0] != "&" else ""
    scan.redirects.append((number + mark, scan.text[start : scan.at]))


def _skip(scan: _Scan) -> None:
    """Go past one character of a word, or past what a quote or a backslash protects."""
    char = scan.text[scan.at]
    scan.at += 1
    if char == "\\":
        scan.at += 1
    elif char == "'":
        scan.at = scan.text.index("'", scan.at) + 1
    elif char == '"':
        while scan.text[scan.at] != '"':
            scan.at += 2 if scan.text[scan.at] == "\\" else 1
        scan.at += 1


def check_text(text: str, stages: int) -> None:
    """The text has the operators of so many commands, and no redirection but those that are allowed."""
    found = outline(text)
    for operator in found.operators:
        if operator not in ("|", ";", "&&", "||"):
            raise Finding(f"operator {operator!r} in {text!r}")
    for mark, target in found.redirects:
        if (mark, target) not in _ALLOWED and (mark != "<" or not target or target.startswith("(")):
            raise Finding(f"redirection {mark!r} {target!r} in {text!r}")
    expected = (stages, stages - 1) if text.rstrip(" \t").endswith(";") or "#" in text else (stages - 1,)
    if len(found.operators) not in expected:
        raise Finding(f"{len(found.operators)} operators and {stages} commands in {text!r}")
