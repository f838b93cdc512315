"""Which files a vCluster's policy may add to what `pact diag` shows, and which of them a path stands for. Pure.

Whoever may see a node's state sees these files, so they are logs and nothing else: below one directory, none of the
secrets, and whatever else lies at such a path (a link, a pipe) is refused when it is opened.
"""

from __future__ import annotations

from pactsh.catalog.secrets import is_hidden, is_secret, normalise

TREE = "/var/log"
MOST_PATHS = 64
_LONGEST = 500


def log_path_fault(path: str, tree: str = TREE) -> str:
    """What is wrong with a path or pattern of `diag_paths`; "" for a good one.

    >>> log_path_fault("/var/log/slurm/*.log"), log_path_fault("/etc/motd")
    ('', 'is not below /var/log: only logs are shown')
    """
    if not path or len(path) > _LONGEST or not path.isprintable():
        return f"expected up to {_LONGEST} characters, none of them unprintable"
    if "**" in path:
        return "`*` stands for a part of one name; `**` is not known here"
    if not path.startswith("/") or normalise(path, "/") != path:
        return "a place is written in full, from / on: no `.`, `..`, `//` or `/` at the end"
    if not path.startswith(f"{tree}/"):
        return f"is not below {tree}: only logs are shown"
    if is_secret(path, "/") or is_hidden(path, "/"):
        return "is a secret"
    return ""
