"""What no vCluster's policy can do, whoever wrote it: the floor below added and extended commands.

A policy is data that one person may change; the catalog's denials, the engine's own commands and the bounds of
the sandbox are the product. So a policy adds programs that run nothing else and are granted little, and never
turns a refused or changing form into a reading one. What is needed beyond that is run with `bypass`, one line at
a time and marked as such.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping

from pactsh.catalog.kinds import KINDS
from pactsh.catalog.loader import extension_faults
from pactsh.catalog.locate import Step
from pactsh.catalog.schema import Command, Effect, Grants, Operand, Option, Sub, Valued
from pactsh.catalog.secrets import is_hidden, is_secret, normalise
from pactsh.policy.model import CommandOverlay, Extension
from pactsh.policy.overlay import extended
from pactsh.policy.patterns import pattern_fault
from pactsh.policy.runners import BYPASS, runs_others

Fault = tuple[tuple[Step, ...], str]

# Capabilities that a form may have; the second only one that changes the node.
_CAPS = frozenset({"cap_net_raw", "cap_syslog", "cap_perfmon", "cap_ipc_lock"})
_CHANGE_CAPS = frozenset({"cap_net_admin", "cap_sys_nice", "cap_kill"})
_DEVICE = re.compile(
    r"/dev/(nvidia[a-z0-9-]*|nvidia-caps/nvidia-cap\d+|kfd|dri/(card|renderD)\d+|infiniband/[a-z]+\d+|hfi1_\d+|ipmi\d+)"
)
# Trees that decide what runs as root, or that are pact's own: nothing below or above them is granted for writing.
_GUARDED = (
    "/bin", "/boot", "/dev", "/efi", "/etc", "/lib", "/lib32", "/lib64", "/libx32",
    "/opt", "/ostree", "/proc", "/root", "/run", "/sbin", "/sys", "/sysroot", "/usr", "/var/lib", "/var/lock",
    "/var/log", "/var/run", "/var/spool",
)  # fmt: skip
# And for reading: pact's own, and devices, among them the disks with all that is on them.
_UNREAD = ("/etc/pact", "/var/lib/pact", "/run/pact", "/dev")
# Lists of what there is for a policy: what the format learns later is not, until somebody has thought about it.
_GRANTS = frozenset({"caps", "read", "write", "devices", "net", "terminal"})
_WHY_NOT = {
    "exec": "a program that starts others is not bounded by its entry",
    "lookup": "behind unix sockets stand services that act as root",
    "trace": "it would look into other processes",
    "unconfined": "no vCluster takes the sandbox off",
}
_FIELDS = frozenset(
    {
        "name", "summary", "group", "paths", "builtin", "grammar", "permute", "abbreviate", "numeric",
        "examples", "options", "operands", "commands", "extra", "help", "change", "deny", "hint", "grants",
        "requires",
    }
)  # fmt: skip
_KEPT = ("match", "refuse", "requires", "each")  # of an option that is replaced
_GRAMMARS = ("getopt", "exact", "tree", "words")


def floor_faults(overlay: CommandOverlay, catalog: Mapping[str, Command]) -> Iterator[Fault]:
    """What of the overlay is below the floor, each with the keys and indices that lead there."""
    for number, name in enumerate(overlay.remove):
        command = catalog.get(name)
        if command is not None and command.builtin:
            yield ("remove", number), f"{name} is part of the shell: a session without it could get stuck"
    for number, narrowing in enumerate(overlay.narrow):
        command = catalog.get(narrowing.command)
        if command is not None and command.builtin:
            yield ("narrow", number, "command"), f"{command.name} is part of the shell and can't be narrowed"
    known = dict[str, Command]()
    for number, command in enumerate(overlay.add):
        here: tuple[Step, ...] = ("add", number)
        if command.name in known:
            yield (*here, "name"), f"{command.name} is added twice"
            continue
        faults = list(_added(command, catalog))
        yield from _at(here, iter(faults))
        if not faults:  # an extension of one that is left out is an extension of the catalog's command
            known[command.name] = command
    for number, extension in enumerate(overlay.extend):
        target = known.get(extension.command) or catalog.get(extension.command)
        if target is None:
            continue
        faults = list(_extended(extension, target))
        yield from _at(("extend", number), iter(faults))
        if not faults:
            known[target.name] = extended(target, extension)


def above_floor(overlay: CommandOverlay, catalog: Mapping[str, Command]) -> tuple[CommandOverlay, tuple[str, ...]]:
    """The overlay without what is below the floor, and what was left out and why.

    For whoever must go on with a policy that another version accepted: taken over in part it only allows less.
    """
    bad = dict[tuple[Step, ...], str]()
    for steps, message in floor_faults(overlay, catalog):
        bad.setdefault(steps[:2], message)
    if not bad:
        return overlay, ()
    kept = {
        key: tuple(item for number, item in enumerate(getattr(overlay, key)) if (key, number) not in bad)
        for key in ("add", "extend", "narrow", "remove")
    }
    return CommandOverlay(**kept), tuple(f"commands.{key}[{number}]: {text}" for (key, number), text in bad.items())


def _at(here: tuple[Step, ...], faults: Iterator[Fault]) -> Iterator[Fault]:
    for steps, message in faults:
        yield (*here, *steps), message


def _added(command: Command, catalog: Mapping[str, Command]) -> Iterator[Fault]:
    name = command.name
    if name == BYPASS or (name in catalog and catalog[name].builtin):
        yield ("name",), f"{name} is the shell's own word"
    elif name in catalog:
        yield ("name",), f"{name} is in the catalog: write [[commands.extend]], or narrow or remove it"
    if command.builtin:
        yield ("builtin",), "a policy adds programs, no builtins"
    if command.grammar not in _GRAMMARS:
        yield ("grammar",), f"is for one program of the catalog; a policy's are {', '.join(_GRAMMARS)}"
    for field in command.__struct_fields__:
        if field not in _FIELDS and getattr(command, field):
            yield (field,), "is the catalog's to say"
    for label, place in [("name", name), *((f"paths[{n}]", path) for n, path in enumerate(command.paths))]:
        why = runs_others(place)
        if why:
            steps: tuple[Step, ...] = ("name",) if label == "name" else ("paths", int(label[6:-1]))
            yield steps, f"{posixpath.basename(place)} can't be added: {why}; a platform admin runs it with bypass"
    for number, path in enumerate(command.paths):
        if posixpath.basename(path) != name or posixpath.normpath(path) != path:
            yield ("paths", number), f"must be a path of {name} itself: the journal shows the name alone"
    yield from _effects(command)


def _extended(extension: Extension, command: Command) -> Iterator[Fault]:
    if command.builtin:
        yield ("command",), f"{command.name} is part of the shell and can't be extended"
        return
    if runs_others(command.name):
        yield ("command",), f"{command.name} can't be extended: {runs_others(command.name)}"
        return
    yield from extension_faults(extension.options, extension.commands, command)
    names = [name for option in command.options for name in option.spellings]
    for number, option in enumerate(extension.options):
        yield from _at(("options", number), _new_option(option, command, names))
        yield from _at(("options", number), _effect(option))
    if extension.commands and not command.commands:
        yield ("commands",), f"{command.name} has no subcommands: a first one would be an operand to it"
    for number, sub in enumerate(extension.commands):
        yield from _at(("commands", number), _new_sub(sub, command))
        yield from _at(("commands", number), _sub_effects(sub))


def _new_option(option: Option, command: Command, names: list[str]) -> Iterator[Fault]:
    spellings = set(option.spellings)
    for old in command.options:
        if not spellings & set(old.spellings):
            continue
        if not set(old.spellings) <= spellings:
            yield ("names",), f"must have all spellings of the option it replaces: {old.names}"
        if old.deny and not option.deny:
            yield ("names",), f"{old.spellings[0]} is denied by the catalog: it {old.deny}; that stays so"
        elif old.change and not (option.change or option.deny):
            yield ("change",), f"{old.spellings[0]} changes the node ({old.change}), and that stays so"
        if (bool(old.value), old.optional, old.follows) != (bool(option.value), option.optional, option.follows):
            yield ("value",), f"whether {old.spellings[0]} takes a value is the program's to say, not the policy's"
        elif old.value and _weight(option.value) < _weight(old.value):
            yield (
                ("value",),
                f"{option.value} would not judge what {old.value} judges: keep the catalog's kind",
            )
        if any(getattr(old, name) not in ("", (), getattr(option, name)) for name in _KEPT):
            yield ("names",), f"{old.spellings[0]} keeps what the catalog says of {', '.join(_KEPT)}"
        if _is_wider(option, old):
            yield ("names",), f"{old.spellings[0]} takes fewer values than that in the catalog, and no others"
        if option.into != old.into or (old.recursive and not option.recursive) or (old.first and not option.first):
            yield ("names",), f"{old.spellings[0]} keeps what the catalog says of into, recursive and first"
    for name in sorted(spellings):
        whole = next((full for full in names if name.startswith("--") and full != name and full.startswith(name)), None)
        if whole is not None and name not in names:
            yield ("names",), f"the program would take {name} for {whole}"


def _is_wider(new: Valued, old: Valued) -> bool:
    """Whether it takes a value that is beyond the old one's bounds, or none of its choices."""
    return (
        (old.low is not None and (new.low is None or new.low < old.low))
        or (old.high is not None and (new.high is None or new.high > old.high))
        or bool(old.choices and not (new.choices and set(new.choices) <= set(old.choices)))
    )


def _weight(kind: str) -> int:
    row = KINDS.get(kind)
    return {"": 0, "names": 1, "contents": 2}[row.opens if row else ""]


def _new_sub(sub: Sub, command: Command) -> Iterator[Fault]:
    for old in command.commands:
        if set(sub.spellings) & set(old.spellings):
            if not set(old.spellings) <= set(sub.spellings):
                yield ("names",), f"must have all spellings of the subcommand it replaces: {old.names}"
            if _is_marked(old) and not sub.deny:
                yield ("names",), f"{old.spellings[0]} denies or changes in the catalog, and stays as it is there"
            if not sub.deny and not _has_all_of(sub, old):
                yield (
                    ("names",),
                    f"{old.spellings[0]} keeps the catalog's operands, keywords and options",
                )
        for name in sub.spellings:
            whole = next((full for full in old.spellings if full != name and full.startswith(name)), None)
            if command.abbreviate and whole is not None and name not in old.spellings:
                yield ("names",), f"the program would take {name} for {whole}"
    if sub.default:
        yield ("default",), "which subcommand is meant when none is named is the catalog's to say"


def _has_all_of(new: Sub, old: Sub) -> bool:
    """Whether it says the same of every word that the old one says something of."""
    same = all(getattr(new, name) == getattr(old, name) for name in ("operands", "keywords", "commands"))
    return same and set(old.options) <= set(new.options)


def _is_marked(sub: Sub) -> bool:
    """Whether any form of a subcommand is denied or changes the node."""
    forms: list[Effect] = [sub, *sub.options, *sub.keywords, *sub.operands]
    forms += [form for operand in sub.operands for form in operand.forms]
    return any(form.deny or form.change for form in forms) or any(_is_marked(child) for child in sub.commands)


# -- grants


def _effects(command: Command) -> Iterator[Fault]:
    yield from _effect(command)
    for number, option in enumerate(command.options):
        yield from _at(("options", number), _effect(option))
    yield from _at(("operands",), _operand_effects(command.operands))
    for number, sub in enumerate(command.commands):
        yield from _at(("commands", number), _sub_effects(sub))


def _operand_effects(operands: tuple[Operand, ...]) -> Iterator[Fault]:
    for number, operand in enumerate(operands):
        yield from _at((number,), _effect(operand))
        for position, form in enumerate(operand.forms):
            yield from _at((number, "forms", position), _effect(form))


def _sub_effects(sub: Sub) -> Iterator[Fault]:
    yield from _effect(sub)
    for number, option in enumerate(sub.options):
        yield from _at(("options", number), _effect(option))
    for number, keyword in enumerate(sub.keywords):
        yield from _at(("keywords", number), _effect(keyword))
    yield from _at(("operands",), _operand_effects(sub.operands))
    for number, child in enumerate(sub.commands):
        yield from _at(("commands", number), _sub_effects(child))


def _effect(effect: Effect) -> Iterator[Fault]:
    for name in ("match", "refuse", "follows", "numeric"):
        pattern = getattr(effect, name, "")
        why = pattern_fault(pattern) if pattern else ""
        if why:
            yield (name,), why
    yield from _at(("grants",), _grant_faults(effect.grants, changing=bool(effect.change)))


def _grant_faults(grants: Grants, *, changing: bool) -> Iterator[Fault]:
    for name in grants.__struct_fields__:
        if name not in _GRANTS and getattr(grants, name):
            yield (name,), f"is not granted by a policy: {_WHY_NOT.get(name, 'that is for the catalog')}"
    for number, capability in enumerate(grants.caps):
        if capability in _CHANGE_CAPS and not changing:
            yield ("caps", number), f"{capability} is only granted to a form with change = DIMENSION"
        elif capability not in _CAPS | _CHANGE_CAPS:
            allowed = ", ".join(sorted(_CAPS | _CHANGE_CAPS))
            yield ("caps", number), f"{capability} is not granted by a policy; one of {allowed} is"
    for number, path in enumerate(grants.read):
        plain = normalise(path, "/")
        # A pattern is the catalog's to write: `/de*` would be all devices.
        odd = "*" in path or plain != path
        if odd or _is_off_limits(path) or _touches(plain, _UNREAD):
            yield ("read", number), "is a secret, leads to one, or is not written out"
    for number, path in enumerate(grants.write):
        plain = normalise(path, "/")
        if not changing:
            yield ("write", number), "a form without change = DIMENSION writes nothing"
        elif "*" in path or plain != path or _is_off_limits(path) or _touches(plain, _GUARDED):
            yield ("write", number), f"nothing in, or above, {' '.join(_GUARDED)} and no secret is granted for writing"
    for number, path in enumerate(grants.devices):
        if not _DEVICE.fullmatch(path):
            yield ("devices", number), "is not granted by a policy; GPU, InfiniBand and IPMI devices are"


def _is_off_limits(path: str) -> bool:
    return is_secret(path, "/") or is_hidden(path, "/")


def _touches(path: str, trees: tuple[str, ...]) -> bool:
    """Whether `path` is in one of the trees or above it."""
    return path == "/" or any(
        path == tree or path.startswith(tree + "/") or tree.startswith(path + "/") for tree in trees
    )
