"""Read the catalog's files: strictly, and each only when its command is first asked for.

`load_catalog()` lists the files that come with the package and parses none, so the agent
starts fast. A directory of the site's own is read at once, so its errors show at start.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from pactsh.catalog.kinds import KINDS, regex
from pactsh.catalog.locate import Step, line_of, place_of
from pactsh.catalog.schema import DIMENSIONS, GRAMMARS, GROUPS, Command, Effect, Operand, Option, Sub, Valued
from pactsh.errors import UsageError

_NAME = re.compile(r"[a-z0-9][a-z0-9_.+-]*")
_SYSTEM = ("/usr/bin/", "/usr/sbin/", "/bin/", "/sbin/", "/opt/rocm/bin/", "/usr/lib/", "/usr/libexec/")
_CAPABILITY = re.compile(r"cap_[a-z_]+")
Path_ = tuple[Step, ...]


class Catalog(Mapping[str, Command]):
    """Commands by name, sorted; a file is parsed when its command is first looked up.

    Looking up may raise `UsageError` for a broken file (`complete()` reads all of them).
    """

    def __init__(self, files: Mapping[str, Path], parsed: Mapping[str, Command] | None = None) -> None:
        self._files = dict(files)
        self._parsed = dict(parsed or {})
        self._names = tuple(sorted(self._files.keys() | self._parsed.keys()))

    @property
    def commands(self) -> Mapping[str, Command]:
        """The commands by name (this mapping itself)."""
        return self

    def __getitem__(self, name: str) -> Command:
        command = self._parsed.get(name)
        if command is None:
            path = self._files[name]
            command = self._parsed[name] = parse_command(_text(path), path.name)
            if command.name != path.stem:
                raise UsageError(f"{path.name}: line 1: name: must be {path.stem!r}, like the file")
        return command

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __hash__(self) -> int:
        return id(self)

    def __eq__(self, other: object) -> bool:
        return self is other

    def complete(self) -> Catalog:
        """This catalog with every file read; raises `UsageError` for the first broken one."""
        for name in self:
            self[name]
        return self

    def changed(self, removed: tuple[str, ...], replaced: tuple[Command, ...]) -> Catalog:
        """A catalog without `removed` and with `replaced` added or put in place."""
        files = {name: path for name, path in self._files.items() if name not in removed}
        parsed = {name: command for name, command in self._parsed.items() if name not in removed}
        return Catalog(files, parsed | {command.name: command for command in replaced})


def load_catalog(directory: Path | None = None) -> Catalog:
    """The catalog in `directory`, or the one that comes with the package.

    Raises `UsageError` naming file, line and key; for the package's own files only when the
    command is looked up.
    """
    place = directory or Path(__file__).parent
    try:
        files = {path.stem: path for path in sorted(place.glob("*.toml"))}
    except OSError as error:
        raise UsageError(f"{place}: {error.strerror}") from error
    if not files:
        raise UsageError(f"{place}: no catalog files", hint="a catalog is a directory of NAME.toml files")
    catalog = Catalog(files)
    return catalog.complete() if directory else catalog


def parse_command(text: str, file: str) -> Command:
    """One catalog file's text as a `Command`; raises `UsageError` naming `file`, line and key."""
    return build_command(read_toml(text, file), file, text)


def read_file(path: Path, most_bytes: int) -> str:
    """The text of a file that somebody wrote; raises `UsageError` naming it."""
    try:
        with path.open("rb") as file:
            data = file.read(most_bytes + 1)
        text = data.decode("utf-8")
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: line {data.count(10, 0, error.start) + 1}: not UTF-8") from error
    if len(data) > most_bytes:
        raise UsageError(f"{path}: over {most_bytes} bytes")
    return text


def read_toml(text: str, file: str) -> dict[str, object]:
    """A TOML text as data; raises `UsageError` naming `file` and line."""
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # TOMLDecodeError, and what int() says of 5000 digits
        line = re.search(r"line (\d+)", str(error))
        raise UsageError(f"{file}: line {line[1] if line else text.count(chr(10)) + 1}: {error}") from error


def build_command(data: object, file: str, text: str = "") -> Command:
    """A `Command` from decoded TOML or JSON; `text` is searched for the line of an error."""
    try:
        command = msgspec.convert(data, Command)
    except ValueError as error:  # ValidationError, or a text that is no UTF-8
        raise located(file, text, *place_of(error)) from error
    for steps, message in faults(command):
        raise located(file, text, steps, message)
    return command


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path.name}: line 1: {error}") from error


def located(source: str, text: str, steps: Path_, message: str, hint: str = "") -> UsageError:
    """The error about the value at `steps`: source, line (where there is a text), key, message."""
    key = "".join(f"[{s}]" if isinstance(s, int) else f".{s}" for s in steps).lstrip(".")
    line = f"line {line_of(text, steps)}: " if text else ""
    return UsageError(f"{source}: {line}{key + ': ' if key else ''}{message}", hint=hint)


def faults(command: Command) -> Iterator[tuple[Path_, str]]:
    """What is wrong with a command beyond its form, each with the keys and indices that lead there."""
    if not _NAME.fullmatch(command.name):
        yield ("name",), "must be lower-case letters, digits, '-', '_', '.', '+'"
    if command.feed not in ("", "gzip"):
        yield ("feed",), "must be gzip"
    if command.grammar not in GRAMMARS:
        yield ("grammar",), f"must be one of {', '.join(GRAMMARS)}"
    if command.group not in GROUPS:
        yield ("group",), f"must be one of {', '.join(GROUPS)}"
    if command.builtin == bool(command.paths):
        yield ("paths",), "a program has paths, a builtin has none"
    for number, path in enumerate(command.paths):
        if not path.startswith(_SYSTEM) or ".." in path:
            yield ("paths", number), f"must be below one of {', '.join(_SYSTEM)}"
    if command.numeric:
        yield from _pattern(command.numeric, ("numeric",))
    yield from _effect(command, ())
    yield from _options(command.options, command.grammar, ("options",))
    yield from _operands(command.operands, ("operands",))
    yield from _subs(command.commands, command, ("commands",))


def extension_faults(
    options: tuple[Option, ...], subs: tuple[Sub, ...], command: Command
) -> Iterator[tuple[Path_, str]]:
    """The same for options and subcommands that are to be put into `command`."""
    yield from _options(options, command.grammar, ("options",))
    yield from _subs(subs, command, ("commands",))


def _subs(subs: tuple[Sub, ...], command: Command, at: Path_) -> Iterator[tuple[Path_, str]]:
    seen: set[str] = set()
    for number, sub in enumerate(subs):
        here = (*at, number)
        if not sub.spellings or seen.intersection(sub.spellings):
            yield (*here, "names"), "must be there, and no name twice"
        seen.update(sub.spellings)
        if sub.free and not command.builtin:
            yield (*here, "free"), "is for builtins: a program's words must be in the table"
        yield from _effect(sub, here)
        yield from _options(sub.options, command.grammar, (*here, "options"))
        yield from _operands(sub.operands, (*here, "operands"))
        for position, keyword in enumerate(sub.keywords):
            yield from _valued(keyword, keyword.value, (*here, "keywords", position), "value")
        yield from _subs(sub.commands, command, (*here, "commands"))


def _options(options: tuple[Option, ...], grammar: str, at: Path_) -> Iterator[tuple[Path_, str]]:
    seen: set[str] = set()
    gnu = r"-[^-\s]|--[^\s=]+"
    shapes = {
        "getopt": gnu,
        "mount": gnu,
        "sysstat": rf"{gnu}|[+]f",
        "ps": r"[-+][A-Za-z]|--[^\s=]+",
        "lsof": r"[-+][A-Za-z?]",
    }
    shape = shapes.get(grammar, r"-\S+")
    for number, option in enumerate(options):
        here = (*at, number)
        names = option.spellings
        if not names or not all(re.fullmatch(shape, name) for name in names):
            yield (*here, "names"), f"{option.names!r} is not a list of option spellings of this grammar"
        if seen.intersection(names):
            yield (*here, "names"), f"{option.names!r} is there already"
        seen.update(names)
        yield from _pattern(option.follows, (*here, "follows"))
        if option.optional and not option.value:
            yield (*here, "optional"), "needs a value"
        yield from _valued(option, option.value, here, "value")


def _operands(operands: tuple[Operand, ...], at: Path_) -> Iterator[tuple[Path_, str]]:
    for number, operand in enumerate(operands):
        here = (*at, number)
        if operand.count not in ("1", "?", "*", "+"):
            yield (*here, "count"), "must be 1, ?, * or +"
        yield from _valued(operand, operand.kind, here, "kind")
        for position, form in enumerate(operand.forms):
            if not form.match:
                yield (*here, "forms", position, "match"), "must be there"
            yield from _valued(form, form.kind, (*here, "forms", position), "kind")


def _valued(place: Valued, kind: str, at: Path_, key: str) -> Iterator[tuple[Path_, str]]:
    if kind and kind not in KINDS:
        yield (*at, key), f"{kind!r} is no kind of value; known are {', '.join(KINDS)}"
    if kind in ("enum", "list") and not place.choices:
        yield (*at, "choices"), f"{kind} needs choices"
    for name in ("match", "refuse"):
        yield from _pattern(getattr(place, name), (*at, name))
    yield from _effect(place, at)


def _pattern(pattern: str, at: Path_) -> Iterator[tuple[Path_, str]]:
    try:
        regex(pattern)  # as it will be compiled: `(?u)` is none that goes with the flags
    except (re.error, ValueError, OverflowError, RecursionError) as error:
        yield at, f"not a regular expression: {error}"


def _effect(effect: Effect, at: Path_) -> Iterator[tuple[Path_, str]]:
    if effect.change and effect.change not in DIMENSIONS:
        yield (*at, "change"), f"must be one of {', '.join(DIMENSIONS)}"
    if effect.change and effect.deny:
        yield (*at, "deny"), "a form is either change or deny"
    for number, capability in enumerate(effect.grants.caps):
        if not _CAPABILITY.fullmatch(capability):
            yield (*at, "grants", "caps", number), "a capability is written cap_net_raw"
    for name in ("read", "write", "exec", "devices"):
        for number, path in enumerate(getattr(effect.grants, name)):
            if not path.startswith("/"):
                yield (*at, "grants", name, number), "must be an absolute path"
