"""`mount`, whose words mean one thing without operands (list) and another with them (mount).

What mounts is always run with `-o nosuid,nodev`: options from /etc/fstab come before those of the
line (mount(8), --options-mode), and none of those that the catalog takes undoes the two.
"""

from __future__ import annotations

from dataclasses import replace

import msgspec

from pactsh.catalog.getopt import read_options
from pactsh.catalog.reading import Reading
from pactsh.catalog.schema import Command

# File systems of servers and clusters. Others run programs (fuse), take a device or show the node's own trees.
TYPES = ("nfs", "nfs4", "lustre", "beegfs")
_SAFE = ("-o", "nosuid,nodev")
_MOUNTING = ("-o", "-r", "-w")


def read_mount(reading: Reading, command: Command) -> None:
    """Read a whole `mount` line; raises `Refusal`."""
    trial = replace(reading, out=list(reading.words), used=set(), demands=[])
    operands = read_options(trial, command.table, 1, exact=False, permute=True, numeric="")
    if not operands:
        read_options(reading, command.table, 1, exact=False, permute=True, numeric="")
        if reading.used.intersection(_MOUNTING):
            reason = "options to mount with, and nothing to mount"
            raise reading.refuse("missing-operand", reason, hint=f"see 'help {command.name}'")
        return
    table = dict(command.table)
    for name in ("-t", "--types"):
        table[name] = msgspec.structs.replace(table[name], value="enum", choices=TYPES, match="", refuse="")
    read_options(reading, table, 1, exact=False, permute=True, numeric="")
    _check_type(reading, operands[0], len(operands))
    # One operand is looked up in /etc/fstab; it is judged as the place where to mount.
    places = command.operands[-1:] if len(operands) == 1 else command.operands
    reading.operands(places, operands, command.extra)
    reading.out[1:1] = _SAFE


def _check_type(reading: Reading, first: int, count: int) -> None:
    typed = "-t" in reading.used
    if count > 1 and not typed:
        # Left out, it is guessed: from a probe of the source, or the list in /etc/filesystems.
        reason = "what is mounted by hand needs its type"
        raise reading.refuse("missing-option", reason, rule="-t", hint=f"-t {', '.join(TYPES)}", word=first)
    if count == 1 and typed:
        reason = "an entry of /etc/fstab has its type already"
        raise reading.refuse("denied", reason, rule="-t", hint="leave -t out, or name SOURCE and DIR", word=first)
