"""A spec as TOML that `parse_spec` reads back, and what node deltas mean as a spec. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from pactsh.model.delta import Change, State
from pactsh.policy.toml import render_comment, render_string
from pactsh.spec.checks import CHECKS, key_fault

_SECTIONS = {"kernel": "sysctl", "network": "network", "packages": "packages"}
# Options that the kernel or the server adds to those of mount(8).
_ADDED = re.compile(
    r"rw|(rel|no|strict)atime|seclabel|inode(32|64)|(mount|client)?addr=.*|mountproto=.*|mountvers=.*|local_lock=.*"
)


def render_spec(
    vcluster: str,
    values: State,
    contents: Mapping[str, str],
    *,
    unmapped: Sequence[Change] = (),
    header: Sequence[str] = (),
    overwrite: Mapping[str, Sequence[str]] | None = None,
) -> str:
    """The whole document: `header` and what has no place in a spec as comments."""
    lines = [render_comment(text) for text in header]
    for dimension in sorted(values):
        if not values[dimension]:
            continue
        lines += ["", *_section(f"vcluster.{_key(vcluster)}", dimension, values[dimension], contents)]
    if overwrite:
        lines += ["", f"[vcluster.{_key(vcluster)}.overwrite]"]
        lines += [f"{_key(node)} = [{', '.join(map(render_string, overwrite[node]))}]" for node in sorted(overwrite)]
    if unmapped:
        lines += ["", render_comment("These have no place in an overlay:")]
        lines += [render_comment(f"{c.name}: {_shown(c.before)} -> {_shown(c.after)}") for c in unmapped]
    return "\n".join(lines).lstrip("\n") + "\n"


def _shown(value: str | None) -> str:
    return "(none)" if value is None else value


def _key(text: str) -> str:
    return text if re.fullmatch(r"[A-Za-z0-9_-]+", text) else render_string(text)


def _section(at: str, dimension: str, values: Mapping[str, str], contents: Mapping[str, str]) -> Iterator[str]:
    if dimension in _SECTIONS:
        yield f"[{at}.{_SECTIONS[dimension]}]"
        for key in sorted(values):
            name = key.removeprefix("link:") if dimension == "network" else key
            yield f"{_key(name if name and ':' not in name else key)} = {render_string(values[key])}"
        return
    fields = {"mounts": _mount, "files": _file, "services": _service}[dimension]
    for number, key in enumerate(sorted(values)):
        if number:
            yield ""
        yield f"[{at}.{dimension}.{_key(key)}]"
        for name, text in fields(values[key], contents).items():
            yield f"{name} = {render_string(text)}"


def _words(value: str) -> dict[str, str]:
    return {name: text for name, _, text in (word.partition("=") for word in value.split())}


def _mount(value: str, _contents: Mapping[str, str]) -> dict[str, str]:
    return {name: _plain(text) for name, text in _words(value).items()}


def _plain(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)


def _file(value: str, contents: Mapping[str, str]) -> dict[str, str]:
    if value.startswith("link -> "):
        return {"link": value.removeprefix("link -> ")}
    words = _words(value)
    found: dict[str, str] = {}
    if digest := words.get("sha256"):
        found = {"content": contents[digest]} if digest in contents else {"content_hash": f"sha256:{digest}"}
    return found | {name: words[name] for name in ("mode", "owner") if name in words}


def _service(value: str, _contents: Mapping[str, str]) -> dict[str, str]:
    return _words(value)


def values_of(changes: Iterable[Change]) -> tuple[dict[str, dict[str, str]], tuple[Change, ...]]:
    """What changes mean as wanted values, later ones winning; and those that have no place in an overlay."""
    last = {change.name: change for change in changes}
    values: dict[str, dict[str, str]] = {}
    unmapped: list[Change] = []
    for change in last.values():
        wanted = None if change.after is None else _wanted(change.dimension, change.after)
        if wanted is None or change.dimension not in CHECKS or key_fault(change.dimension, change.key, wanted, {}):
            unmapped.append(change)
        else:
            values.setdefault(change.dimension, {})[change.key] = wanted
    return values, tuple(unmapped)


def _wanted(dimension: str, value: str) -> str | None:
    """A node's value as a wanted one, which it satisfies; None where there is none."""
    words = value.split(" ")
    if dimension == "files" and not value.startswith("link -> "):
        kept = [word for word in words if not word.startswith("size=")]
        return " ".join(kept) if words[0] == "file" and "sha256=" in value else None
    if dimension == "mounts":
        options = value.partition("options=")[2].split(",")
        kept = [option for option in options if not _ADDED.fullmatch(option)]
        return f"{value.partition('options=')[0]}options={','.join(kept)}" if " root=" not in value else None
    if dimension == "network":
        return " ".join(word for word in words if word not in {"dynamic", "route=absent"})
    if dimension == "services":
        return " ".join(_service_words(words))
    return value


def _service_words(words: Iterable[str]) -> Iterator[str]:
    """A state is wanted; that it has failed, or is up when it is asked for, is not."""
    for word in words:
        if word not in {"state=failed", "state=on-demand"}:
            yield word
