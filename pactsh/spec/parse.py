"""A spec's TOML as what it declares for each vCluster. Every error names file, line, key and what was expected, and all
that is wrong is told at once."""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import msgspec

from pactsh.catalog.loader import located, read_toml
from pactsh.catalog.locate import Step
from pactsh.errors import UsageError
from pactsh.spec.checks import LONGEST_TEXT, SAFE, key_fault

MOST_BYTES = 900 << 10
_MOST_TOLD = 20
_VCLUSTER = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_ELSEWHERE = {
    "base_image": "images are the hardware manager's",
    "modules": 'write "module:NAME" = "loaded" in sysctl',
    "policy": "a policy is set by pact group set-policy",
    "read_only": "", "supervisor_backend": "", "drift": "see pact blacklist",
}  # fmt: skip

Fault = tuple[tuple[Step, ...], str]


class Spec(msgspec.Struct, frozen=True):
    """What is wanted for one vCluster: values by dimension and key as in `pactsh.model.overlay`, `contents` texts of
    files by their SHA-256, `overwrite` keys by node whose node deltas are to fall away."""

    vcluster: str
    values: dict[str, dict[str, str]] = {}
    contents: dict[str, str] = {}
    overwrite: dict[str, tuple[str, ...]] = {}


def load_spec(path: Path) -> tuple[Spec, ...]:
    """The specs in a file; raises `UsageError`."""
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        text = data.decode("utf-8")
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: line {data.count(10, 0, error.start) + 1}: not UTF-8") from error
    if len(data) > MOST_BYTES:
        raise UsageError(f"{path}: over {MOST_BYTES} bytes")
    return parse_spec(text, str(path))


def parse_spec(text: str, source: str) -> tuple[Spec, ...]:
    """One for each vCluster, in order; `source` is the file's name in errors. Raises `UsageError`."""
    raw = read_toml(text, source)
    faults: list[Fault] = [((key,), _unknown(key, ("vcluster",))) for key in raw if key != "vcluster"]
    tables = raw.get("vcluster", {})
    if not isinstance(tables, dict) or not (tables or faults):
        faults.append((("vcluster",) if "vcluster" in raw else (), "expected a table [vcluster.NAME.sysctl] or alike"))
        tables = {}
    specs = [_Reader(name, faults).read(table) for name, table in tables.items()]
    if faults:
        errors = [located(source, text, steps, message) for steps, message in faults]
        lines = [error.message for error in errors[:_MOST_TOLD]]
        lines += [f"and {len(errors) - _MOST_TOLD} more"] if len(errors) > _MOST_TOLD else []
        raise UsageError("\n".join(lines), hint="nothing was applied; see pact-apply(1)")
    return tuple(specs)


def _unknown(key: str, known: tuple[str, ...]) -> str:
    if key in _ELSEWHERE:
        return f"unknown key: {_ELSEWHERE[key] or 'there is no such thing in this version'}"
    close = difflib.get_close_matches(key, known, 1)
    return "unknown key: " + (f"did you mean {close[0]}?" if close else f"expected {', '.join(known)}")


class _Reader:
    """Reads the table of one vCluster; what is wrong goes to `faults`."""

    def __init__(self, vcluster: str, faults: list[Fault]) -> None:
        self._vcluster, self._faults = vcluster, faults
        self._values: dict[str, dict[str, str]] = {}
        self._contents: dict[str, str] = {}
        self._overwrite: dict[str, tuple[str, ...]] = {}

    def read(self, table: object) -> Spec:
        at: tuple[Step, ...] = ("vcluster", self._vcluster)
        if not _VCLUSTER.fullmatch(self._vcluster):
            self._faults.append((at, "expected a vCluster's name: a-z, 0-9 and -"))
        sections: dict[str, Callable[[tuple[Step, ...], str, object], None]] = {
            "sysctl": self._text("kernel"),
            "mounts": self._mount,
            "files": self._file,
            "services": self._service,
            "network": self._link,
            "packages": self._text("packages"),
            "overwrite": self._overwritten,
        }
        for name, section in self._table(at, table):
            if name not in sections:
                self._faults.append(((*at, name), _unknown(name, tuple(sections))))
                continue
            for key, value in self._table((*at, name), section):
                sections[name]((*at, name, key), key, value)
        return Spec(self._vcluster, self._values, self._contents, self._overwrite)

    def _table(self, at: tuple[Step, ...], value: object) -> Iterator[tuple[str, object]]:
        if isinstance(value, dict):
            yield from value.items()
        else:
            self._faults.append((at, "expected a table"))

    def _set(self, at: tuple[Step, ...], dimension: str, key: str, value: str) -> None:
        if problem := key_fault(dimension, key, value, self._contents):
            self._faults.append((at, problem))
        self._values.setdefault(dimension, {})[key] = value

    def _text(self, dimension: str) -> Callable[[tuple[Step, ...], str, object], None]:
        def read(at: tuple[Step, ...], key: str, value: object) -> None:
            if isinstance(value, str):
                self._set(at, dimension, key, value)
            else:
                self._faults.append((at, f'expected text: write "{value}"'))

        return read

    def _link(self, at: tuple[Step, ...], key: str, value: object) -> None:
        self._text("network")(at, key if ":" in key else f"link:{key}", value)

    def _fields(self, at: tuple[Step, ...], value: object, known: tuple[str, ...]) -> dict[str, str] | None:
        """The texts of a table with these keys; None when it is none."""
        before = len(self._faults)
        found: dict[str, str] = {}
        for name, text in self._table(at, value):
            if name not in known:
                self._faults.append(((*at, name), _unknown(name, known)))
            elif not isinstance(text, str):
                self._faults.append(((*at, name), f'expected text: write "{text}"'))
            else:
                found[name] = text
        return found if len(self._faults) == before else None

    def _mount(self, at: tuple[Step, ...], key: str, value: object) -> None:
        fields = self._fields(at, value, ("type", "source", "options"))
        if fields is None:
            return
        for name in ("type", "source"):
            if name not in fields:
                self._faults.append((at, f"expected {name}"))
                return
        options = [option for option in fields.get("options", "").split(",") if option]
        options += [safe for safe in SAFE if safe not in options and fields["type"] != "tmpfs"]
        words = (fields["type"], _escaped(fields["source"]), _escaped(",".join(options)))
        text = "type={} source={} options={}".format(*words)
        if problem := key_fault("mounts", key, text, {}):
            self._faults.append(((*at, "type") if "not mounted" in problem else at, problem))
        self._values.setdefault("mounts", {})[key] = text

    def _file(self, at: tuple[Step, ...], key: str, value: object) -> None:
        fields = self._fields(at, value, ("content", "content_hash", "mode", "owner", "link"))
        if fields is None:
            return
        if "link" in fields:
            if len(fields) > 1:
                self._faults.append((at, "a link has no content, mode or owner"))
            self._set(at, "files", key, f"link -> {fields['link']}")
            return
        words: dict[str, str] = {}
        if (digest := self._digest(at, fields)) is not None:
            words |= {"file": "", "sha256": digest}
        if "mode" in fields:
            words["mode"] = fields["mode"] if len(fields["mode"]) == 4 else f"0{fields['mode']}"
        if "owner" in fields:
            words["owner"] = fields["owner"]
        self._set(at, "files", key, " ".join(name if name == "file" else f"{name}={words[name]}" for name in words))

    def _digest(self, at: tuple[Step, ...], fields: Mapping[str, str]) -> str | None:
        named = fields["content_hash"].removeprefix("sha256:") if "content_hash" in fields else None
        if (text := fields.get("content")) is None:
            return named
        data = text.encode("utf-8", "surrogatepass")
        digest = hashlib.sha256(data).hexdigest()
        if len(data) > LONGEST_TEXT:
            self._faults.append(((*at, "content"), f"expected at most {LONGEST_TEXT} bytes"))
        elif named not in {None, digest}:
            self._faults.append(((*at, "content_hash"), f"is not the content's: that is sha256:{digest}"))
        else:
            self._contents[digest] = text
        return digest

    def _service(self, at: tuple[Step, ...], key: str, value: object) -> None:
        fields = self._fields(at, value, ("state", "enabled"))
        if fields is None:
            return
        if not fields:
            self._faults.append((at, "expected state"))
            return
        unit = key if "." in key else f"{key}.service"
        self._set(at, "services", unit, " ".join(f"{name}={text}" for name, text in fields.items()))

    def _overwritten(self, at: tuple[Step, ...], key: str, value: object) -> None:
        if isinstance(value, list) and all(isinstance(name, str) and ":" in name for name in value):
            self._overwrite[key] = tuple(value)
        else:
            self._faults.append((at, 'expected a list of keys: ["kernel:vm.swappiness"]'))


def _escaped(text: str) -> str:
    """A word without blanks, as the kernel writes it in its list of mounts."""
    return "".join(f"\\{ord(c):03o}" if c in " \t\n\\" else c for c in text)
