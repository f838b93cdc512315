"""Lines made from bytes: a grammar of what people and attackers type, driven by the fuzzer's input.

`Source` hands the bytes out as choices; when they run out every choice is the first, which is the dullest.
`LineMaker` builds lines from the catalog's own tables, changes lines of the case files, or takes the bytes as text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from pactsh.catalog.schema import Command, Keyword, Operand, Option, Sub

T = TypeVar("T")

SECRETS = (
    "shadow", "sda", "environ", "mem", "secrets/x", "fd/0",
    "/etc/shadow", "/etc//shadow", "/etc/./shadow", "/etc/x/../shadow", "//etc/shadow", "../etc/shadow",
    "/root/.bashrc",
    "/proc/1/environ", "/proc/self/environ", "/proc/1/root/etc/shadow", "/dev/sda", "/dev/mem", "/dev/../dev/sda",
    "/etc/ssl/private/a", "/home/a/.ssh/id_rsa", "/run/../root", "/var/run/secrets/x", "/sys/kernel/debug/x",
    "/proc/kcore",
)  # fmt: skip
PLAIN = (
    "x", "1", "10", "0", "-1", "a", "abc", "eth0", "node1", "10.0.0.1", "::1", "/var/log/syslog", "/etc/hosts", "/",
    ".",
    "..", "-", "--", "", "a=b", "a,b", "sshd", "root", "1,2", "2", "1.5", "+5", "-5", "/proc", "/sys", "/dev/null",
    "vm.swappiness", "ext4", "up", "+short", "@10.0.0.1", "json", "%p", "%s", "e", "a b", "on", "all",
)  # fmt: skip
NASTY = (
    "$(id)", "`id`", "${HOME}", "$HOME", "$?", "$USER", "$PACT_NODE", "~", "~root", "{a,b}", "*", "*.log", "?",
    "[a-b]*", "-*",
    "dir/*", "d?r/[!b]*", "[[:alpha:]]", "a;id", "a|id", "a&id", "a\nid", "a\x00b", "a\x1b[0m", "\u00e9", "\u202e",
    "\u00a0",
    "\uff1b", "it's", 'say"', "back\\", "!x", "#c", "x#c", "%1", "(a)", "a>b", "a<b", "=x", "-o/x", "--output=/x",
    "$", "a$",
    "'", '"', "\\", "@(a)", "[a", "a]", "x" * 300, "\udcff", "-\u00e9", "--\u00e9", "[", "!", "}",
)  # fmt: skip
REDIRECTS = (
    "2>&1", ">/dev/null", "2>/dev/null", "&>/dev/null", "1>/dev/null", "> /dev/null", "</etc/hosts", "<a", "< a",
    "<dir/a",
    "<$HOME", "<'x y'", "<*", "<-rf", "</etc/shadow", "<../etc/shadow", "</proc/1/environ", ">x", ">>x", ">>/dev/null",
    ">|/dev/null", "<>a", "<<x", "<<<x", "3>&1", "2>&3", "2>&-", ">&2", "1>&2", ">/dev/../etc/x", ">'/dev/null'",
    ">/dev/nullx",
    "2>1", "&>>/dev/null", ">/dev/tcp/1/1", "{x}>/dev/null", "<(id)", ">(id)", "2> /dev/null", "02>/dev/null", "2>\\&1",
)  # fmt: skip
PLACES = ("/etc", "/", "/dev", "/proc/1", "dir", "..", "-", "/root", "/home/a/.ssh", "/var/run", "nowhere")
JOINS = (" | ", " ; ", " && ", " || ", "|", ";", "&&", "||", " |& ", " & ", "; ;", "\t|\t")
STRANGERS = (
    "rm", "sh", "bash", "vi", "/bin/ls", "./ls", "cat\u00e9", "LS", "", "eval", "exec", "if", "time", "!", "[",
    "a=1", "ls=1",
    "find", "xargs", "sudo", "tee", "sed",
)  # fmt: skip

# What fits each kind of value, so that many lines get past the first check.
_VALUES: dict[str, tuple[str, ...]] = {
    "file": ("/etc/hosts", "a", "/var/log/syslog", "dir/a", "-"),
    "path": ("/etc/hosts", "a", "/", "/proc", "."),
    "dir": ("/", "/etc", "dir", "/var/log", "."),
    "device": ("/dev/sda", "sda", "/dev/nvme0n1", "nvme0"),
    "int": ("1", "5", "100", "0", "+3", "0x10", "-1", "1000000"),
    "number": ("1", "0.5", "10", "-1", ".5", "100"),
    "size": ("1", "10k", "1M", "+5", "-3"),
    "duration": ("1", "0.5s", "2m"),
    "time": ("today", "2024-01-01", "1 hour ago", "-1h", "10:00"),
    "host": ("node1", "localhost", "10.0.0.1", "::1", "fe80::1%eth0"),
    "address": ("10.0.0.1", "10.0.0.0/8", "::1", "default"),
    "interface": ("eth0", "ib0", "lo", "bond0.5"),
    "unit": ("sshd", "chronyd.service", "a@b.service"),
    "units": ("sshd", "ssh*", "*.timer"),
    "sysctl": ("vm.swappiness", "kernel/hostname", "net.ipv4.ip_forward"),
    "pid": ("1", "42", "4242"),
    "pids": ("1", "1,2", "42"),
    "user": ("root", "alice"),
    "users": ("root", "alice,bob", "0"),
    "group": ("root", "users"),
    "word": ("a", "1", "eth0", "a,b", "main"),
    "regex": ("a", "a.b", "^x", "-x", "[a-z]+"),
    "format": ("%d", "%s", "+%F", "%a:%b"),
}


class Source:
    """The fuzzer's bytes as choices."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def byte(self) -> int:
        """The next byte; 0 at the end."""
        at, self._at = self._at, self._at + 1
        return self._data[at] if at < len(self._data) else 0

    def below(self, limit: int) -> int:
        """A number below `limit`."""
        number = self.byte()
        if limit > 256:
            number = number << 8 | self.byte()
        return number % limit

    def pick(self, choices: Sequence[T]) -> T:
        """One of the choices, the first at the end."""
        return choices[self.below(len(choices))]

    def chance(self, one_in: int) -> bool:
        """True once in `one_in`; never at the end."""
        return self.byte() % one_in == 1

    def rest(self) -> bytes:
        """What is left."""
        return self._data[self._at :]

    def left(self) -> bool:
        """Whether there is more."""
        return self._at < len(self._data)


class LineMaker:
    """Makes lines of the commands in `catalog`, or from the lines of the case files."""

    def __init__(self, catalog: Mapping[str, Command], cases: Sequence[str]) -> None:
        self._catalog = catalog
        self._names = tuple(catalog)
        self._cases = tuple(cases)

    def line(self, source: Source) -> str:
        """The line that the bytes stand for."""
        way = source.below(8)
        if way < 2:
            return source.rest().decode("utf-8", "surrogateescape")
        if way < 5:
            return self._changed(source)
        return self._pipelines(source)

    # -- a line of the case files, changed in places

    def _changed(self, source: Source) -> str:
        line = source.pick(self._cases)
        words = line.split(" ")
        command = self._catalog.get(words[0])
        for _ in range(source.below(5)):
            self._edit(source, words, command)
        text = " ".join(words)
        while source.chance(5):
            text += source.pick(JOINS) + source.pick(self._cases)
        if source.chance(4):
            text += " " + source.pick(REDIRECTS)
        return text

    def _edit(self, source: Source, words: list[str], command: Command | None) -> None:
        at = source.below(len(words) + 1)
        way = source.below(9)
        if way == 0 or at == len(words):
            words[at:at] = self._words(source, command)
        elif way == 1:
            words[at : at + 1] = [] if len(words) > 1 else ["ls"]
        elif way == 2:
            words[at] = self._value(source, None)
        elif way == 3:
            words.insert(at, words[source.below(len(words))])
        elif way == 4:
            words[at] = words[at][: source.below(len(words[at]) + 1)]
        elif way == 5:
            words[at] += source.pick(PLAIN)
        elif way == 6:
            words[at] = self._quoted(source, words[at])
        elif way == 7:
            words[at : at + 2] = ["".join(words[at : at + 2])]
        else:
            words.insert(at, source.pick(REDIRECTS))

    # -- a line from the tables

    def _pipelines(self, source: Source) -> str:
        text = f"cd {source.pick(PLACES)}{source.pick(JOINS)}" if source.chance(8) else ""
        text += self._stage(source)
        while source.left() and source.chance(3):
            text += source.pick(JOINS) + self._stage(source)
        return text

    def _stage(self, source: Source, *, inner: bool = False) -> str:
        name = source.pick(STRANGERS) if source.chance(16) else source.pick(self._names)
        command = self._catalog.get(name)
        words = [name if not source.chance(12) else self._quoted(source, name)]
        for _ in range(source.below(7)):
            words += [self._quoted(source, word) for word in self._words(source, command)]
        if name == "watch" and not inner:
            words.append(self._quoted(source, self._stage(source, inner=True)))
        if source.chance(24):
            words.insert(0, "bypass")
        if source.chance(20):
            words += [source.pick(PLAIN)] * (1 << source.below(9))
        while source.chance(6):
            words.insert(source.below(len(words) + 1), source.pick(REDIRECTS))
        return (" " if not source.chance(20) else "\t ").join(words)

    def _words(self, source: Source, command: Command | None) -> list[str]:
        """One or two words that could stand in a line of the command."""
        if command is None:
            return [self._value(source, None)]
        way = source.below(8)
        if way < 4 and command.options:
            return self._option(source, command.options)
        if way < 6 and command.commands:
            return self._subcommand(source, command.commands)
        if way == 6 or not command.operands:
            return [self._value(source, None)]
        operand = source.pick(command.operands)
        return [self._value(source, source.pick(operand.forms) if operand.forms else operand)]

    def _option(self, source: Source, options: Sequence[Option]) -> list[str]:
        option = source.pick(options)
        name = source.pick(option.spellings)
        name = name.removeprefix("+")
        value = self._value(source, option) if option.value or source.chance(12) else None
        if name.startswith("--"):
            if source.chance(3):
                name = name[: 2 + source.below(len(name))]
            if value is None:
                return [name]
            return [f"{name}={value}"] if source.below(3) else [name, value]
        if source.chance(3):
            other = source.pick(source.pick(options).spellings)
            name = f"-{other[1:2]}{name[1:]}" if source.below(2) else f"{name}{other[1:2]}"
        if value is None:
            return [name]
        return [name, value] if source.below(3) else [name + value]

    def _subcommand(self, source: Source, subs: Sequence[Sub]) -> list[str]:
        sub = source.pick(subs)
        name = source.pick(sub.spellings)
        words = [name[: 1 + source.below(len(name))] if source.chance(5) else name]
        for _ in range(source.below(4)):
            if sub.commands and source.below(2) == 0:
                words += self._subcommand(source, sub.commands)
            elif sub.keywords and source.below(2) == 0:
                words += self._keyword(source, sub.keywords)
            elif sub.options and source.below(2) == 0:
                words += self._option(source, sub.options)
            elif sub.operands:
                operand = source.pick(sub.operands)
                words.append(self._value(source, source.pick(operand.forms) if operand.forms else operand))
        return words

    def _keyword(self, source: Source, keywords: Sequence[Keyword]) -> list[str]:
        keyword = source.pick(keywords)
        name = source.pick(keyword.spellings)
        if source.chance(5):
            name = name[: 1 + source.below(len(name))]
        return [name, self._value(source, keyword)] if keyword.value else [name]

    def _value(self, source: Source, place: object) -> str:
        way = source.below(8)
        if way == 6:
            return source.pick(SECRETS)
        if way == 7:
            return source.pick(NASTY)
        if place is None or way == 5:
            return source.pick(PLAIN)
        choices = getattr(place, "choices", ())
        if choices:
            some = [source.pick(choices) for _ in range(1 + source.below(3))]
            return ",".join(some) if _kind(place) == "list" else some[0]
        return source.pick(_VALUES.get(_kind(place), PLAIN))

    def _quoted(self, source: Source, word: str) -> str:
        """The word as someone might type it; not always so that it stays one word."""
        way = source.below(10)
        if way < 5:
            return word
        if way == 5:
            return "'" + word + "'"
        if way == 6:
            return '"' + word + '"'
        if way == 7:
            return "".join("\\" + char for char in word)
        cut = source.below(len(word) + 1)
        return word[:cut] + ("''" if way == 8 else "\\") + word[cut:]


def _kind(place: object) -> str:
    if isinstance(place, Option | Keyword):
        return place.value
    return str(getattr(place, "kind", "")) if not isinstance(place, Operand) else place.kind
