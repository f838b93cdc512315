"""What the words of an allowed line are: options are found by glibc, or by a scan of a few lines for the grammars
that are not glibc's. Every check raises `Finding`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from fuzz.glibc import Found, Scanner, UsageError
from fuzz.watched import Finding, Watched
from pactsh.catalog.schema import Command, Effect, Option, Sub
from pactsh.policy.decision import StageDecision

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
