"""A policy as TOML text that `files.parse_policy_file` reads back. Pure.

Only what differs from the defaults is written within `commands`; the keys above it all are, so that a reader
sees what holds.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from typing import Any

import msgspec

from pactsh.policy.model import CommandOverlay, Policy

_ESCAPES = {"\\": "\\\\", '"': '\\"', "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}
# Tables of an entry that are written one item a line.
_LISTS = ("options", "operands", "commands")
_FIRST = ("name", "names", "kind", "command")  # what an inline table is about


def render_toml(policy: Policy) -> str:
    """The whole document."""
    lines = [
        f"{field.name} = {render_value(getattr(policy, field.name))}"
        for field in msgspec.structs.fields(policy)
        if field.name != "commands"
    ]
    return "\n".join([*lines, *_overlay(policy.commands)]) + "\n"


def plain_document(policy: Policy) -> dict[str, Any]:
    """The policy as it is kept and sent: the TOML's values, without what `commands` leaves at its defaults."""
    return tomllib.loads(render_toml(policy))


def _overlay(overlay: CommandOverlay) -> Iterator[str]:
    if overlay.remove:
        yield from ("", "[commands]", f"remove = {render_value(overlay.remove)}")
    for key in ("add", "extend", "narrow"):
        for item in getattr(overlay, key):
            yield ""
            yield from render_entry(key, item)


def render_entry(key: str, item: msgspec.Struct) -> Iterator[str]:
    """One `[[commands.KEY]]` block, line by line."""
    yield f"[[commands.{key}]]"
    for name, value in _set_fields(item):
        if name in _LISTS and isinstance(value, tuple):
            yield f"{name} = ["
            for inner in value:
                yield f"  {render_value(inner)},"
            yield "]"
        else:
            yield f"{name} = {render_value(value)}"


def _set_fields(item: msgspec.Struct) -> Iterator[tuple[str, object]]:
    """Fields that differ from their defaults."""
    for field in msgspec.structs.fields(item):
        value = getattr(item, field.name)
        default = field.default_factory() if callable(field.default_factory) else field.default
        if default is msgspec.NODEFAULT or value != default:
            yield field.name, value


def render_value(value: object) -> str:
    """A value as TOML: strings, numbers, booleans, arrays, and structs as inline tables.

    >>> render_value(("a", 1, True))
    '["a", 1, true]'
    """
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case str():
            return render_string(value)
        case tuple() | list():
            return f"[{', '.join(render_value(item) for item in value)}]"
        case msgspec.Struct():
            known = sorted(_set_fields(value), key=lambda field: field[0] not in _FIRST)
            fields = ", ".join(f"{name} = {render_value(inner)}" for name, inner in known)
            return f"{{ {fields} }}" if fields else "{}"
        case _:
            raise TypeError(f"no TOML for {type(value).__name__}")


def render_string(text: str) -> str:
    """A basic string; what TOML has no form for (lone surrogates) becomes U+FFFD."""
    return '"' + "".join(_escaped(char) for char in text) + '"'


def _escaped(char: str) -> str:
    if char in _ESCAPES:
        return _ESCAPES[char]
    if 0xD800 <= ord(char) <= 0xDFFF:
        return "\\uFFFD"
    if char.isprintable() or char == " ":
        return char
    return f"\\u{ord(char):04X}" if ord(char) < 0x10000 else f"\\U{ord(char):08X}"


def render_comment(text: str) -> str:
    r"""A comment line: whatever the text holds, it stays within the line.

    >>> render_comment("by eve\nremove = []")
    '# by eve\\u000Aremove = []'
    """
    safe = "".join(c if c.isprintable() else f"\\u{ord(c):04X}" for c in text)
    return f"# {safe}"
