"""A spec as TOML that `parse_spec` reads back. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from pactsh.model.delta import Change, State
from pactsh.policy.toml import render_comment, render_string
from pactsh.spec.spelling import plain, words_of

_SECTIONS = {"kernel": "sysctl", "network": "network", "packages": "packages"}


def render_spec(
    vcluster: str,
    values: State,
    contents: Mapping[str, str],
    *,
    unmapped: Sequence[Change] = (),
    header: Sequence[str] = (),
    overwrite: Mapping[str, Sequence[str]] | None = None,
) -> str:
    """The whole document: `header` and what has no place in a spec as comments. `values` are such as `values_of` and
    `parse_spec` give."""
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
            if dimension == "network" and key.startswith("address:"):
                yield render_comment("One node's address: applied as it stands, every node of the vCluster gets it.")
            yield f"{_key(name)} = {render_string(values[key])}"
        return
    fields = {"mounts": _mount, "files": _file, "services": _service}[dimension]
    for number, key in enumerate(sorted(values)):
        if number:
            yield ""
        yield f"[{at}.{dimension}.{_key(key)}]"
        for name, text in fields(values[key], contents).items():
            yield f"{name} = {render_text(text) if name == 'content' else render_string(text)}"


def render_text(text: str) -> str:
    r"""A text of several lines as a person edits it; one of a single line as any string.

    >>> render_text("a\n"), render_text("a\nb\n").splitlines()[1:-1]
    ('"a\\n"', ['a', 'b'])
    """
    if text.count("\n") < 2:
        return render_string(text)
    body = text.rstrip('"')
    safe = "\n".join(_quoted(line) for line in body.split("\n"))
    end = '\\"' * (len(text) - len(body))
    return f'"""\n{safe}{end}"""'


def _quoted(line: str) -> str:
    """A line within such a text: of quotes that follow each other every other one is escaped, so that none ends it."""
    return '"'.join(render_string(part)[1:-1] for part in line.split('"')).replace('""', '"\\"')


def _mount(value: str, _contents: Mapping[str, str]) -> dict[str, str]:
    return {name: plain(text) for name, text in words_of(value).items()}


def _file(value: str, contents: Mapping[str, str]) -> dict[str, str]:
    if value.startswith("link -> "):
        return {"link": value.removeprefix("link -> ")}
    words = words_of(value)
    found: dict[str, str] = {"type": "directory"} if "dir" in words else {}
    if digest := words.get("sha256"):
        found = {"content": contents[digest]} if digest in contents else {"content_hash": f"sha256:{digest}"}
    return {name: words[name] for name in ("mode", "owner") if name in words} | found


def _service(value: str, _contents: Mapping[str, str]) -> dict[str, str]:
    return words_of(value)
