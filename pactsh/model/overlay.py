"""What is declared for all nodes of a vCluster, and when a node has what is asked for. Values, nothing looks at a node.

An overlay's value may leave things open (`type=nfs source=s:/x options=`, `mode=0640`), where a node's own value says
everything; `satisfies` compares the two.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

import msgspec

from pactsh.model.delta import State

MOST_BYTES = 900 << 10  # of the 1 MiB of an entry


class Overlay(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Wanted values by dimension and key. `contents` are texts of files, by their SHA-256. `version` rises with each
    change; 0: none was ever applied. `overwrite` are keys (`DIMENSION:KEY`), by node, whose node deltas fall away
    with this version."""

    vcluster: str
    version: int = 0
    values: dict[str, dict[str, str]] = {}
    contents: dict[str, str] = {}
    overwrite: dict[str, tuple[str, ...]] = {}

    @property
    def checksum(self) -> str:
        """SHA-256 over the canonical JSON of what is wanted, in hexadecimal: the same on the journal and on every node.

        >>> Overlay("a", 1, {"kernel": {"x": "1"}}).checksum == Overlay("a", 2, {"kernel": {"x": "1"}}).checksum
        True
        """
        text = json.dumps(self.values, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()


def merged(
    old: Overlay,
    values: State,
    contents: Mapping[str, str],
    *,
    replace: bool = False,
    overwrite: Mapping[str, tuple[str, ...]] | None = None,
) -> Overlay:
    """The overlay with these values over its own (`replace`: instead of them), as the next version. Texts of files
    that nothing names any more are left out.

    >>> merged(Overlay("a", 1, {"kernel": {"x": "1", "y": "1"}}), {"kernel": {"x": "2"}}, {}).values
    {'kernel': {'x': '2', 'y': '1'}}
    """
    kept = {} if replace else {name: dict(known) for name, known in old.values.items()}
    for name, some in values.items():
        kept.setdefault(name, {}).update(some)
    kept = {name: kept[name] for name in sorted(kept) if kept[name]}
    named = {w.partition("=")[2] for v in kept.get("files", {}).values() for w in v.split() if w.startswith("sha256=")}
    texts = {digest: text for digest, text in {**old.contents, **contents}.items() if digest in named}
    return Overlay(old.vcluster, old.version + 1, kept, texts, dict(overwrite or {}))


def with_directories(values: State) -> dict[str, dict[str, str]]:
    """The values with the directories that their files are in, as far as nothing is said of them: whatever their mode,
    they have to be there.

    >>> with_directories({"files": {"/etc/foo.d/x": "file sha256=aa"}})["files"]
    {'/etc/foo.d': 'dir', '/etc/foo.d/x': 'file sha256=aa'}
    """
    found = {name: dict(some) for name, some in values.items()}
    files = found.get("files", {})
    for path in [*files]:
        parts = path.split("/")
        for number in range(3, len(parts)):
            files.setdefault("/".join(parts[:number]), "dir")
    return found | ({"files": dict(sorted(files.items()))} if files else {})


def satisfies(dimension: str, wanted: str, actual: str | None) -> bool:
    """Whether a node's value is what is wanted.

    >>> satisfies("kernel", "4096 131072 6291456", "4096\\t131072\\t6291456")
    True
    >>> satisfies("mounts", "type=nfs source=s:/x options=nosuid", "type=nfs source=s:/x options=rw,nosuid,vers=4")
    True
    >>> satisfies("mounts", "type=nfs source=s:/x options=", "type=nfs4 source=s:/x options=rw,vers=4.2")
    True
    >>> satisfies("files", "mode=0644", "file mode=0644 owner=0:0 size=1 sha256=aa")
    True
    >>> satisfies("services", "state=running", "state=stopped enabled=enabled")
    False
    >>> satisfies("packages", "*", "1.2-3"), satisfies("packages", "1.2-3", None)
    (True, False)
    """
    if actual is None:
        return False
    if wanted == actual:
        return True
    if dimension == "kernel":
        return wanted.split() == actual.split()
    if dimension == "packages":
        return wanted == "*"
    if dimension == "gpu":
        return False
    asked, found = wanted.split(), actual.split()
    if dimension == "mounts":
        return _mount_satisfies(asked, found)
    return set(asked) <= set(found)


def _mount_satisfies(asked: list[str], found: list[str]) -> bool:
    def options(words: list[str]) -> set[str]:
        text = next((word for word in words if word.startswith("options=")), "options=")
        return set(text.removeprefix("options=").split(",")) - {"", "defaults", "rw"}

    def rest(words: list[str]) -> set[str]:
        # The kernel says nfs4 of what was mounted as nfs, once both sides have agreed on that version.
        plain = ("type=nfs" if word == "type=nfs4" else word for word in words)
        return {word for word in plain if not word.startswith("options=")}

    return rest(asked) == rest(found) and options(asked) <= options(found)


def completed(dimension: str, wanted: str, actual: str | None) -> str:
    """What to make of a node's value so that it is what is wanted, with what that leaves open as it is.

    >>> completed("files", "mode=0640", "file mode=0644 owner=0:0 size=1 sha256=aa")
    'file mode=0640 owner=0:0 size=1 sha256=aa'
    >>> completed("files", "file sha256=bb", None)
    'file mode=0644 owner=0:0 size=0 sha256=bb'
    >>> completed("network", "mtu=9000", "state=up mtu=1500")
    'state=up mtu=9000'
    """
    if dimension not in {"files", "network", "services"} or wanted.startswith("link -> "):
        return wanted
    asked, found = _fields(wanted), _fields(actual or "")
    if dimension == "files" and not asked.keys().isdisjoint({"sha256", "keyed"}):
        found = {"file": "", "mode": "0644", "owner": "0:0", "size": "0"} | (found if "file" in found else {})
        found = {name: text for name, text in found.items() if name not in {"sha256", "keyed"}}
    if dimension == "files" and "dir" in asked:
        found = {"dir": "", "mode": "0755", "owner": "0:0"} | (found if "dir" in found else {})
    if dimension == "network" and "state" not in found:
        return wanted
    return " ".join(name if not text else f"{name}={text}" for name, text in (found | asked).items())


def _fields(value: str) -> dict[str, str]:
    return {name: text for name, _, text in (word.partition("=") for word in value.split())}
