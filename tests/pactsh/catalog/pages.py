"""Reading manual pages, help texts and `getopt` tables: which options and verbs do they name.

Taken is what a line introduces, not what running text mentions; see `introduced`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

# Programs whose words behind a single dash are names, not clusters of letters.
WHOLE = frozenset({"ethtool", "find", "ip", "nvidia-smi", "xxd"})
# Programs with options that begin with a plus sign.
PLUS = frozenset({"dig", "iostat", "less", "lsof", "xxd"})
# Programs whose pages have a section of commands.
MANAGED = frozenset({"chronyc", "hostnamectl", "loginctl", "systemctl", "timedatectl"})
# What pages introduce as if it were an option: numbers and lists as examples, and stand-ins for several options.
NOT_OPTIONS: Mapping[str, frozenset[str]] = {
    "clear": frozenset({"-e", "-p", "-t", "-y"}),  # -Ttype
    "cut": frozenset({"-M"}),  # a range: -M
    "diff": frozenset({"--GTYPE-group-format", "--LTYPE-line-format"}),  # old, new and unchanged
    "ethtool": frozenset({"-1", "-2"}),  # numbers
    "find": frozenset({"-Olevel", "-n", "-newerXY", "-mode"}),  # -O0 to -O3, a number, -newermt, -perm -mode
    "findmnt": frozenset({"--deleted", "--shadow"}),  # not in its table; --shadowed is
    "grep": frozenset({"-N"}),  # -NUM
    "journalctl": frozenset({"-1"}),  # an offset for -b
    "kill": frozenset({"-1", "-9"}),  # everything, a signal
    "less": frozenset({"+cmd", "-!", "--!"}),  # commands while it runs
    "last": frozenset({"-5"}),  # a number
    "lspci": frozenset({"-r"}),  # part of what -m prints
    "lstopo": frozenset({"-.", "-r"}),  # -.FORMAT; uname's in an example
    "modprobe": frozenset({"--force-modversions"}),  # a slip: --force-modversion
    "mount": frozenset({"--make-", "-b"}),  # --make-*, a command of blkid's
    "ps": frozenset({"-1"}),  # a number
    "rdma": frozenset({"-c", "-e", "-o"}),  # inside -b[atch] and the like
    "systemctl": frozenset({"-.", "-.[=]"}),  # the unit -.slice, for which it has a message
    "top": frozenset({"--batch"}),  # short for --batch-mode
    "watch": frozenset({"-l", "--no-linewrap"}),  # not in its table; --no-wrap is
    "xxd": frozenset({"+seek", "-1"}),  # parts of an example
    "zcat": frozenset({"-#"}),  # -1 to -9
    "zgrep": frozenset({"-N"}),
}

_MARK = r"(?:\+\|-|-\|\+|--|[-+])"
_NAME = r"(?:\[no-?\])?[A-Za-z0-9?#@%~\"$!:.][\w.-]*(?:\[[a-zA-Z-]+\])?"
_OPTION = re.compile(rf"\[?({_MARK}{_NAME})")
# A value (one word attached, up to three of their own), then what stands between two spellings.
_VALUE = r"(?:[^\s,|]|,(?=[^\s-]))"
_SEPARATOR = r"(?:,\s*|\s*\|\s*|\s+or\s+|\s*/\s*|\s+)"
_BETWEEN = re.compile(rf"{_VALUE}*(?: (?!-){_VALUE}+){{0,3}}?{_SEPARATOR}(?=[-+]{{1,2}}[\w?#\"~\[])")


def introduced(line: str, *, whole: bool) -> Iterator[str]:
    """The option spellings a line of a manual page or help text introduces; none if it is running text.

    >>> sorted(introduced("  -f FILE, --file=FILE  read FILE, see -x", whole=False))
    ['--file', '-f']
    >>> sorted(introduced("+|-e s  exempts", whole=False))
    ['+e', '-e']
    """
    text = re.sub(r"^(\s*-[^\s,]+),?\s+(?=--?[A-Za-z])", r"\1, ", line).strip()
    tag = re.split(r"\s{2,}", text)[0]
    position = 0
    while found := _OPTION.match(tag, position):
        yield from spellings(found[1], whole=whole)
        gap = _BETWEEN.match(tag, found.end())
        if gap is None:
            break
        position = gap.end()


def spellings(token: str, *, whole: bool) -> Iterator[str]:
    """The options that a token of a text stands for.

    >>> list(spellings("-lTYPE", whole=False))
    ['-l']
    >>> sorted(spellings("--[no-]pager", whole=True))
    ['--no-pager', '--pager']
    >>> sorted(spellings("-s[tatistics]", whole=True))
    ['-s', '-statistics']
    """
    for mark in ("+|-", "-|+"):
        if token.startswith(mark):
            for each in "+-":
                yield from spellings(each + token[len(mark) :], whole=whole)
            return
    negated = re.match(r"([-+]+)\[(no-?)\](.*)", token)
    if negated:
        yield from spellings(negated[1] + negated[3], whole=whole)
        yield from spellings(negated[1] + negated[2] + negated[3], whole=whole)
        return
    short, opened, rest = token.partition("[")
    if short.startswith("--") or whole or (short.startswith("+") and len(short) > 2):
        yield short.rstrip(".")
        if opened:
            yield short.removesuffix(rest[:1]) + rest.rstrip("]") if len(short) == 2 else short + rest.rstrip("]")
    else:
        yield short[:2]


def options_in(text: str, name: str) -> set[str]:
    """Every option that a manual page or help text introduces, in its lines and its synopsis."""
    whole = name in WHOLE
    found: set[str] = set()
    for line in text.splitlines():
        start = re.sub(rf"^\s*(?:[Uu]sage:)?\s*{re.escape(name)} (?:\[ FLAGS \] )?(?=-)", "", line)
        found.update(introduced(start, whole=whole))
    if not whole:
        for usage in usages(text, name):
            for letters in re.findall(r"\[\s*-([A-Za-z0-9]+)\b(?!\[)", usage):
                found.update(f"-{letter}" for letter in letters)
            found.update(re.findall(r"(?<![\w-])--[a-z][\w-]*", usage))
    if name == "ps":  # BSD letters stand without a dash; `+` marks them here and in the catalog
        flags = text.partition("PROCESS STATE CODES")[0]
        found.update(f"+{letter}" for letter in re.findall(r"(?m)^\s{7}([A-Za-z])(?=\s{2,}| [A-Za-z]+$)", flags))
    meant = {word for word in found if word[0] == "-" or name in PLUS or name == "ps"}
    return meant - NOT_OPTIONS.get(name, frozenset())


def usages(text: str, name: str) -> Iterator[str]:
    """The lines of a synopsis: they begin with the program's name."""
    for line in text.splitlines():
        if re.match(rf"\s*(?:[Uu]sage:)?\s*{re.escape(name)} ", line):
            yield line


def verbs_in(text: str, name: str) -> set[str]:
    """The subcommands a text lists, for the programs that have some."""
    if name in ("ip", "rdma"):
        listed = re.search(r"OBJECT := \{([^}]*)\}", text)
        return set(re.findall(r"[a-z]\w*", listed[1])) if listed else set()
    if name == "nvidia-smi":
        return set(re.findall(r'"nvidia-smi ([a-z0-9-]+) -h"', text))
    if name == "ipmitool":
        return set(re.findall(r"(?m)^\s+([a-z]\w*)\s{2,}\S", text.partition("\nCommands:")[2]))
    page = re.search(r"(?m)^COMMANDS$\n((?:^ .*\n|^\n)+)", text)
    if name in MANAGED and page:
        return set(re.findall(r"(?m)^ {7}([a-z][a-z-]+)(?= [A-Z\[<{]|$)", page[1])) - {"and", "or"}
    if name == "chronyc":
        return set(re.findall(r"(?m)^([a-z]\w*)(?= |$)", text)) if text.startswith("System clock:") else set()
    if name in MANAGED:
        sections = re.findall(r"(?m)^(?:[A-Za-z][\w -]*)?Commands:\n((?: .*\n|\n(?= ))+)", text)
        return set(re.findall(r"(?m)^  ([a-z][a-z-]+)\b", "\n".join(sections)))
    return set()


def object_verbs(text: str, thing: str) -> set[str]:
    """The commands of one `ip` or `rdma` object, from its usage text."""
    found: set[str] = set()
    for choice in re.findall(rf"(?:ip|rdma) (?:\[[^]]*\] )*{thing} +(\{{[^}}]*\}}|\[[^][]*|[a-z_]+)", text):
        found.update(re.findall(r"(?<![\w-])[a-z][a-z_]+", choice))
    return found


def table_words(letters: str, *names: str) -> Iterator[str]:
    """The words of one `getopt` table; `?` is its answer to errors, and what is no character stands for long options.

    >>> list(table_words("+ab:c::", "--all", "--lines="))
    ['+', '-a', '-b=', '-c[=]', '--all', '--lines=']
    """
    if letters.startswith("+"):
        yield "+"
    for letter, colons in re.findall(r"([!-9<->@-~])(:{0,2})", letters.lstrip("+-:")):
        yield f"-{letter}" + ("", "=", "[=]")[len(colons)]
    yield from names
