"""The kernel's settings (sysctl(8)) and its loaded modules.

Keys are sysctl's names, `vm.swappiness`; a dot within a part is written as a slash, as sysctl does
(`net.ipv4.conf.eth0/100.forwarding`). A module is `module:NAME` with the value `loaded`. The kernel tells nobody of a
changed setting, so they are read at intervals.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Iterator

from pact_agent.dimensions import ApplyError, Holder

_MODULE = "module:"
_MOST_BYTES = 4096
# Not settings, though they can be written: counters and clocks, what is consumed by reading, secrets, what follows a
# link's own setting, and the registrations of binfmt_misc, which are files of their own.
_LEFT_OUT = re.compile(
    r"kernel\.(ns_last_pid|cad_pid|random\..*|usermodehelper\..*)|vm\.(stat_refresh|drop_caches|compact_memory)"
    r"|fs\.binfmt_misc\..*|net\.ipv4\.tcp_fastopen_key|net\.ipv6\.conf\..*\.stable_secret|dev\.cdrom\..*"
    r"|net\.ipv[46]\.route\.flush|sunrpc\.transports|net\.ipv6\.conf\..*\.mtu"
)


class Kernel:
    """The dimension; `settings` and `modules` are where the kernel shows them."""

    name = "kernel"
    interval_s = 10.0
    lasting = False

    def __init__(self, settings: str = "/proc/sys", modules: str = "/proc/modules") -> None:
        self._settings, self._modules = settings, modules

    def snapshot(self) -> dict[str, str]:
        """Every setting that can be read and written, and every loaded module."""
        found = dict(self._read_settings())
        found.update((_MODULE + name, "loaded") for name, _ in self._read_modules())
        return found

    def _read_settings(self) -> Iterator[tuple[str, str]]:
        left = [self._settings]
        while left:
            try:
                with os.scandir(left.pop()) as entries:
                    here = list(entries)
            except OSError:
                continue  # an interface that has just gone takes its directory along
            for entry in here:
                if entry.is_dir(follow_symlinks=False):
                    left.append(entry.path)
                elif (value := _value_of(entry)) is not None:
                    key = key_of(entry.path[len(self._settings) + 1 :])
                    if not _LEFT_OUT.fullmatch(key):
                        yield key, value

    def _read_modules(self) -> Iterator[tuple[str, list[str]]]:
        """Names, and the modules that use them."""
        try:
            with open(self._modules, encoding="ascii") as lines:
                for line in lines:
                    fields = line.split()
                    yield fields[0], [user for user in fields[3].split(",") if user not in ("-", "")]
        except OSError:
            return  # a kernel without modules

    def apply(self, key: str, value: str | None) -> None:
        """Write a setting, load or unload a module. Raises `ApplyError`."""
        if key.startswith(_MODULE):
            self._switch(key.removeprefix(_MODULE), loaded=value is not None)
            return
        if value is None:
            raise ApplyError(f"{key}: a setting can't be taken away")
        parts = path_of(key).split("/")
        if not all(parts) or {".", ".."} & set(parts):
            raise ApplyError(f"{key!r} is not the name of a setting")
        path = "/".join((self._settings, *parts))
        try:
            fd = os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                os.write(fd, value.encode() + b"\n")
            finally:
                os.close(fd)
        except OSError as error:
            raise ApplyError(f"{key}: {error.strerror}") from error

    def _switch(self, name: str, *, loaded: bool) -> None:
        if not re.fullmatch(r"\w+", name):
            raise ApplyError(f"{name!r} is not the name of a module")
        if not loaded and (users := dict(self._read_modules()).get(name)):
            raise ApplyError(f"module {name} is in use", tuple(Holder(0, user, "module") for user in users))
        command = ["/sbin/modprobe", *(() if loaded else ("-r",)), "--", name]
        try:
            done = subprocess.run(command, capture_output=True, timeout=30, check=False, stdin=subprocess.DEVNULL)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ApplyError(f"module {name}: {error}") from error
        if done.returncode:
            text = done.stderr.decode(errors="replace").strip()
            raise ApplyError(f"module {name}: {text or f'modprobe ended with {done.returncode}'}")

    def watch(self, wake: Callable[[], None]) -> Callable[[], None]:  # noqa: ARG002  the kernel wakes nobody
        """Nothing to wait for: they are looked at every `interval_s`."""
        return lambda: None


def key_of(path: str) -> str:
    """The sysctl name of a path below /proc/sys.

    >>> key_of("net/ipv4/conf/eth0.100/forwarding")
    'net.ipv4.conf.eth0/100.forwarding'
    """
    return path.translate(_SWAPPED)


def path_of(key: str) -> str:
    """The other way round.

    >>> path_of("net.ipv4.conf.eth0/100.forwarding")
    'net/ipv4/conf/eth0.100/forwarding'
    """
    return key.translate(_SWAPPED)


_SWAPPED = str.maketrans("./", "/.")


def _value_of(entry: os.DirEntry[str]) -> str | None:
    """What a setting holds, None for what is no setting: a number that only informs, a switch that only acts."""
    try:
        mode = entry.stat(follow_symlinks=False).st_mode
        if not (mode & 0o222 and mode & 0o444):
            return None
        fd = os.open(entry.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
        try:
            data = os.read(fd, _MOST_BYTES)
        finally:
            os.close(fd)
    except OSError:
        return None  # not readable in this state, as a secret that was never set
    return data.decode(errors="replace").rstrip("\n")
