"""Processes that no line may signal: the agent, its spawner, and what else keeps this node's records.

`systemctl stop` of these is refused by the catalog; `kill` names processes by number, and only the
node knows whose numbers they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

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


def vital_target(stages: Sequence[StageDecision], own: frozenset[int], proc: Path = Path("/proc")) -> int | None:
    """The first number a `kill` among `stages` names that is one of `own`, a thread of them, or a recorder."""
    for stage in stages:
        if stage.name == "kill":
            for number in _targets(stage.argv[1:]):
                if _is_vital(number, own, proc):
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
