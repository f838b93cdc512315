"""A vCluster's policy as a TOML file: read strictly, and taken over whole or not at all.

Every error names file, line and key. `checked_policy` is also what the journal asks before it keeps a policy.
An agent, which must go on with one that another version accepted, takes what is above the floor.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from pactsh.catalog.loader import Catalog, load_catalog, read_file, read_toml
from pactsh.catalog.locate import Step
from pactsh.catalog.schema import Command, Option, Sub
from pactsh.model.blacklist import MOST_PATTERNS, pattern_fault
from pactsh.policy.floor import Fault, floor_faults
from pactsh.policy.logpaths import MOST_PATHS, log_path_fault
from pactsh.policy.model import CommandOverlay, Narrowing, Policy, build_policy, policy_error
from pactsh.policy.overlay import extended

MOST_BYTES = 512 << 10


def load_policy(path: Path, vcluster: str, catalog: Catalog | None = None) -> Policy:
    """The policy in a file; raises `UsageError` naming file, line and key."""
    return parse_policy_file(read_file(path, MOST_BYTES), str(path), vcluster, catalog)


def parse_policy_file(text: str, file: str, vcluster: str, catalog: Catalog | None = None) -> Policy:
    """A policy file's text as a checked `Policy` of `vcluster`; `file` is its name in errors.

    The file may leave `vcluster` out, but not name another one.
    """
    return checked_policy({"vcluster": vcluster} | read_toml(text, file), file, vcluster, catalog, text)


def checked_policy(raw: object, source: str, vcluster: str, catalog: Catalog | None = None, text: str = "") -> Policy:
    """A policy from decoded TOML or JSON, checked in full; raises `UsageError`."""
    policy = build_policy(raw, source=source, text=text)
    for steps, message in policy_faults(policy, vcluster, catalog or load_catalog()):
        raise policy_error(source, text, steps, message)
    return policy


def policy_faults(policy: Policy, vcluster: str, catalog: Catalog) -> Iterator[Fault]:
    """What is wrong with a policy of the right form, in the order to be told."""
    if policy.vcluster != vcluster:
        yield ("vcluster",), f"is {policy.vcluster!r}, and this is the policy of {vcluster}"
    if not 0 <= policy.version < 1 << 53:
        yield ("version",), "must be a number from 0 to 2^53 - 1"
    if len(policy.blacklist) > MOST_PATTERNS:
        yield ("blacklist",), f"has over {MOST_PATTERNS} patterns"
    for number, pattern in enumerate(policy.blacklist):
        if problem := pattern_fault(pattern):
            yield ("blacklist", number), problem
        if pattern in policy.blacklist[:number]:
            yield ("blacklist", number), f"{pattern} is there already"
    if len(policy.diag_paths) > MOST_PATHS:
        yield ("diag_paths",), f"has over {MOST_PATHS} paths"
    for number, path in enumerate(policy.diag_paths):
        if problem := log_path_fault(path):
            yield ("diag_paths", number), problem
    for steps, message in floor_faults(policy.commands, catalog):
        yield ("commands", *steps), message
    for steps, message in reference_faults(policy.commands, catalog):
        yield ("commands", *steps), message


def reference_faults(overlay: CommandOverlay, catalog: Mapping[str, Command]) -> Iterator[Fault]:
    """Names in the overlay that stand for nothing: a typo there would leave open what was meant to be closed."""
    known = {command.name: command for command in overlay.add}
    for number, extension in enumerate(overlay.extend):
        command = known.get(extension.command) or catalog.get(extension.command)
        if command is None:
            yield ("extend", number, "command"), f"there is no command {extension.command!r} to extend"
        else:
            known[command.name] = extended(command, extension)
    for number, name in enumerate(overlay.remove):
        if name not in known and name not in catalog:
            yield ("remove", number), f"there is no command {name!r} to remove"
        if name in overlay.remove[:number]:
            yield ("remove", number), f"{name} is there already"
    for number, narrowing in enumerate(overlay.narrow):
        command = known.get(narrowing.command) or catalog.get(narrowing.command)
        if command is None:
            yield ("narrow", number, "command"), f"there is no command {narrowing.command!r} to narrow"
            continue
        for steps, message in _narrowing_faults(narrowing, command):
            yield ("narrow", number, *steps), message


def _narrowing_faults(narrowing: Narrowing, command: Command) -> Iterator[tuple[tuple[Step, ...], str]]:
    options = {name for option in _options(command) for name in option.spellings}
    verbs = {name for sub in _subs(command.commands) for name in sub.spellings}
    for number, name in enumerate(narrowing.options):
        if name not in options:
            yield ("options", number), f"{command.name} has no option {name!r} in the catalog"
    for number, name in enumerate(narrowing.subcommands):
        if name not in verbs:
            yield ("subcommands", number), f"{command.name} has no subcommand {name!r} in the catalog"
    if not (narrowing.options or narrowing.subcommands or narrowing.read_only):
        yield ("command",), f"nothing of {command.name} is named: give options, subcommands or read_only"


def _options(command: Command) -> Iterator[Option]:
    yield from command.options
    for sub in _subs(command.commands):
        yield from sub.options


def _subs(subs: tuple[Sub, ...]) -> Iterator[Sub]:
    for sub in subs:
        yield sub
        yield from _subs(sub.commands)
