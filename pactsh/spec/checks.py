"""What an overlay may say: keys and values of each dimension, whoever wrote them. Pure.

It says no more than an administrator may do on a node: settings and services that the shell refuses are refused here,
file systems come without set-uid programs and devices, and nothing lies over the system or reconfigures pact.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping

from pactsh.catalog.kinds import regex
from pactsh.catalog.loader import load_catalog
from pactsh.catalog.schema import Form
from pactsh.catalog.secrets import is_secret
from pactsh.spec.mounts import mount_problem
from pactsh.spec.network import network_problem
from pactsh.spec.spelling import Problem, place_problem, shortened, words_of, words_problem

LONGEST_VALUE, LONGEST_TEXT = 4096, 64 << 10
ENABLED = ("enabled", "disabled")
STATES = ("running", "stopped")

_MODULE = re.compile(r"module:\w{1,64}", re.ASCII)
# sysctl(8) takes `vm/swappiness` as well; a node shows only this form, where `/` stands for a dot within a part.
_SETTING = re.compile(r"[a-z][a-z0-9_]*(\.[A-Za-z0-9_:@/-]+)+")
# What can be written and is not there afterwards, or is no setting at all: no node shows them.
_PASSING = re.compile(
    r"vm\.(stat_refresh|drop_caches|compact_memory)|net\.ipv[46]\.route\.flush|net\.ipv4\.tcp_fastopen_key"
    r"|net\.ipv6\.conf\..*\.(stable_secret|mtu)|kernel\.random\..*"
)
_UNIT = re.compile(r"[\w:][\w:.@-]{0,240}\.(service|socket|timer|path)", re.ASCII)
_TEMPLATE = re.compile(r"[^@]*@\.\w+")
_PACKAGE = re.compile(r"[a-zA-Z0-9][\w+.:~-]{0,127}", re.ASCII)
_VERSION = re.compile(r"\*|[\w.+:~^-]{1,128}", re.ASCII)
# No set-uid programs. The number that stands for "nobody in particular" in chown(2) is no owner.
_MODE = re.compile(r"0[0-7]{3}")
_OWNER = re.compile(r"(0|[1-9][0-9]{0,9}):(0|[1-9][0-9]{0,9})")
_HIGHEST_ID = (1 << 32) - 2
_DIGEST = re.compile(r"[0-9a-f]{64}")
# Its configuration and keys, and what tells systemd how to run it.
_OURS = re.compile(r"/etc/pact(/.*)?|/etc/systemd/(.+/)?(pact-[^/]*|service\.d)(/.*)?")


def value_faults(dimension: str, values: Mapping[str, str], contents: Mapping[str, str]) -> Iterator[str]:
    """What is wrong with an overlay's values of one dimension, each with its key. `contents` are texts of files."""
    if dimension not in CHECKS:
        yield f"{dimension}: nothing of that can be declared"
        return
    for key, value in values.items():
        if problem := key_problem(dimension, key, value, contents):
            yield f"{dimension}:{key}: {problem.text}"
    if dimension == "files":
        for key, above in covered_files(values):
            yield f"{dimension}:{key}: {above} is to be no directory"


def key_problem(dimension: str, key: str, value: str, contents: Mapping[str, str]) -> Problem | None:
    """What is wrong with one key and its value, of a dimension in `CHECKS`; None where nothing is."""
    if not key or len(key) > LONGEST_VALUE or not key.isprintable():
        return Problem("expected a name of printable characters")
    if len(value) > LONGEST_VALUE or any(not c.isprintable() and c != "\t" for c in value):
        return Problem(f"expected at most {LONGEST_VALUE} printable characters")
    is_words = dimension not in {"kernel", "packages"} and not value.startswith("link -> ")
    problem = (words_problem(value) if is_words else None) or CHECKS[dimension](key, value)
    digest = words_of(value).get("sha256", "") if dimension == "files" else ""
    if not problem and digest in contents and is_secret(key, "/"):
        return Problem("is secret: its content does not belong in a spec, which is journaled")
    return problem


def covered_files(values: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Files below what is to be a file or a link itself, with that."""
    for path in values:
        parts = path.split("/")
        above = ("/".join(parts[:number]) for number in range(2, len(parts)))
        found = next((place for place in above if place in values and "dir" not in values[place].split(" ")), None)
        if found is not None:
            yield path, found


@functools.cache
def _settable() -> tuple[Form, ...]:
    return load_catalog()["sysctl"].operands[0].forms


def _setting(key: str, value: str) -> Problem | None:
    if key.startswith("module:"):
        known = _MODULE.fullmatch(key) and value == "loaded"
        return None if known else Problem('expected "module:NAME" = "loaded", NAME as lsmod shows it')
    for form in _settable():
        if regex(form.match).fullmatch(f"{key}={value}".replace("\t", " ")):
            if form.deny:
                return Problem(f"{form.deny}: {form.hint}")
            if _PASSING.fullmatch(key):
                return Problem("is no setting that stays: nothing can be declared of it")
            if form.change and _SETTING.fullmatch(key):
                return None
    if re.fullmatch(r"[a-z][a-z0-9_]*/[\w/.-]+", key, re.ASCII):
        return Problem(f"write {shortened(key.translate(_SWAPPED))}")
    if _SETTING.fullmatch(key):
        return Problem("expected a value that is not empty and no path")
    return Problem("expected the name of a setting and its value, as vm.swappiness")


_SWAPPED = str.maketrans("./", "/.")


def _file(key: str, value: str) -> Problem | None:
    if problem := place_problem(key):
        return problem
    if not key.startswith("/etc/"):
        return Problem("expected a file below /etc: no others are observed")
    if _OURS.fullmatch(key):
        return Problem("is pact's own")
    if value.startswith("link -> "):
        return None if value.removeprefix("link -> ").strip() else Problem("expected the target of a link", "link")
    words = words_of(value)
    if words.get("dir") == "" and "sha256" not in words and "file" not in words:
        return _file_words_problem({name: text for name, text in words.items() if name != "dir"})
    if unknown := sorted(words.keys() - {"file", "mode", "owner", "sha256"}):
        return Problem(f"{shortened(unknown[0])!r}: expected mode=0644, owner=UID:GID or sha256=HEX")
    if not words or ("file" in words) != ("sha256" in words) or words.get("file"):
        return Problem("expected a content, a mode, an owner or a link")
    return _file_words_problem(words)


def _file_words_problem(words: Mapping[str, str]) -> Problem | None:
    mode, owner, digest = words.get("mode"), words.get("owner"), words.get("sha256")
    if mode is not None and not _MODE.fullmatch(mode):
        return Problem(f"{shortened(mode)!r}: expected mode=0644 or alike, never set-uid", "mode")
    if owner is not None:
        found = _OWNER.fullmatch(owner)
        if found is None or max(int(found[1]), int(found[2])) > _HIGHEST_ID:
            says = "expected owner=UID:GID by number, as names differ from node to node: 0:0"
            return Problem(f"{shortened(owner)!r}: {says}", "owner")
    if digest is not None and not _DIGEST.fullmatch(digest):
        return Problem(f"{shortened(digest)!r}: expected sha256=HEX: 64 hexadecimal digits", "sha256")
    return None


@functools.cache
def _kept_from() -> re.Pattern[str]:
    """The units that `systemctl stop` refuses in the shell."""
    verbs = load_catalog()["systemctl"].commands
    return regex(next(verb for verb in verbs if "stop" in verb.spellings).operands[0].refuse)


def _service(key: str, value: str) -> Problem | None:
    words = words_of(value)
    if not _UNIT.fullmatch(key) or _TEMPLATE.fullmatch(key):
        return Problem("expected the name of a service, socket, timer or path")
    if re.match(r"pact[-.@]", key):
        return Problem("is pact's own")
    if _kept_from().fullmatch(key):
        return Problem("the system's own services and its logs are not changed through pact")
    if not words or words.keys() - {"state", "enabled"}:
        return Problem("expected state=running or state=stopped", "state")
    for name, choices in (("state", STATES), ("enabled", ENABLED)):
        if name in words and words[name] not in choices:
            return Problem(f"{name} {shortened(words[name])!r}: expected one of {', '.join(choices)}", name)
    return None


def _package(key: str, value: str) -> Problem | None:
    if not _PACKAGE.fullmatch(key):
        return Problem("expected the name of a package")
    return None if _VERSION.fullmatch(value) else Problem("expected a version, or *")


CHECKS: Mapping[str, Callable[[str, str], Problem | None]] = {
    "kernel": _setting,
    "mounts": mount_problem,
    "files": _file,
    "services": _service,
    "network": network_problem,
    "packages": _package,
}
