"""The catalog's file format: what one `NAME.toml` may say, as strict msgspec structs.

A file describes one command: its binary candidates, grammar, options, subcommands and
operands, and for each of them whether it reads (nothing said), changes a dimension
(`change = "kernel"`) or is refused (`deny = "why"`). What a file does not name is refused.
The format is described in `README.md` beside the files.
"""

from __future__ import annotations

from functools import cached_property

import msgspec

DIMENSIONS = ("kernel", "mounts", "files", "network", "services", "packages", "gpu")
GRAMMARS = ("getopt", "exact", "tree", "ps", "lsof", "sysstat", "mount", "words")
GROUPS = ("files", "text", "system", "processes", "hardware", "network", "logs", "kernel", "services", "shell")


class Grants(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a process may do beyond reading its files: the sandbox enforces this.

    `caps` are Linux capabilities (`cap_net_raw`), `read` extra path trees, `write` those it may
    change. `only`: these trees are all it reads, without masks, where it has to see the node as it
    is (`mount`) or reach the bus (`systemctl`). `exec` are absolute programs it may start, `devices`
    device files it may open, for their ioctls also for writing; those in `read` for reading alone. An
    entry of either may end in `*`. `net` leaves it the network, `lookup` unix sockets (behind some of
    them the names of users are found), `terminal` a controlling terminal. `trace`: other processes'
    open files, which no Landlock domain can see, so the filter alone keeps it from writing;
    `unconfined`: no Landlock domain and no masks (mount and swapon, chronyc's socket).
    """

    caps: tuple[str, ...] = ()
    read: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    exec: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    net: bool = False
    lookup: bool = False
    trace: bool = False
    unconfined: bool = False
    terminal: bool = False

    def merged(self, other: Grants) -> Grants:
        """Both grants together, first come first named."""
        return Grants(
            caps=_union(self.caps, other.caps),
            read=_union(self.read, other.read),
            only=_union(self.only, other.only),
            write=_union(self.write, other.write),
            exec=_union(self.exec, other.exec),
            devices=_union(self.devices, other.devices),
            net=self.net or other.net,
            lookup=self.lookup or other.lookup,
            trace=self.trace or other.trace,
            unconfined=self.unconfined or other.unconfined,
            terminal=self.terminal or other.terminal,
        )


def _union(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(first + second))


class Effect(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What using a form means: `change` names a dimension, `deny` says why it is refused.

    `requires` lists options of which at least one has to be given as well.
    """

    help: str = ""
    change: str = ""
    deny: str = ""
    hint: str = ""
    grants: Grants = Grants()
    requires: tuple[str, ...] = ()


class Valued(Effect, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A form that takes a value: its kind and what narrows it.

    `low` and `high` bound numbers, `choices` an `enum` or `list`; `match` is a regular
    expression the whole value must match, `refuse` one it must not, `why` says so then. With `each`,
    the characters that part a list, they are for each of its items.
    `label` stands for the value in help.
    """

    label: str = ""
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    match: str = ""
    refuse: str = ""
    each: str = ""
    why: str = ""


class Option(Valued, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One option with all its spellings (`names = "-o --output"`); `value` is a kind or "".

    `optional`: the value counts only when attached, or when the next word matches `follows`
    (systemd's tools). `recursive`: operands are then walked, so
    trees such as /proc are refused. `first`: it must be the word after the command. `into`
    replaces the option's spelling in what is run.
    """

    names: str
    value: str = ""
    optional: bool = False
    follows: str = ""
    recursive: bool = False
    first: bool = False
    into: str = ""

    @property
    def spellings(self) -> tuple[str, ...]:
        """Each spelling, dashes included."""
        return tuple(self.names.split())


class Form(Valued, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One alternative of an operand, taken when `match` fits the whole word."""

    kind: str = "string"


class Operand(Valued, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A place in the operands. `count` is `1`, `?`, `*` or `+`; `forms` are alternatives.

    `unless`: the place isn't there when one of these options is given. `with_next`: when this
    place is filled, the next must be as well.
    """

    kind: str
    count: str = "1"
    unless: tuple[str, ...] = ()
    with_next: bool = False
    forms: tuple[Form, ...] = ()


class Keyword(Valued, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A dashless keyword of a subcommand (`ip link set dev eth0 mtu 9000`)."""

    names: str
    value: str = ""

    @property
    def spellings(self) -> tuple[str, ...]:
        """Each spelling."""
        return tuple(self.names.split())


class Sub(Effect, frozen=True, forbid_unknown_fields=True, kw_only=True, dict=True):
    """A subcommand. The first of `names` is the full one that is run for all of them.

    `options`, where given, are the only ones after the subcommand's name; otherwise the
    command's own go on. `default`: taken when no subcommand is named. `free`: any words may
    follow; only for a builtin, which checks them itself.
    """

    names: str
    default: bool = False
    options: tuple[Option, ...] = ()
    keywords: tuple[Keyword, ...] = ()
    operands: tuple[Operand, ...] = ()
    commands: tuple[Sub, ...] = ()
    extra: str = ""
    free: bool = False

    @property
    def spellings(self) -> tuple[str, ...]:
        """Each spelling, the full one first."""
        return tuple(self.names.split())

    @cached_property
    def table(self) -> dict[str, Option]:
        """Every spelling of every option, dashes included."""
        return {name: option for option in self.options for name in option.spellings}


class Command(Effect, frozen=True, forbid_unknown_fields=True, kw_only=True, dict=True):
    """A whole file. `paths` are absolute candidates; `inject` goes in front of the arguments.

    `permute`: options may follow operands (GNU). `numeric`: whole words such as `-5` that
    this regular expression matches are accepted as they stand. `abbreviate`: subcommands
    may be shortened to any unambiguous prefix. `extra` says why one operand more is refused.
    `walks`: it goes down into operands that are directories, whatever its options.
    `feed`: "gzip" when `file` operands are not given to the program, but decompressed into its
    stdin, one after the other (`zgrep`, which is a shell script elsewhere).
    """

    name: str
    summary: str
    group: str
    paths: tuple[str, ...] = ()
    builtin: bool = False
    grammar: str = "getopt"
    permute: bool = True
    abbreviate: bool = False
    numeric: str = ""
    inject: tuple[str, ...] = ()
    feed: str = ""
    walks: bool = False
    examples: tuple[str, ...] = ()
    options: tuple[Option, ...] = ()
    operands: tuple[Operand, ...] = ()
    commands: tuple[Sub, ...] = ()
    extra: str = ""

    @cached_property
    def table(self) -> dict[str, Option]:
        """Every spelling of every option, dashes included."""
        return {name: option for option in self.options for name in option.spellings}
