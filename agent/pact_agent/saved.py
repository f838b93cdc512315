"""What the agent keeps of its node's configuration across its own end: the baseline, the deltas, the open window.

One small file holds all that changes, replaced whole, so that after a crash it says what was so before a step or
after it. Entries that belong to a step stand in the same file until the spool has them: a step is never on record
without having been taken, or the other way round.
"""

from __future__ import annotations

import logging
import os
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import msgspec

from pact_agent.records import Unnumbered, decode_value, encode_value
from pact_agent.spoolfiles import replace_file, sync_directory
from pactsh.errors import PactError
from pactsh.model.delta import Change, Delta, Drifted
from pactsh.model.entry import Author
from pactsh.model.overlay import Overlay

_log = logging.getLogger(__name__)
_T = TypeVar("_T", bound=msgspec.Struct)


class Window(msgspec.Struct, frozen=True):
    """An open commit window. `ends` is monotonic time of this boot; `notices` are those still to be sent, in seconds
    left; `extended`: somebody has lengthened it."""

    opened: str
    ends: float
    notices: tuple[int, ...] = ()
    extended: bool = False


class Undoing(msgspec.Struct, frozen=True):
    """A rollback on its way: who asked for it, why, and what it is to undo. `to` is the entry to go back to, or 0;
    `drop` are the ids of the deltas that fall away, `add` deltas that are in force again; `tries`: how often it was
    tried in vain."""

    id: str
    author: Author
    session: str
    reason: str
    changes: tuple[Change, ...]
    to: int = 0
    drop: tuple[str, ...] = ()
    tries: int = 0
    add: tuple[Delta, ...] = ()


class Active(msgspec.Struct, frozen=True):
    """An emergency that nobody has ended. `ends` is monotonic time of `boot`, so that no clock that jumps ends it;
    `alerted`: that its time has run out was said."""

    principal: str
    reason: str
    until: datetime
    ends: float
    boot: str = ""
    alerted: bool = False


class Overlaid(msgspec.Struct, frozen=True):
    """The vCluster's overlay as this node has it (without the texts of files); `resolved` is what was found for it."""

    overlay: Overlay
    resolved: dict[str, dict[str, str]] = {}


class Applying(msgspec.Struct, frozen=True):
    """An overlay on its way: `changes` are from what was (`after`) to what is wanted (`before`)."""

    overlay: Overlay
    changes: tuple[Change, ...]


class Interrupted(msgspec.Struct, frozen=True):
    """How often the node was booted anew while this overlay was being applied."""

    checksum: str = ""
    times: int = 0


class Failing(msgspec.Struct, frozen=True):
    """An overlay that could not be applied here, and why."""

    version: int
    checksum: str
    reasons: tuple[str, ...]


class Held(msgspec.Struct, frozen=True):
    """Drift (values by name) whose commit waits for a second person: nothing undoes it until `ends` (monotonic time of
    this boot)."""

    id: str
    values: dict[str, str | None]
    ends: float


class Baseline(msgspec.Struct, frozen=True):
    """What was found when nothing was declared yet. `boot` is the boot in which the passing dimensions were read."""

    boot: str = ""
    state: dict[str, dict[str, str]] = {}


class Saved(msgspec.Struct, frozen=True):
    """All that changes. `ignored` are patterns of what is no drift here; `restored`: the journal has told what was
    committed here before; `held` and `approved`: what waits for a second person, and what was begun or done after one
    agreed; `gpus`: how each was, None before the first look; `unsent` are entries that the spool does not have yet."""

    boot: str = ""
    deltas: tuple[Delta, ...] = ()
    numbers: dict[str, int] = {}
    drift: tuple[Drifted, ...] = ()
    window: Window | None = None
    undoing: Undoing | None = None
    emergency: Active | None = None
    ignored: tuple[str, ...] = ()
    overlay: Overlaid | None = None
    applying: Applying | None = None
    failing: Failing | None = None
    interrupted: Interrupted = Interrupted()
    restored: bool = False
    held: tuple[Held, ...] = ()
    approved: dict[str, str] = {}
    gpus: dict[str, str] | None = None
    unsent: tuple[Unnumbered, ...] = ()


class StateFiles:
    """The two files in `directory`, which is made."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        if not directory.is_dir():
            directory.mkdir(mode=0o700, parents=True)
            sync_directory(directory.parent)

    def load(self) -> tuple[Baseline, Saved, tuple[str, ...]]:
        """What is kept, and what could not be read: that is set aside and begun anew."""
        problems: list[str] = []
        baseline = self._load("baseline.json", Baseline, problems)
        return baseline, self._load("state.json", Saved, problems), tuple(problems)

    def _load(self, name: str, kind: type[_T], problems: list[str]) -> _T:
        path = self._directory / name
        try:
            return decode_value(path.read_bytes(), kind)
        except FileNotFoundError:
            return kind()
        except (OSError, ValueError) as error:  # DecodeError, ValidationError
            problems.append(f"{name}: {error}")
            _log.error("%s can't be read and is set aside: %s", path, error)
            os.replace(path, path.with_suffix(".broken"))
            return kind()

    def save(self, saved: Saved) -> None:
        """Replace what changes; durable on return. Raises `PactError`."""
        self._write("state.json", saved)

    def save_baseline(self, baseline: Baseline) -> None:
        """Replace the baseline; durable on return. Raises `PactError`."""
        self._write("baseline.json", baseline)

    def _write(self, name: str, value: msgspec.Struct) -> None:
        try:
            replace_file(self._directory / name, encode_value(value))
        except OSError as error:
            raise PactError(
                f"can't keep the node's state: {error.strerror}", hint="nothing was changed; is the disk full?"
            ) from error


def boot_id(proc: str = "/proc") -> str:
    """What tells one boot from another: the kernel's id, and when process 1 began, for a container's."""
    kernel = Path(proc, "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    try:
        first = Path(proc, "1/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[19]
    except OSError:
        first = ""  # hidden from whoever is not root (proc(5), hidepid)
    return f"{kernel}:{first}"
