"""Processes that no line may signal: the agent, its spawner, and what else keeps this node's records.

`systemctl stop` of these is refused by the catalog; `kill` names processes by number, `pkill` by the number
of a parent, process group or session, and only the node knows whose numbers they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from pactsh.policy.decision import StageDecision

# The kernel's names of processes (comm, at most 15 characters): the log and message daemons of the
# catalog's systemctl, and pact's own programs, should there be more than one agent or a journal here.
RECORDERS = frozenset(
    {
        "pact-agent", "pact-journal", "systemd-journal", "auditd", "rsyslogd", "syslog-ng", "dbus-daemon",
        "dbus-broker", "dbus-broker-lau",
    }
)  # fmt: skip
_FIRST_PERSON = 1000  # login.defs(5), UID_MIN
_SELECTS = {
    "-P": "parent", "--parent": "parent", "-g": "group", "--pgroup": "group", "-s": "session", "--session": "session",
}  # fmt: skip


class _Place(NamedTuple):
    """Where a process stands among others: the second to sixth field of proc(5)'s stat."""

    name: str
    parent: int
    group: int
    session: int


def vital_target(stages: Sequence[StageDecision], own: frozenset[int], proc: Path = Path("/proc")) -> int | None:
    """The first process that a `kill` or `pkill` among `stages` would signal and nobody may.

    That is one of `own`, a thread or (for `pkill -P`) a child of them, or a recorder.
    """
    for stage in stages:
        if stage.name == "kill":
            for number in _targets(stage.argv[1:]):
                if _is_vital(number, own, proc):
                    return number
        elif stage.name == "pkill":
            for number in _selected(stage.argv[1:], own, proc):
                return number
    return None


def _targets(words: Sequence[str]) -> list[int]:
    found: list[int] = []
    value = False
    for word in words:
        if not value and word.isdecimal():
            found.append(int(word))
        value = word in {"-s", "--signal"}
    return found


def _selected(words: Sequence[str], own: frozenset[int], proc: Path) -> Iterator[int]:
    """The vital processes that one of pkill's numbers stands for, whatever else narrows its choice.

    pkill takes those that fit all it is given, and the last of two equal options: this is never less. What is
    narrowed away here may fit a moment later.
    """
    numbers = _numbers(words)
    yield from sorted(own & numbers["parent"])  # whose children run the lines of other sessions
    for process in sorted(int(entry.name) for entry in proc.iterdir() if entry.name.isdecimal()):
        place = _place(proc / str(process))
        if place is None or not (process in own or place.name in RECORDERS):
            continue
        near = {place.parent} & numbers["parent"] | {place.group} & numbers["group"]
        if (near or place.session in numbers["session"]) and _is_vital(process, own, proc):
            yield process


def _numbers(words: Sequence[str]) -> Mapping[str, frozenset[int]]:
    """What follows pkill's -P, -g and -s. The catalog has seen to it that no other option's value looks like these."""
    found: dict[str, set[int]] = {"parent": set(), "group": set(), "session": set()}
    for index, word in enumerate(words):
        name, equals, attached = word.partition("=")
        if name in _SELECTS:
            value = attached if equals else "".join(words[index + 1 : index + 2])
            found[_SELECTS[name]].update(int(part) for part in value.split(",") if part.isdecimal())
    return {key: frozenset(values) for key, values in found.items()}


def _place(process: Path) -> _Place | None:
    try:
        text = (process / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None  # it has ended
    # A name may hold blanks and brackets of its own; the last bracket ends it.
    head, _, rest = text.rpartition(")")
    _state, parent, group, session = rest.split()[:4]
    return _Place(head.partition("(")[2], int(parent), int(group), int(session))


def _is_vital(number: int, own: frozenset[int], proc: Path) -> bool:
    """kill(2) takes a thread's number as well and signals the whole process, so its leader counts."""
    facts = _facts(proc / str(number))
    leader = int(facts.get("Tgid", number))
    if leader in own:
        return True
    if leader != number:
        facts = _facts(proc / str(leader))
    # Anybody can give a process any name; only those of the system are what they are called.
    return facts.get("Name") in RECORDERS and int(facts.get("Uid", "0").split()[0]) < _FIRST_PERSON


def _facts(process: Path) -> dict[str, str]:
    try:
        text = (process / "status").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    pairs = (line.partition(":") for line in text.splitlines())
    return {key: value.strip() for key, _, value in pairs}
