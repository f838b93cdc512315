"""Where a platform admin's acts are recorded while the spool takes nothing: the kernel's log, and memory.

The last rung of DESIGN.md section 3: a node whose disk has failed must still be mended by somebody, and on
record. An entry goes to /dev/kmsg, which the console, the BMC and a remote log collect, and waits here until
the spool can be written again; then it follows in order, with the time at which it happened. What the kernel
does not take either is not recorded, so it does not happen.
"""

from __future__ import annotations

import json
import os
import threading
from typing import TYPE_CHECKING

import msgspec

from pact_agent.records import Unnumbered
from pactsh.errors import PactError

if TYPE_CHECKING:
    from pactsh.model.entry import JsonObject

KMSG = "/dev/kmsg"
# printk(9) cuts a record at about 1,000 bytes; priority 5 (notice) of facility 13 (audit, syslog.h).
_PART_BYTES = 800
_PRIORITY = 13 << 3 | 5
_MOST_KEPT = 10_000
# The kernel's ring of records holds a few of these, and any spool takes one later: what it doesn't would stop the rest.
_MOST_BYTES = 64 << 10


class LastResort:
    """Entries that only the kernel's log has so far. `path` is its device."""

    def __init__(self, node: str, path: str = KMSG) -> None:
        self._node, self._path = node, path
        self._kept: list[Unnumbered] = []
        self._written = 0
        self._writing = threading.Lock()  # each in a thread of its own, as a serial console may be slow to take it

    def __len__(self) -> int:
        return len(self._kept)

    def write(self, draft: Unnumbered) -> None:
        """Put an entry into the kernel's log and keep it; raises `PactError` when the kernel doesn't take it."""
        if len(self._kept) >= _MOST_KEPT:
            raise PactError(f"{_MOST_KEPT} entries wait for the spool, more are not kept")
        body: JsonObject = {**(draft.body or {}), "recorded": "kernel-log"}
        late = msgspec.structs.replace(draft, body=body)
        text = json.dumps(msgspec.to_builtins(late), sort_keys=True, separators=(",", ":")).encode("ascii")
        if len(text) > _MOST_BYTES:
            raise PactError(f"can't record {draft.type}: {len(text)} bytes are too many for the kernel's log")
        with self._writing:
            self._written += 1
            try:
                self._log(text)
            except OSError as error:
                hint = "nothing is recorded, so nothing runs"
                raise PactError(f"{self._path}: {error.strerror}", hint=hint) from error
            self._kept.append(late)

    def _log(self, text: bytes) -> None:
        parts = [text[at : at + _PART_BYTES] for at in range(0, len(text), _PART_BYTES)]
        for number, part in enumerate(parts, 1):
            label = f"<{_PRIORITY}>pact-agent: {self._node}: {self._written} {number}/{len(parts)} ".encode()
            # Opened for each: the kernel drops what is too much for one opening (sysctl kernel.printk_devkmsg).
            fd = os.open(self._path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOCTTY)
            try:
                os.write(fd, label + part + b"\n")
            finally:
                os.close(fd)

    def next(self) -> Unnumbered | None:
        """The oldest entry that the spool doesn't have."""
        return self._kept[0] if self._kept else None

    def done(self, draft: Unnumbered) -> None:
        """Forget an entry that the spool has now."""
        self._kept.remove(draft)
