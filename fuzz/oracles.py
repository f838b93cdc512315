"""What must hold of a line that was allowed, checked by other means than those that allowed it.

Every check raises `Finding`. Options are found by glibc, or by a scan of a few lines for the grammars that are not
glibc's; paths are resolved by `os.path`; operators and redirections by a scan of the text. The values that our
reader took are learned by watching it (`Watched`), so that the two can be compared place by place.
"""

from __future__ import annotations

import os.path
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from fuzz.glibc import Found, Scanner, UsageError
from pactsh.catalog.kinds import KINDS, Places
from pactsh.catalog.match import READERS
from pactsh.catalog.reading import Reading
from pactsh.catalog.schema import Command, Effect, Option, Sub
from pactsh.policy.decision import StageDecision
from pactsh.policy.model import CommandOverlay


class Finding(AssertionError):  # noqa: N818  (not an error of this program)
    """Something that must never be."""


# -- what our reader took for what


@dataclass
class Watched(Reading):
    """A `Reading` that writes down the options, values and operands it judged."""

    options: list[tuple[Option, str | None]] = field(default_factory=list, init=False)
    values: list[tuple[str, Places, str]] = field(default_factory=list, init=False)
    operand_words: list[str] = field(default_factory=list, init=False)
    subs: list[Sub] = field(default_factory=list, init=False)

    def use(self, effect: Effect, label: str, word: int) -> None:
        """Note an option or a subcommand."""
        if isinstance(effect, Option):
            self.options.append((effect, None))
        elif isinstance(effect, Sub):
            self.subs.append(effect)
        super().use(effect, label, word)

    def check(self, kind: str, place: Places, value: str, *, rule: str, word: int) -> None:
        """Note a value and where it stands."""
        self.values.append((kind, place, value))
        if isinstance(place, Option):
            self.options[-1] = (place, value)
        elif word:
            self.operand_words.append(value)
        super().check(kind, place, value, rule=rule, word=word)


def watch(command: Command, argv: tuple[str, ...], cwd: str) -> Watched:
    """Read an allowed argv again, watching; raises `Refusal` if it is refused now."""
    reading = Watched(command.name, argv, cwd, out=list(argv), walked=command.walks)
    reading.use(command, command.name, 0)
    READERS[command.grammar](reading, command)
    reading.finish()
    return reading


# -- options and operands

# What the programs themselves do before or besides getopt. Where the catalog takes `-5` others have digits as options.
_OLD_FIRST_WORD = frozenset(["head", "tail"])
_NEGATIVE = frozenset(["seq"])
_OWN_DIGITS = _OLD_FIRST_WORD | _NEGATIVE
_PLUS_COMMANDS = frozenset(["less"])
_scanners: dict[tuple[int, bool], tuple[Command | Sub, Scanner]] = {}


def scanner(owner: Command | Sub, name: str, *, permute: bool) -> Scanner:
    """The scanner of a command's or subcommand's table, made once."""
    known = _scanners.get((id(owner), permute))
    if known is None:
        digits = isinstance(owner, Command) and bool(re.fullmatch(owner.numeric or "-", "-5", re.ASCII))
        made = Scanner.of(
            owner.table, permute=permute, digits=digits and name not in _OWN_DIGITS, negative=name in _NEGATIVE
        )
        known = _scanners[id(owner), permute] = (owner, made)  # the owner is kept, so that its id stays its own
    return known[1]


def check_getopt(command: Command, run: tuple[str, ...], watched: Watched) -> None:
    """glibc finds in what is run the options, values and operands that were judged, and none that is denied."""
    scoped = any(sub.options for sub in command.commands)
    argv = list(run)
    if command.name in _OLD_FIRST_WORD and len(argv) > 1 and re.fullmatch(command.numeric, argv[1], re.ASCII):
        del argv[1]
    try:
        found = scanner(command, command.name, permute=command.permute and not scoped).scan(command.table, argv)
        if scoped and found.operands:
            found = _scoped(command, found)
    except UsageError:
        if command.name in _OLD_FIRST_WORD and any(word[:1] == "-" and word[1:2].isdigit() for word in argv[1:]):
            return  # an old form in a later place, which the program refuses
        raise Finding(f"glibc refuses {run!r}") from None
    if command.grammar == "mount":
        found = _mounting(run, found)
    _same(command, run, found, watched)


_UNSAFE_MOUNT = frozenset([
    "suid", "dev", "bind", "rbind", "move", "remount", "loop", "defaults", "user", "users", "owner", "group",
    "upperdir",
])  # fmt: skip
_MOUNT_TYPES = frozenset(["nfs", "nfs4", "lustre", "beegfs"])


def _mounting(run: tuple[str, ...], found: Found) -> Found:
    """What mounts begins with nosuid and nodev, undoes neither, and is of a network's type; without what was added."""
    for option, value in found.options:
        words = {word.partition("=")[0] for word in (value or "").split(",")}
        if "-o" in option.spellings and (words & _UNSAFE_MOUNT or any(w.startswith(("X-", "x-")) for w in words)):
            raise Finding(f"unsafe mount options: {run!r}")
        if found.operands and "-t" in option.spellings and value not in _MOUNT_TYPES:
            raise Finding(f"mounts a {value}: {run!r}")
    if not found.operands:
        return found
    if not found.options or found.options[0][1] != "nosuid,nodev":
        raise Finding(f"mounts without nosuid and nodev: {run!r}")
    return Found(found.options[1:], found.operands)


def _scoped(command: Command, first: Found) -> Found:
    """The options behind a subcommand that has its own."""
    verb = first.operands[0]
    sub = next((sub for sub in command.commands if verb in sub.spellings), None)
    if sub is None:
        raise Finding(f"subcommand {verb!r} of {command.name} is not in the catalog")
    owner: Command | Sub = sub if sub.options else command
    rest = scanner(owner, command.name, permute=True).scan(owner.table, first.operands)
    return Found(first.options + rest.options, (verb, *rest.operands))


def _same(command: Command, run: tuple[str, ...], found: Found, watched: Watched) -> None:
    for option, _ in found.options:
        if option.deny:
            raise Finding(f"{option.names} is denied, and in {run!r}")
    operands, judged = list(found.operands), watched.operand_words
    if command.name in _NEGATIVE:
        if not all(re.fullmatch(r"[+-]?[0-9.]+", word, re.ASCII) for word in operands):
            return  # an option behind a number: the program refuses it
        operands, judged = _positive(operands), _positive(judged)
    injected = len(command.inject)
    theirs, ours = found.options[injected:], watched.options
    if len(theirs) != len(ours) or not all(
        (theirs_option.names == option.names or option.into in theirs_option.spellings) and value == judged
        for (theirs_option, value), (option, judged) in zip(theirs, ours, strict=True)
    ):
        raise Finding(f"{run!r}: glibc finds options {_told(theirs)}, we judged {_told(ours)}")
    if command.commands and operands:
        verb = operands.pop(0)
        sub = next((sub for sub in command.commands if verb in sub.spellings), None)
        if sub is None or sub.deny:
            raise Finding(f"subcommand {verb!r} is not allowed, and in {run!r}")
    if command.name in _OLD_FIRST_WORD:  # an old form in a later place is a file of that name
        old = re.compile(command.numeric, re.ASCII)
        operands, judged = ([w for w in words if not old.fullmatch(w)] for words in (operands, judged))
    if command.name in _PLUS_COMMANDS:
        operands, judged = ([w for w in words if not w.startswith("+")] for words in (operands, judged))
    if command.grammar == "sysstat":  # numbers and names each go to places of their own
        operands, judged = sorted(operands), sorted(judged)
    if operands != judged and not watched.used & {"--help", "--version"}:
        raise Finding(f"{run!r}: glibc finds operands {operands!r}, we judged {judged!r}")


def _positive(words: Sequence[str]) -> list[str]:
    return [word for word in words if not word.startswith("-")]


def check_fed(command: Command, stage: StageDecision, watched: Watched) -> None:
    """What is read for the program are the operands judged as files; without them its options are the same."""
    if stage.feed != command.feed or (stage.fed and not command.feed):
        raise Finding(f"{stage.argv!r} is fed with {stage.feed!r}")
    if not command.feed:
        return
    operands = [(kind, value) for kind, place, value in watched.values if not isinstance(place, Option)]
    fed = [stage.argv[place] for place in stage.fed]
    if fed != [value for kind, value in operands if kind == "file"]:
        raise Finding(f"{stage.argv!r} is fed with {fed!r}")
    kept = tuple(word for place, word in enumerate(stage.argv) if place not in stage.fed)
    found = scanner(command, command.name, permute=command.permute).scan(command.table, kept)
    if [*found.operands] != [value for kind, value in operands if kind != "file"]:
        raise Finding(f"{kept!r} opens {found.operands!r}")
    if [(option.names, value) for option, value in found.options] != [(o.names, value) for o, value in watched.options]:
        raise Finding(f"{kept!r} has the options {_told(found.options)}, we judged {_told(watched.options)}")


def _told(options: Sequence[tuple[Option, str | None]]) -> str:
    return repr([(option.names, value) for option, value in options])


_NO_END = frozenset(["find"])  # `--` does not end its tests and actions
_SIGNALS = frozenset(["pkill", "pgrep"])
_SIGNAL = re.compile(
    r"-([0-9].*|(SIG)?(HUP|INT|QUIT|ILL|TRAP|ABRT|IOT|BUS|FPE|KILL|USR1|SEGV|USR2|PIPE|ALRM|TERM|STKFLT|CHLD|CLD|CONT|STOP"
    r"|TSTP|TTIN|TTOU|URG|XCPU|XFSZ|VTALRM|PROF|WINCH|IO|POLL|PWR|SYS|UNUSED|RTMIN.*|RTMAX.*))",
    re.ASCII | re.IGNORECASE,
)


def check_exact(command: Command, run: tuple[str, ...]) -> None:
    """Each word with a dash that is no option's value is in a table in full, and not denied."""
    table, waiting = command.table, False
    for index, word in enumerate(run[1:], 1):
        if command.name in _SIGNALS and index > 1 and _SIGNAL.fullmatch(word):
            raise Finding(f"{command.name} takes {word!r} for a signal wherever it stands: {run!r}")
        if waiting:
            waiting = False
            continue
        sub = next((sub for sub in command.commands if word in sub.spellings), None)
        if sub is not None:
            _not_denied(sub, word, run)
            table = sub.table if sub.options else table
        elif word == "--" and command.name in _NO_END:
            continue
        elif word == "--":
            return
        elif command.numeric and re.fullmatch(command.numeric, word, re.ASCII):
            continue
        elif word.startswith("-") and len(word) > 1:
            option = table.get(word) or table.get(word.partition("=")[0])
            if option is None:
                raise Finding(f"{word!r} is no option of {command.name}: {run!r}")
            _not_denied(option, word, run)
            waiting = bool(option.value) and not option.optional and "=" not in word
        elif command.commands:
            raise Finding(f"{word!r} is no subcommand of {command.name}: {run!r}")


def check_tree(command: Command, run: tuple[str, ...]) -> None:
    """Options come first; then names down the tree in full; then keywords, none of them denied or short for one."""
    words = list(run[1:])
    while words and words[0].startswith("-") and not any(words[0] in sub.spellings for sub in command.commands):
        option = command.table.get(words[0]) or command.table.get(words[0].partition("=")[0])
        if option is None:
            raise Finding(f"{words[0]!r} is no option of {command.name}: {run!r}")
        _not_denied(option, words[0], run)
        takes = bool(option.value) and not option.optional and "=" not in words[0]
        del words[: 1 + takes]
    level, sub = command.commands, None
    while words and level and (found := next((s for s in level if words[0] in s.spellings), None)) is not None:
        _not_denied(found, words.pop(0), run)
        sub, level = found, found.commands
    if level:
        sub = next((s for s in level if s.default), None)
        if sub is None and words:
            raise Finding(f"{words[0]!r} is not in the tree of {command.name}: {run!r}")
    if sub is not None and not sub.free:
        _keywords(sub, words, run)


def _keywords(sub: Sub, words: list[str], run: tuple[str, ...]) -> None:
    waiting = False
    for word in words:
        known = next((keyword for keyword in sub.keywords if word in keyword.spellings), None)
        if waiting:
            waiting = False
        elif known is not None:
            _not_denied(known, word, run)
            waiting = bool(known.value)
        elif word.startswith("-"):
            raise Finding(f"{word!r} looks like an option: {run!r}")
        else:
            for keyword in sub.keywords:
                if keyword.deny and word and any(name.startswith(word) for name in keyword.spellings):
                    raise Finding(f"{word!r} may stand for {keyword.names}: {run!r}")


def _not_denied(effect: Effect, word: str, run: tuple[str, ...]) -> None:
    if effect.deny:
        raise Finding(f"{word!r} is denied, and in {run!r}")


def check_lsof(command: Command, run: tuple[str, ...]) -> None:
    """Letters behind `-` and `+` up to the first word without, each allowed, but for those in a value."""
    may_be_value = False
    for word in run[1:]:
        if word == "--":
            return
        if len(word) < 2 or word[0] not in "-+":
            if not may_be_value:
                return
            may_be_value = False
            continue
        may_be_value = False
        for position, letter in enumerate(word[1:], 1):
            option = command.table.get(word[0] + letter)
            if option is None:
                raise Finding(f"{letter!r} in {word!r} is no option of lsof: {run!r}")
            _not_denied(option, word, run)
            if option.value:
                may_be_value = position == len(word) - 1
                break


def check_ps(command: Command, run: tuple[str, ...]) -> None:
    """No reading of a ps line shows environments: neither as written, nor, where that fails, with dashes ignored."""
    for letter, mark, word in _ps_letters(command, run):
        option = command.table.get(mark + letter)
        if option is None or option.deny:
            raise Finding(f"ps: {letter!r} in {word!r} is not allowed: {run!r}")
        if letter == "e":
            raise Finding(f"ps: e in {word!r} shows environments when dashes are ignored: {run!r}")
    for word in run[1:]:
        name = word.partition("=")[0]
        if name.startswith("--") and (name not in command.table or command.table[name].deny):
            raise Finding(f"ps: {word!r} is not allowed: {run!r}")


def _ps_letters(command: Command, run: tuple[str, ...]) -> Iterator[tuple[str, str, str]]:
    """Each letter that is an option, with `-` or `+` (a BSD one), and the word it is in."""
    waiting = False
    for word in run[1:]:
        if waiting:
            waiting = False
            continue
        if word.startswith("--"):
            option = command.table.get(word)
            waiting = option is not None and bool(option.value) and not option.optional
            continue
        if word[:1].isdigit():
            continue
        mark, letters = ("-", word[1:]) if word.startswith("-") else ("+", word)
        for position, letter in enumerate(letters):
            yield letter, mark, word
            option = command.table.get(mark + letter)
            if option is not None and option.value:
                waiting = position == len(letters) - 1
                break


def check_options(command: Command, run: tuple[str, ...], watched: Watched) -> None:
    """The check of the command's grammar; a grammar without one is a finding, so that none is forgotten."""
    if command.grammar in ("getopt", "sysstat", "mount"):
        check_getopt(command, run, watched)
    elif command.grammar == "exact":
        check_exact(command, run)
    elif command.grammar == "tree":
        check_tree(command, run)
    elif command.grammar == "ps":
        check_ps(command, run)
    elif command.grammar == "lsof":
        check_lsof(command, run)
    elif command.grammar != "words":
        raise Finding(f"no check for the grammar {command.grammar}")


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
