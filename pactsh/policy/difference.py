"""What one policy changes in another, key by key. Pure."""

from __future__ import annotations

import msgspec

from pactsh.policy.model import CommandOverlay, Policy
from pactsh.policy.toml import render_value


class Change(msgspec.Struct, frozen=True):
    """One key: its old and new value as TOML; None where there is none."""

    key: str
    old: str | None
    new: str | None

    @property
    def sign(self) -> str:
        """`+` added, `-` removed, `~` changed."""
        return "+" if self.old is None else "-" if self.new is None else "~"


def differences(old: Policy, new: Policy) -> tuple[Change, ...]:
    """The changes from `old` to `new`, in the order of the keys; the version is no change."""
    before, after = _flat(old), _flat(new)
    keys = list(dict.fromkeys([*before, *after]))
    return tuple(Change(key, before.get(key), after.get(key)) for key in keys if before.get(key) != after.get(key))


def summary(changes: tuple[Change, ...], most: int = 400) -> str:
    """The changes in one line, for the journal; cut where it gets long."""
    parts = []
    for change in changes:
        short = change.old is None or change.new is None or len(change.old) + len(change.new) > 60
        parts.append(f"{change.sign}{change.key}" if short else f"{change.key}: {change.old} -> {change.new}")
    text = ", ".join(parts)
    return text if len(text) <= most else text[: most - 3] + "..."


def _flat(policy: Policy) -> dict[str, str]:
    found = {
        field.name: render_value(getattr(policy, field.name))
        for field in msgspec.structs.fields(policy)
        if field.name not in ("commands", "version")
    }
    return found | _overlay(policy.commands)


def _overlay(overlay: CommandOverlay) -> dict[str, str]:
    """The overlay's entries under names of their own; a second one for a command gets a number."""
    found = {f"commands.remove {name}": render_value(name) for name in overlay.remove}
    for kind, items in (("add", overlay.add), ("extend", overlay.extend), ("narrow", overlay.narrow)):
        for item in items:
            name = getattr(item, "name", None) or getattr(item, "command", "")
            key, number = f"commands.{kind} {name}", 1
            while key in found:
                number += 1
                key = f"commands.{kind} {name} ({number})"
            found[key] = render_value(item)
    return found
