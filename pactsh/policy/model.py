"""The policy document of a vCluster: a strict msgspec value, read from JSON or TOML.

Where it is silent the defaults here hold; they are the careful ones. What a document may say beyond
its form (which commands it may add, what they may be granted) is `floor`'s.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from pactsh.catalog.loader import faults, located
from pactsh.catalog.locate import Step, place_of
from pactsh.catalog.schema import Command, Option, Sub
from pactsh.errors import UsageError

# Keys of other versions of the policy, so that a file written for one is answered with more than "unknown".
_ELSEWHERE = {
    "vcluster_id": "the key is vcluster",
    "policy_id": "the vCluster's name and the version stand for it",
    "updated_at": "the journal has the time of each change",
    "emergency_window_seconds": "",
    "auto_converge_categories": "",
    "require_ack_categories": "",
    "role_bindings": "",
    "audit_retention_days": "",
    "federation_template": "",
    "supervisor_backend": "",
    "exec_whitelist": "write [[commands.add]], [[commands.narrow]] and commands.remove",
    "shell_whitelist": "write [[commands.add]], [[commands.narrow]] and commands.remove",
}


class Narrowing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Forms of a command that a vCluster takes away: option spellings, subcommands.

    `read_only` refuses every form of class `change`; `reason` is shown to the user.
    """

    command: str
    options: tuple[str, ...] = ()
    subcommands: tuple[str, ...] = ()
    read_only: bool = False
    reason: str = "is not allowed on this vCluster"


class Extension(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Options and subcommands that a vCluster gives a command that is there, in the catalog's format."""

    command: str
    options: tuple[Option, ...] = ()
    commands: tuple[Sub, ...] = ()


class CommandOverlay(msgspec.Struct, frozen=True, forbid_unknown_fields=True, cache_hash=True):
    """What a vCluster changes in the catalog: new commands, new forms, forms and commands taken away."""

    add: tuple[Command, ...] = ()
    extend: tuple[Extension, ...] = ()
    narrow: tuple[Narrowing, ...] = ()
    remove: tuple[str, ...] = ()


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A vCluster's policy. `audit` "strict": nothing runs before the journal has it.

    `version` rises with each change; 0 is the built-in one. `whitelist_mode` "learning": what the whitelist
    refuses is refused all the same, and proposed. `enforcement_mode`: in "observe" drift is only journaled, in "warn"
    it is told as well, in "enforce" it opens a commit window of `base_commit_window_seconds`, shorter the more has
    drifted, as `drift_sensitivity` says. `bypass_allowed`: a platform admin may run a command outside
    the whitelist. `blacklist`: patterns of keys that are no drift. `diag_paths`: files that
    `pact diag` shows too. `two_person_approval`: what changes something waits
    for a second person, at most `approval_timeout_seconds`. `record`: what sessions show on a terminal is recorded.
    """

    vcluster: str
    version: int = 0
    enforcement_mode: Literal["observe", "warn", "enforce"] = "observe"
    base_commit_window_seconds: Annotated[int, msgspec.Meta(ge=60, le=86_400)] = 900
    drift_sensitivity: Annotated[float, msgspec.Meta(ge=0, le=100)] = 2.0
    audit: Literal["normal", "strict"] = "normal"
    containment: Literal["required", "best-effort"] = "required"
    two_person_approval: bool = False
    approval_timeout_seconds: Annotated[int, msgspec.Meta(ge=60, le=86_400)] = 1800
    regulated: bool = False
    emergency_allowed: bool = True
    ai_exec_allowed: bool = False
    bypass_allowed: bool = True
    whitelist_mode: Literal["strict", "learning"] = "strict"
    record: bool = False
    blacklist: tuple[str, ...] = ()
    diag_paths: tuple[str, ...] = ()
    commands: CommandOverlay = CommandOverlay()


def parse_policy(data: bytes, *, source: str = "policy") -> Policy:
    """A policy from JSON bytes; raises `UsageError` naming the key and what is wrong."""
    try:
        raw = msgspec.json.decode(data)
    except (ValueError, RecursionError) as error:  # DecodeError, UnicodeDecodeError
        raise UsageError(f"{source}: {error}") from error
    return build_policy(raw, source=source)


def build_policy(raw: object, *, source: str = "policy", text: str = "") -> Policy:
    """A policy from decoded JSON or TOML; raises `UsageError`. Added commands are checked too.

    `text` is the TOML it was decoded from, for the line of an error.
    """
    try:
        policy = msgspec.convert(raw, Policy)
    except ValueError as error:  # ValidationError, or a text that is no UTF-8
        raise policy_error(source, text, *place_of(error)) from error
    for number, command in enumerate(policy.commands.add):
        for steps, message in faults(command):
            raise policy_error(source, text, ("commands", "add", number, *steps), message)
    return policy


def policy_error(source: str, text: str, steps: tuple[Step, ...], message: str) -> UsageError:
    """The error about the value at `steps`, with what to do about keys that other tools have."""
    hint = ""
    if len(steps) == 1 and steps[0] in _ELSEWHERE and "unknown field" in message:
        hint = "; ".join(part for part in ("not in this version", _ELSEWHERE[str(steps[0])]) if part)
    return located(source, text, steps, message, hint)
