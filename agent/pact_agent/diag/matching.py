"""The files that a pattern of the policy names. Links are not followed on the way: where they lead is not the policy's
to say, and could be a file system whose server is gone."""

from __future__ import annotations

import fnmatch
import os
import re
from itertools import islice

MOST = 1000  # files of one pattern
_MOST_ENTRIES = 20_000  # names of one directory that are looked at
_MAGIC = re.compile(r"[*?\[]")


def is_pattern(path: str) -> bool:
    """Whether it names more than one file.

    >>> is_pattern("/var/log/*.log"), is_pattern("/var/log/app.log")
    (True, False)
    """
    return _MAGIC.search(path) is not None


def matching(pattern: str, tree: str) -> list[str]:
    """What there is below `tree` that the pattern (`*`, `?`, `[...]` in names) names, sorted, `MOST` at most. Names
    with a dot in front are named by such a pattern only, as in a shell."""
    found = [tree.rstrip("/")]
    *above, last = pattern.removeprefix(f"{tree.rstrip('/')}/").split("/")
    for part in above:
        found = [path for place in found for path in _named(place, part, directories=True)][:MOST]
    return [path for place in found for path in _named(place, last, directories=False)][:MOST]


def _named(place: str, part: str, *, directories: bool) -> list[str]:
    if not is_pattern(part):
        return [f"{place}/{part}"]
    try:
        with os.scandir(place) as entries:
            return sorted(
                entry.path
                for entry in islice(entries, _MOST_ENTRIES)
                if fnmatch.fnmatchcase(entry.name, part)
                and (part.startswith(".") or not entry.name.startswith("."))
                and (not directories or entry.is_dir(follow_symlinks=False))
            )
    except OSError:
        return []
