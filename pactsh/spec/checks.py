"""What an overlay may say: keys and values of each dimension, whoever wrote them. Pure.

It says no more than an administrator may do on a node: settings that the shell refuses are refused here, file systems
come without set-uid programs and devices, and nothing lies over the system or over pact.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping

from pactsh.catalog.loader import load_catalog
from pactsh.catalog.mounting import TYPES
from pactsh.catalog.schema import Form
from pactsh.catalog.secrets import is_secret

LONGEST_VALUE, LONGEST_TEXT = 4096, 64 << 10
DISKS = ("ext4", "xfs")
MOUNTABLE = (*TYPES, *DISKS, "tmpfs")
SAFE = ("nosuid", "nodev")
ENABLED = ("enabled", "disabled", "masked")
STATES = ("running", "stopped")

_MODULE = re.compile(r"module:\w{1,64}", re.ASCII)
_UNIT = re.compile(r"[\w:.\\@-]{1,240}\.(service|socket|timer|path)", re.ASCII)
_PACKAGE = re.compile(r"[a-zA-Z0-9][\w+.:~-]{0,127}", re.ASCII)
_VERSION = re.compile(r"\*|[\w.+:~^-]{1,128}", re.ASCII)
_FILE_WORDS = {
    "file": re.compile(""),
    "mode": re.compile(r"[0-7]{4}"),
    "owner": re.compile(r"\d{1,10}:\d{1,10}", re.ASCII),
    "sha256": re.compile(r"[0-9a-f]{64}"),
}
_OVER = frozenset({
    "/", "/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/proc", "/root", "/run", "/sbin",
    "/sys", "/usr", "/usr/bin", "/usr/lib", "/usr/sbin", "/var", "/var/lib", "/var/log",
})  # fmt: skip
_NOT_BELOW = (
    "/boot", "/dev", "/etc", "/proc", "/run", "/sys", "/var/lib/pact", "/var/log", "/root",
    "/usr/bin", "/usr/lib", "/usr/sbin",
)  # fmt: skip
_NOT_OPTIONS = re.compile(r"suid|dev|r?bind|move|remount|users?|owner|group|loop.*|x-.*|helper.*|.*context=.*")
_OURS = ("/etc/pact",)
_LINK, _ADDRESS = r"[\w.][^\s/:]{0,14}", r"[0-9a-fA-F.:]+"
_NUMBER, _SWITCH = re.compile(r"\d{1,10}", re.ASCII), re.compile(r"on|off")
_NETWORK: dict[str, tuple[re.Pattern[str], dict[str, re.Pattern[str]]]] = {
    "link": (
        re.compile(rf"link:{_LINK}"),
        {
            "state": re.compile(r"up|down"), "mtu": _NUMBER, "txqueuelen": _NUMBER, "promisc": _SWITCH, "arp": _SWITCH,
            "master": re.compile(_LINK), "kind": re.compile(r"dummy|bridge|vlan"), "parent": re.compile(_LINK),
            "id": _NUMBER,
        },
    ),
    "address": (
        re.compile(rf"address:{_LINK}:{_ADDRESS}/\d{{1,3}}"),
        {
            "scope": re.compile(r"\w{1,16}"), "broadcast": re.compile(_ADDRESS), "peer": re.compile(_ADDRESS),
            "label": re.compile(r"[\w.:-]{1,15}"), "route": re.compile(r"none"),
        },
    ),
    "route": (
        re.compile(rf"route:(default|{_ADDRESS}(/\d{{1,3}})?)( metric=\d{{1,10}})?( table=\w{{1,16}})?"),
        {
            "type": re.compile(r"\w{1,16}"), "via": re.compile(_ADDRESS), "dev": re.compile(_LINK),
            "onlink": re.compile(r"yes"), "proto": re.compile(r"boot|static|dhcp"), "scope": re.compile(r"\w{1,16}"),
            "src": re.compile(_ADDRESS), "mtu": _NUMBER, "advmss": _NUMBER,
            "nexthop": re.compile(r"[\w.:,-]{1,100}"),
        },
    ),
}  # fmt: skip


def value_faults(dimension: str, values: Mapping[str, str], contents: Mapping[str, str]) -> Iterator[str]:
    """What is wrong with an overlay's values of one dimension, each with its key. `contents` are texts of files."""
    check = CHECKS.get(dimension)
    if check is None:
        yield f"{dimension}: nothing of that can be declared"
        return
    for key, value in values.items():
        if problem := key_fault(dimension, key, value, contents):
            yield f"{dimension}:{key}: {problem}"


def key_fault(dimension: str, key: str, value: str, contents: Mapping[str, str]) -> str:
    """What is wrong with one key and its value; "" where nothing is."""
    if not key or len(key) > LONGEST_VALUE or not key.isprintable():
        return "expected a name of printable characters"
    if len(value) > LONGEST_VALUE or any(not c.isprintable() and c != "\t" for c in value):
        return f"expected at most {LONGEST_VALUE} printable characters"
    problem = CHECKS[dimension](key, value)
    digest = _words(value).get("sha256", "") if dimension == "files" else ""
    if not problem and digest in contents and is_secret(key, "/"):
        return "is secret: its content does not belong in a spec, which is journaled"
    return problem


@functools.cache
def _settable() -> tuple[Form, ...]:
    return load_catalog()["sysctl"].operands[0].forms


def _setting(key: str, value: str) -> str:
    if key.startswith("module:"):
        known = _MODULE.fullmatch(key) and value == "loaded"
        return "" if known else 'expected "module:NAME" = "loaded"'
    for form in _settable():
        if re.fullmatch(form.match, f"{key}={value}"):
            return form.deny or ("" if form.change else "expected a value")
    return "expected the name of a setting and its value, as vm.swappiness"


def _place(path: str) -> str:
    if not path.startswith("/") or path != path.rstrip("/") or {".", "..", ""} & set(path.split("/")[1:]):
        return "expected a path from the root, without `.`, `..`, `//` or `/` at the end"
    return ""


def _mount(key: str, value: str) -> str:
    words = _words(value)
    if problem := _place(key):
        return problem
    if key in _OVER or any(key.startswith(f"{place}/") for place in _NOT_BELOW):
        return "nothing is mounted there: it would hide the system, or pact"
    if words.keys() != {"type", "source", "options"}:
        return "expected type, source and options"
    if words["type"] not in MOUNTABLE:
        return f"{words['type']!r} is not mounted by pact: expected one of {', '.join(MOUNTABLE)}"
    if not words["source"] or words["source"].startswith("-"):
        return "expected a source"
    options = words["options"].split(",")
    for option in options:
        if _NOT_OPTIONS.fullmatch(option) or option.startswith("-"):
            return f"the option {option!r} is not for an overlay"
    if words["type"] != "tmpfs" and not set(SAFE) <= set(options):
        return f"expected the options {' and '.join(SAFE)}"
    return ""


def _file(key: str, value: str) -> str:
    if problem := _place(key):
        return problem
    if not key.startswith("/etc/"):
        return "expected a file below /etc: no others are observed"
    if any(key == place or key.startswith(f"{place}/") for place in _OURS):
        return "is pact's own"
    if value.startswith("link -> "):
        return "" if value.removeprefix("link -> ") else "expected the target of a link"
    words = _words(value)
    for name, text in words.items():
        if name not in _FILE_WORDS or not _FILE_WORDS[name].fullmatch(text):
            return f"{name}={text}: expected mode=0644, owner=UID:GID by number, or sha256=HEX"
    if not words or ("file" in words) != ("sha256" in words):
        return "expected a content, a mode, an owner or a link"
    return ""


def _service(key: str, value: str) -> str:
    words = _words(value)
    if not _UNIT.fullmatch(key):
        return "expected the name of a service, socket, timer or path"
    if key.startswith("pact-"):
        return "is pact's own"
    if not words or words.keys() - {"state", "enabled"}:
        return "expected a state"
    if words.get("state", "running") not in STATES:
        return f"state {words['state']!r}: expected one of {', '.join(STATES)}"
    if words.get("enabled", "enabled") not in ENABLED:
        return f"enabled {words['enabled']!r}: expected one of {', '.join(ENABLED)}"
    return ""


def _network(key: str, value: str) -> str:
    kind = key.partition(":")[0]
    pattern, known = _NETWORK.get(kind, (None, {}))
    if pattern is None or not pattern.fullmatch(key):
        return "expected a link's name, address:LINK:ADDRESS/PREFIX or route:DESTINATION"
    words = _words(value)
    for name, text in words.items():
        form = known.get(re.sub(r"^nexthop\d+$", "nexthop", name))
        if form is None or not form.fullmatch(text):
            return f"{name}={text}: expected words such as {', '.join(sorted(known))}"
    return "" if words else "expected words such as state=up"


def _package(key: str, value: str) -> str:
    if not _PACKAGE.fullmatch(key):
        return "expected the name of a package"
    return "" if _VERSION.fullmatch(value) else "expected a version, or *"


def _words(value: str) -> dict[str, str]:
    return {name: text for name, _, text in (word.partition("=") for word in value.split())}


CHECKS: Mapping[str, Callable[[str, str], str]] = {
    "kernel": _setting,
    "mounts": _mount,
    "files": _file,
    "services": _service,
    "network": _network,
    "packages": _package,
}
