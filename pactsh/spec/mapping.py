"""What was committed on a node, as what is wanted on all nodes of its vCluster. Pure.

A wanted value leaves out what is a matter of one node or of the moment; the node's own value satisfies it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from pactsh.model.delta import MADE_LINKS, Change
from pactsh.model.overlay import satisfies
from pactsh.spec.checks import CHECKS, ENABLED, STATES, key_problem
from pactsh.spec.spelling import words_of

# Options that the kernel shows without anybody having asked for them, or that are of one client and server.
_ADDED = re.compile(
    r"rw|relatime|seclabel|inode(32|64)|attr2|(mount|client)?addr=.*|mount(port|proto|vers)=.*|local_lock=.*"
)


def values_of(changes: Iterable[Change]) -> tuple[dict[str, dict[str, str]], tuple[Change, ...]]:
    """What changes mean as wanted values, later ones winning; and those that have no place in an overlay."""
    last = {change.name: change for change in changes}
    values: dict[str, dict[str, str]] = {}
    unmapped: list[Change] = []
    for change in last.values():
        wanted = _wanted(change)
        if wanted is None:
            unmapped.append(change)
        else:
            values.setdefault(change.dimension, {})[change.key] = wanted
    return values, tuple(unmapped)


def _wanted(change: Change) -> str | None:
    """None for what is gone, what a spec would be refused for, and what could not be made so again."""
    if change.after is None or change.dimension not in CHECKS or not _can_be_made(change):
        return None
    wanted = _left_open(change.dimension, change.after)
    if key_problem(change.dimension, change.key, wanted, {}):
        return None
    return wanted if satisfies(change.dimension, wanted, change.after) else None


def _can_be_made(change: Change) -> bool:
    """Whether other nodes could make it: of links only some kinds can be."""
    if change.dimension != "network" or not change.key.startswith("link:") or change.before is not None:
        return True
    return words_of(change.after or "").get("kind", "") in MADE_LINKS


def _left_open(dimension: str, value: str) -> str:
    words = value.split(" ")
    if dimension == "kernel":
        return value.replace("\t", " ")
    if dimension == "files" and words[0] == "file":
        return " ".join(word for word in words if not word.startswith("size="))
    if dimension == "mounts":
        return " ".join(_mount_word(word) for word in words)
    if dimension == "services":
        lasting = {f"state={state}" for state in STATES} | {f"enabled={word}" for word in ENABLED}
        return " ".join(word for word in words if word in lasting)
    return value


def _mount_word(word: str) -> str:
    if not word.startswith("options="):
        return word
    options = word.removeprefix("options=").split(",")
    return f"options={','.join(option for option in options if not _ADDED.fullmatch(option))}"
