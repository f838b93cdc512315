"""The policy document of a vCluster: a strict msgspec value, read from JSON or TOML.

Where it is silent the defaults here hold; they are the careful ones.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from pactsh.catalog.loader import build_command
from pactsh.catalog.schema import Command
from pactsh.errors import UsageError


class Narrowing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Forms of a command that a vCluster takes away: option spellings, subcommands.

    `read_only` refuses every form of class `change`; `reason` is shown to the user.
    """

    command: str
    options: tuple[str, ...] = ()
    subcommands: tuple[str, ...] = ()
    read_only: bool = False
    reason: str = "is not allowed on this vCluster"


class CommandOverlay(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a vCluster changes in the catalog. An added command replaces one of that name."""

    add: tuple[Command, ...] = ()
    narrow: tuple[Narrowing, ...] = ()
    remove: tuple[str, ...] = ()


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A vCluster's policy. `audit` "strict": nothing runs before the journal has it.

    `version` rises with each change; 0 is the built-in one.
    """

    vcluster: str
    version: int = 0
    enforcement_mode: Literal["observe", "warn", "enforce"] = "observe"
    audit: Literal["normal", "strict"] = "normal"
    containment: Literal["required", "best-effort"] = "required"
    two_person_approval: bool = False
    regulated: bool = False
    emergency_allowed: bool = True
    ai_exec_allowed: bool = False
    commands: CommandOverlay = CommandOverlay()


def parse_policy(data: bytes, *, source: str = "policy") -> Policy:
    """A policy from JSON bytes; raises `UsageError` naming the key and what is wrong."""
    try:
        raw = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{source}: {error}") from error
    return build_policy(raw, source=source)


def build_policy(raw: object, *, source: str = "policy") -> Policy:
    """A policy from decoded JSON or TOML; raises `UsageError`. Added commands are checked too."""
    try:
        policy = msgspec.convert(raw, Policy)
    except msgspec.ValidationError as error:
        raise UsageError(f"{source}: {error}") from error
    for number, command in enumerate(policy.commands.add):
        build_command(msgspec.to_builtins(command), f"{source}: commands.add[{number}]")
    return policy


def render_policy(policy: Policy) -> bytes:
    """The policy as JSON bytes that `parse_policy` reads back."""
    return msgspec.json.encode(policy, order="deterministic")
