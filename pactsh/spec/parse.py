"""A spec's TOML as what it declares for each vCluster. Every error names file, line, key and what was expected, and all
that is wrong is told at once."""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import msgspec

from pactsh.auth.names import NODE
from pactsh.catalog.loader import read_file, read_toml
from pactsh.catalog.locate import Step, line_of
from pactsh.errors import UsageError
from pactsh.spec.checks import CHECKS, LONGEST_TEXT, covered_files, key_problem
from pactsh.spec.mounts import MEMORY, SAFE
from pactsh.spec.spelling import escaped, shortened

MOST_BYTES = 900 << 10
_MOST_TOLD = 20
_VCLUSTER = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_UNIT_KINDS = ("service", "socket", "timer", "path")
# As systemd itself: what has no suffix of a unit is a service.
_HAS_SUFFIX = re.compile(r".*\.(service|socket|timer|path|target|mount|automount|swap|scope|slice|device)", re.DOTALL)
_NOWHERE = "there is no such thing in this version"
# Keys of other versions of the spec, by what to do about them.
_ELSEWHERE = {
    "base_image": "images are the hardware manager's",
    "modules": 'write "module:NAME" = "loaded" in sysctl',
    "policy": "a policy is set by pact group set-policy",
    "drift": "what is no drift is said by pact blacklist",
    "read_only": _NOWHERE,
    "supervisor_backend": _NOWHERE,
    "kernel": "the section is sysctl",
}

At = tuple[Step, ...]
Fault = tuple[At, str]


class Spec(msgspec.Struct, frozen=True):
    """What is wanted for one vCluster: values by dimension and key as in `pactsh.model.overlay`, `contents` texts of
    files by their SHA-256, `overwrite` keys by node whose node deltas are to fall away."""

    vcluster: str
    values: dict[str, dict[str, str]] = {}
    contents: dict[str, str] = {}
    overwrite: dict[str, tuple[str, ...]] = {}


def load_spec(path: Path) -> tuple[Spec, ...]:
    """The specs in a file; raises `UsageError`."""
    return parse_spec(read_file(path, MOST_BYTES), str(path))


def parse_spec(text: str, source: str) -> tuple[Spec, ...]:
    """One for each vCluster, in order; `source` is the file's name in errors. Raises `UsageError`, whose message has a
    line for each fault."""
    raw = read_toml(text, source)
    faults: list[Fault] = [((key,), _unknown(key, ("vcluster",))) for key in raw if key != "vcluster"]
    tables = raw.get("vcluster", {})
    if not isinstance(tables, dict) or not (tables or faults):
        faults.append((("vcluster",) if "vcluster" in raw else (), "expected a table [vcluster.NAME.sysctl] or alike"))
        tables = {}
    specs = [_Reader(name, faults).read(table) for name, table in tables.items()]
    if faults:
        told = sorted((_line(text, raw, at), _told(at, message)) for at, message in faults[:_MOST_TOLD])
        lines = [f"{source}: line {number}: {message}" for number, message in told]
        lines += [f"and {len(faults) - _MOST_TOLD} more"] if len(faults) > _MOST_TOLD else []
        raise UsageError(lines[0], more=tuple(lines[1:]), hint="nothing was applied; see pact-apply(1)")
    return tuple(specs)


def _line(text: str, raw: object, at: At) -> int:
    """The line of a key. Of tables without a line of their own, as `a` in `[a.b]`, that of the first in them."""
    text = "\n" + text  # so that 1 is no line, but where nothing is known
    value = raw
    for step in at:
        value = value.get(step) if isinstance(value, dict) else None
    line = line_of(text, at)
    while (line == 1 or line == line_of(text, at[:-1])) and isinstance(value, dict | list) and value:
        step, value = next(iter(value.items())) if isinstance(value, dict) else (0, value[0])
        at = (*at, step)
        line = line_of(text, at)
    return max(1, line - 1)


def _told(at: At, message: str) -> str:
    """Key and message on one line, whatever the key holds."""
    key = ".".join(shortened(str(step)) for step in at)
    text = f"{key}: {message}" if key else message
    return "".join(c if c.isprintable() else f"\\u{ord(c):04X}" for c in text)


def _unknown(key: str, known: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(key[:80], known, 1)
    return "unknown key: " + (f"did you mean {close[0]}?" if close else f"expected {', '.join(known)}")


def _no_text(name: str, value: object) -> str:
    """What to write instead of a value that is no text. Of a name with dots TOML makes tables within tables."""
    if isinstance(value, dict):
        while isinstance(value, dict) and value:
            part, value = next(iter(value.items()))
            name = f"{name}.{part}"
        return f'expected text: a name with dots is written in quotes: "{shortened(name)}" = …'
    # Of a very long number Python makes no decimal digits.
    if isinstance(value, int | float) and not isinstance(value, bool) and name != "mode" and abs(value) < 1 << 64:
        return f'expected text: write "{value}"'
    return "expected text, in quotes" + (': "0644"' if name == "mode" else "")


class _Reader:
    """Reads the table of one vCluster; what is wrong goes to `faults`."""

    def __init__(self, vcluster: str, faults: list[Fault]) -> None:
        self._vcluster, self._faults = vcluster, faults
        self._values: dict[str, dict[str, str]] = {}
        self._places: dict[tuple[str, str], At] = {}
        self._contents: dict[str, str] = {}
        self._overwrite: dict[str, tuple[str, ...]] = {}

    def read(self, table: object) -> Spec:
        at: At = ("vcluster", self._vcluster)
        if not _VCLUSTER.fullmatch(self._vcluster):
            self._faults.append((at, "expected a vCluster's name: up to 63 of a-z, 0-9 and -"))
        sections: dict[str, Callable[[At, str, object], None]] = {
            "sysctl": self._text("kernel"),
            "mounts": self._mount,
            "files": self._file,
            "services": self._service,
            "network": self._network,
            "packages": self._text("packages"),
            "overwrite": self._overwritten,
        }
        for name, section in self._table(at, table):
            if name not in sections:
                hint = _ELSEWHERE.get(name)
                self._faults.append(((*at, name), f"unknown key: {hint}" if hint else _unknown(name, tuple(sections))))
                continue
            for key, value in self._table((*at, name), section):
                sections[name]((*at, name, key), key, value)
        self._check()
        return Spec(self._vcluster, self._values, self._contents, self._overwrite)

    def _check(self) -> None:
        """The values, when all contents are known: one may be that of a secret file."""
        for (dimension, key), at in self._places.items():
            if problem := key_problem(dimension, key, self._values[dimension][key], self._contents):
                field = {"sha256": "content_hash"}.get(problem.field, problem.field)
                self._faults.append(((*at, field) if field and dimension != "network" else at, problem.text))
        for key, above in covered_files(self._values.get("files", {})):
            self._faults.append((self._places["files", key], f"{above} is to be no directory"))

    def _table(self, at: At, value: object) -> Iterator[tuple[str, object]]:
        if isinstance(value, dict):
            yield from value.items()
        else:
            self._faults.append((at, "expected a table"))

    def _set(self, at: At, dimension: str, key: str, value: str) -> None:
        if (dimension, key) in self._places:
            self._faults.append((at, f"is there twice, the other time as {self._places[dimension, key][-1]}"))
            return
        self._places[dimension, key] = at
        self._values.setdefault(dimension, {})[key] = value

    def _text(self, dimension: str) -> Callable[[At, str, object], None]:
        def read(at: At, key: str, value: object) -> None:
            if isinstance(value, str):
                self._set(at, dimension, key, value)
            else:
                self._faults.append((at, _no_text(key, value)))

        return read

    def _network(self, at: At, key: str, value: object) -> None:
        if isinstance(value, str):
            self._set(at, "network", key if ":" in key else f"link:{key}", re.sub(" +", " ", value.strip(" ")))
        else:
            self._faults.append((at, _no_text(key, value)))

    def _fields(
        self, at: At, value: object, known: tuple[str, ...], needed: tuple[str, ...] = ()
    ) -> dict[str, str] | None:
        """The texts of a table with these keys; None when it is none, or has none of them but wrong ones."""
        before = len(self._faults)
        found: dict[str, str] = {}
        there: set[str] = set()
        for name, text in self._table(at, value):
            there.add(name)
            if name not in known:
                self._faults.append(((*at, name), _unknown(name, known)))
            elif not isinstance(text, str):
                self._faults.append(((*at, name), _no_text(name, text)))
            else:
                found[name] = text
        if isinstance(value, dict):
            self._faults += [(at, f"expected {name}") for name in needed if name not in there]
        return found if found or len(self._faults) == before else None

    def _mount(self, at: At, key: str, value: object) -> None:
        needed = ("type", "source")
        fields = self._fields(at, value, (*needed, "options"), needed)
        if fields is None or not fields.keys() >= set(needed):
            return
        options = [option for option in fields.get("options", "").split(",") if option]
        options += [safe for safe in SAFE if safe not in options and fields["type"] != MEMORY]
        words = {"type": fields["type"], "source": fields["source"], "options": ",".join(options)}
        self._set(at, "mounts", key, " ".join(f"{name}={escaped(text)}" for name, text in words.items()))

    def _file(self, at: At, key: str, value: object) -> None:
        fields = self._fields(at, value, ("content", "content_hash", "mode", "owner", "link", "type"))
        if fields is None:
            return
        kind = fields.pop("type", "")
        if kind not in {"", "file", "directory"}:
            self._faults.append(((*at, "type"), f"{shortened(kind)!r}: expected file or directory"))
        if kind == "directory" and not fields.keys().isdisjoint({"content", "content_hash", "link"}):
            self._faults.append((at, "a directory has no content and is no link"))
            return
        if "link" in fields:
            if len(fields) > 1:
                self._faults.append((at, "a link has no content, mode or owner"))
            self._set(at, "files", key, f"link -> {fields['link']}")
            return
        digest = self._digest(at, fields)
        words = ["dir"] if kind == "directory" else ["file"] if digest is not None else []
        if "mode" in fields:
            words.append(f"mode={fields['mode'] if len(fields['mode']) != 3 else '0' + fields['mode']}")
        if "owner" in fields:
            words.append(f"owner={fields['owner']}")
        self._set(at, "files", key, " ".join([*words, *([f"sha256={digest}"] if digest is not None else [])]))

    def _digest(self, at: At, fields: Mapping[str, str]) -> str | None:
        named = fields["content_hash"].removeprefix("sha256:").lower() if "content_hash" in fields else None
        if (text := fields.get("content")) is None:
            return named
        data = text.encode()
        digest = hashlib.sha256(data).hexdigest()
        if len(data) > LONGEST_TEXT:
            self._faults.append(((*at, "content"), f"expected at most {LONGEST_TEXT} bytes"))
        elif named not in {None, digest}:
            self._faults.append(((*at, "content_hash"), f"is not the content's: that is sha256:{digest}"))
        else:
            self._contents[digest] = text
        return digest

    def _service(self, at: At, key: str, value: object) -> None:
        kind = next((kind for kind in _UNIT_KINDS if isinstance(value, dict) and kind in value), None)
        if kind is not None:
            self._faults.append((at, f'a name with dots is written in quotes: [… services."{shortened(key)}.{kind}"]'))
            return
        fields = self._fields(at, value, ("state", "enabled"))
        if fields is None:
            return
        words = [f"{name}={fields[name]}" for name in ("state", "enabled") if name in fields]
        if words:
            self._set(at, "services", key if _HAS_SUFFIX.fullmatch(key) else f"{key}.service", " ".join(words))
        else:
            self._faults.append((at, "expected state"))

    def _overwritten(self, at: At, key: str, value: object) -> None:
        if not NODE.fullmatch(key):
            self._faults.append((at, "expected the name of a node"))
        elif isinstance(value, list) and all(isinstance(name, str) and _is_key(name) for name in value):
            self._overwrite[key] = tuple(value)
        else:
            self._faults.append((at, 'expected a list of keys: ["kernel:vm.swappiness"]'))


def _is_key(name: str) -> bool:
    dimension, _, key = name.partition(":")
    return dimension in CHECKS and key != "" and name.isprintable()
