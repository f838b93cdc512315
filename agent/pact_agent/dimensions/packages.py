"""Installed packages: what dpkg(1) and rpm(8) have on record.

Keys are names, with the architecture where it is not the machine's own (`libc6:i386`, `glibc.i686`). What rpm has in
several versions at once, as kernels, has one key each: `kernel-core-5.14.0-427.el9.x86_64`. Values are versions; after
them the state where that is not plainly installed: `1.2-3 half-configured`, `1.2-3 hold`. Of a machine with both
databases, keys of the one that is not its own are marked: `rpm:NAME`, `deb:NAME`. inotify(7) says when one changes.

Packages are reported only. What their scripts did can't be undone, so pact says what to do and does not do it.
"""

from __future__ import annotations

import logging
import os
import re
import shlex
import struct
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from pact_agent.dimensions import ApplyError
from pact_agent.dimensions.inotify import Inotify
from pactsh.errors import PactError

_DPKG = "var/lib/dpkg"
_RPM = ("usr/lib/sysimage/rpm", "var/lib/rpm", "usr/share/rpm")
_RPM_FILES = ("rpmdb.sqlite", "rpmdb.sqlite-wal", "Packages.db", "Packages")
_PROGRAMS = ("/usr/bin/rpm", "/bin/rpm")
_QUERY = r"%{NAME}\t%{ARCH}\t%|EPOCH?{%{EPOCH}:}:{}|%{VERSION}-%{RELEASE}\n"
_TIMEOUT_S = 8.0  # within the time a look may take
# What dnf.conf(5) and zypper install beside the version that is there: installonlypkgs, multiversion.
_SEVERAL = re.compile(r"gpg-pubkey|kernel(-(core|uki-virt|modules(-\w+)*|devel|default|preempt|rt(-\w+)*|64k(-\w+)*))?")
_FIELD = re.compile(r"\n(Package|Status|Architecture|Version): ([^\n]*)")
_RPM_FOREIGN = re.compile(r"(.+)\.(i[3-6]86|armv7hl|s390|ppc)")

# inotify(7): IN_MODIFY, IN_MOVED_TO, IN_DELETE_SELF, IN_MOVE_SELF; IN_ONLYDIR. Not what a reader causes: each look
# would be followed by another.
_EVENTS = 0x2 | 0x80 | 0x400 | 0x800 | 0x01000000
_EVENT = struct.Struct("iIII")
_TELLING = frozenset({b"status", *map(str.encode, _RPM_FILES), b""})  # without a name: of the directory itself

_SETTLED_NS = 50_000_000  # file times move in steps of a scheduler tick: a younger one may not show the next change

_log = logging.getLogger(__name__)

Stamp = tuple[tuple[int, int, int, int] | None, ...]


class Package(NamedTuple):
    """One that is installed; `state` is empty where there is nothing to say."""

    name: str
    architecture: str
    version: str
    state: str = ""


class Packages:
    """The dimension, of the system below `root`; the first of `programs` that is there is asked for rpm's database."""

    name = "packages"
    interval_s = 0.0
    lasting = True

    def __init__(self, root: str = "/", programs: tuple[str, ...] = _PROGRAMS, timeout_s: float = _TIMEOUT_S) -> None:
        self._root, self._programs, self._timeout_s = root.rstrip("/"), programs, timeout_s
        self._known: dict[str, tuple[Stamp, list[Package]]] = {}
        self._inotify = Inotify(self.name, _EVENTS)

    def snapshot(self) -> dict[str, str]:
        """Every installed package. Raises `PactError` when a database can't be read."""
        debs, rpms = self._debs(), self._rpms()
        own_debs = _is_debian(debs, rpms)
        found = {("" if own_debs else "deb:") + key: value for key, value in _deb_values(debs)}
        found.update((("rpm:" if own_debs else "") + key, value) for key, value in _rpm_values(rpms))
        return found

    def _debs(self) -> list[Package]:
        status = f"{self._root}/{_DPKG}/status"
        self._inotify.watch(f"{self._root}/{_DPKG}")

        def read() -> list[Package]:
            try:
                with open(status, encoding="utf-8", errors="replace") as file:
                    return list(parse_status(file.read()))
            except FileNotFoundError:
                return []
            except OSError as error:
                raise PactError(f"{status}: {error.strerror}") from error

        return self._once(status, (status,), read)

    def _rpms(self) -> list[Package]:
        program = next((path for path in self._programs if os.access(path, os.X_OK)), None)
        places = (f"{self._root}/{place}" for place in _RPM)
        # rpm would make a database where there is none.
        directory = next((p for p in places if any(os.path.exists(f"{p}/{name}") for name in _RPM_FILES)), None)
        if program is None or directory is None:
            return []
        self._inotify.watch(directory)
        files = tuple(f"{directory}/{name}" for name in _RPM_FILES)
        return self._once(directory, files, lambda: list(parse_query(_queried(program, directory, self._timeout_s))))

    def _once(self, place: str, files: tuple[str, ...], read: Callable[[], list[Package]]) -> list[Package]:
        """Read again only when one of the files has changed."""
        stamp = tuple(_stamp(path) for path in files)
        known = self._known.get(place)
        if known is not None and known[0] == stamp:
            return known[1]
        packages = read()
        if all(time.time_ns() - part[3] > _SETTLED_NS for part in stamp if part is not None):
            self._known[place] = (stamp, packages)
        return packages

    def apply(self, key: str, value: str | None) -> None:
        """Raise `ApplyError`, which says what somebody would have to do."""
        debs, rpms = self._debs(), self._rpms()
        prefix, _, name = key.rpartition(":") if key.startswith(("deb:", "rpm:")) else ("", "", key)
        if prefix == "deb" or (not prefix and _is_debian(debs, rpms)):
            command = _apt(name, value, dict(_deb_values(debs)).get(name, ""))
        else:
            command = _dnf(name, value, is_suse=os.path.exists(f"{self._root}/usr/bin/zypper"))
        raise ApplyError(f"{key}: packages are not changed by pact; by hand: {command}")

    # -- waking

    def watch(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Wake when a database changes; one that is made later is watched from the next look on."""

        def told(data: bytes) -> None:
            if not _TELLING.isdisjoint(_names(data)):
                wake()

        end = self._inotify.start(told)
        for place in (_DPKG, *_RPM):
            self._inotify.watch(f"{self._root}/{place}")
        return end


def parse_status(text: str) -> Iterator[Package]:
    r"""What dpkg's status file says is there, in part or whole (dpkg-query(1) has the states).

    What dpkg is in the middle of is not in it: that shows when dpkg is done.

    >>> list(parse_status("Package: a\nStatus: hold ok installed\nArchitecture: all\nVersion: 1:2-3\n"))
    [Package(name='a', architecture='all', version='1:2-3', state='hold')]
    >>> list(parse_status("Package: a\nStatus: deinstall ok config-files\nArchitecture: all\nVersion: 1\n"))
    []
    """
    for stanza in text.split("\n\n"):
        fields = dict(_FIELD.findall(f"\n{stanza}"))
        want, flag, state = (fields.get("Status", "").split() + [""] * 3)[:3]
        if state in {"", "not-installed", "config-files"}:
            continue
        words = ["hold"] if want == "hold" else []
        words += [word for word, plain in ((flag, "ok"), (state, "installed")) if word != plain]
        yield Package(
            fields.get("Package", ""), fields.get("Architecture", ""), fields.get("Version", ""), " ".join(words)
        )


def parse_query(text: str) -> Iterator[Package]:
    r"""What `rpm` answered: name, architecture and version by tabs, a line each.

    >>> list(parse_query("bash\tx86_64\t5.1.8-9.el9\n"))
    [Package(name='bash', architecture='x86_64', version='5.1.8-9.el9', state='')]
    """
    for line in text.splitlines():
        parts = line.split("\t")
        if len(parts) == 3:
            yield Package(parts[0], "noarch" if parts[1] == "(none)" else parts[1], parts[2])


def _queried(program: str, directory: str, timeout_s: float) -> str:
    command = (program, "--dbpath", directory, "--nodigest", "--nosignature", "-qa", "--qf", _QUERY)
    clean = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/", "LC_ALL": "C.UTF-8"}
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=timeout_s, check=False, stdin=subprocess.DEVNULL, env=clean, cwd="/"
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PactError(f"packages: rpm: {error}") from error
    if done.returncode:
        text = done.stderr.decode(errors="replace").strip()
        raise PactError(f"packages: {text or f'rpm ended with {done.returncode}'}")
    return done.stdout.decode(errors="replace")


def _stamp(path: str) -> tuple[int, int, int, int] | None:
    try:
        info = os.stat(path)
    except OSError:
        return None
    return (info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns)


def _is_debian(debs: list[Package], rpms: list[Package]) -> bool:
    """Whether dpkg made the system: then it is a package itself (Essential), whatever rpm has beside."""
    return not rpms or any(package.name == "dpkg" for package in debs)


def _own_architecture(packages: Iterable[Package], manager: str) -> str:
    """The machine's: that of the package manager, else of most packages."""
    known = [p for p in packages if p.architecture not in {"all", "noarch", ""}]
    counted = Counter(p.architecture for p in known)
    most = counted.most_common(1)[0][0] if counted else ""
    return next((p.architecture for p in known if p.name == manager), most)


def _deb_values(packages: list[Package]) -> Iterator[tuple[str, str]]:
    own = {"all", "", _own_architecture(packages, "dpkg")}
    for package in packages:
        key = package.name if package.architecture in own else f"{package.name}:{package.architecture}"
        yield key, f"{package.version} {package.state}".strip()


def _rpm_values(packages: list[Package]) -> Iterator[tuple[str, str]]:
    own = {"noarch", _own_architecture(packages, "rpm")}
    counted = Counter((p.name, p.architecture) for p in packages)
    for name, architecture, version, _ in packages:
        if counted[name, architecture] > 1 or _SEVERAL.fullmatch(name):
            yield f"{name}-{version}" + ("" if name == "gpg-pubkey" else f".{architecture}"), version
        else:
            yield name if architecture in own else f"{name}.{architecture}", version


def _apt(name: str, value: str | None, actual: str) -> str:
    """What makes a Debian package have a value, in a shell."""
    if value is None:
        return shlex.join(("apt-get", "remove", name))
    version, *state = value.split()
    there, *states = actual.split() or [""]
    hold = shlex.join(("apt-mark", "hold", name))
    if version != there:
        wanted = name if version == "*" else f"{name}={version}"
        command = shlex.join(("apt-get", "install", "--allow-downgrades", wanted))
        return f"{command} && {hold}" if "hold" in state else command
    if ("hold" in state) == ("hold" in states):
        return "dpkg --configure -a"
    return hold if "hold" in state else shlex.join(("apt-mark", "unhold", name))


def _dnf(name: str, value: str | None, *, is_suse: bool) -> str:
    """The same for one of rpm; `dnf install` of a version goes down as well as up."""
    if name.startswith("gpg-pubkey-"):
        return shlex.join(("rpm", "-e", name)) if value is None else "rpm --import, with the file of that key"
    tool = "zypper" if is_suse else "dnf"
    if value is None:
        return shlex.join((tool, "remove", name))
    if value == "*" or f"-{value}." in name:
        return shlex.join((tool, "install", name))
    if is_suse:
        return shlex.join((tool, "install", "--oldpackage", f"{name}={value}"))
    foreign = _RPM_FOREIGN.fullmatch(name)
    return shlex.join((tool, "install", f"{foreign[1]}-{value}.{foreign[2]}" if foreign else f"{name}-{value}"))


def _names(data: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(data):
        *_, length = _EVENT.unpack_from(data, at)
        at += _EVENT.size
        yield data[at : at + length].rstrip(b"\0")
        at += length
