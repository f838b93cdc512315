"""The machine and what it runs: kernel, command line, boot time, distribution, maker."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from pact_agent.capabilities.tree import fields, read_text
from pact_agent.clock import timestamp
from pactsh.model.capability import System

_BOOT = re.compile(r"^btime (\d{1,10})$", re.MULTILINE)
# Names whose values are left out; `key` but for keyboards.
_NAMES = r"pass|pwd|pw\b|psk|secret|token|cred|auth|key(?!map|board)|cookie|private|setenv"
_SECRET = re.compile(_NAMES, re.IGNORECASE)
_INSIDE = re.compile(rf"(?:{_NAMES})[\w.-]*[=:]", re.IGNORECASE)  # in the value of another: rootflags=password=X
_USERINFO = re.compile(r"(?<=://)[^/@\s]*@|(?<=iscsi:)[^@\s]*@")
_QUERY = re.compile(r"(?<=\?)\S*")
LEFT_OUT = "[not shown]"


def system(root: Path) -> System:
    """From /proc, /etc/os-release (os-release(5)) and /sys/class/dmi."""
    found = _BOOT.search(read_text(root / "proc/stat") or "")
    release = _release(root)
    dmi = root / "sys/class/dmi/id"
    line = read_text(root / "proc/cmdline")
    return System(
        kernel=read_text(root / "proc/sys/kernel/osrelease"),
        command_line=None if line is None else without_secrets(line),
        boot_time=timestamp(datetime.fromtimestamp(int(found[1]), UTC)) if found else None,
        os=release.get("PRETTY_NAME"),
        os_id=release.get("ID"),
        os_version=release.get("VERSION_ID"),
        vendor=read_text(dmi / "sys_vendor"),
        product=read_text(dmi / "product_name"),
        firmware=read_text(dmi / "bios_version"),
    )


def _release(root: Path) -> dict[str, str]:
    text = read_text(root / "etc/os-release") or read_text(root / "usr/lib/os-release") or ""
    values: dict[str, str] = {}
    for name, value in fields(text, "=").items():
        try:
            values[name] = " ".join(shlex.split(value))
        except ValueError:  # a quote that never ends
            continue
    return values


def without_secrets(line: str) -> str:
    """A kernel's command line without the values of what is named like a secret, and what URLs may hold of them.

    >>> without_secrets("ro root=UUID=1f iscsi_password=hunter2 url=http://joe:x@boot/img?sig=1 -- --token abc")
    'ro root=UUID=1f iscsi_password=[not shown] url=http://[not shown]@boot/img?[not shown] -- --token [not shown]'
    """
    return " ".join(_shown(line))


def without_userinfo(text: str) -> str:
    """A text without who signs in, and with what, in the URLs in it."""
    return _USERINFO.sub(f"{LEFT_OUT}@", text)


def _shown(line: str) -> Iterator[str]:
    hides_next = False
    for word in re.findall(r'(?:[^\s"]|"[^"]*"?)+', line):  # the kernel's own quoting: "a b" is one value
        name, has, value = word.strip('"').partition("=")
        is_secret = _SECRET.search(name) is not None
        if hides_next and not word.startswith("-"):
            yield LEFT_OUT
        elif has and (is_secret or _INSIDE.search(value)):
            yield f"{name}={LEFT_OUT}"
        else:
            yield _QUERY.sub(LEFT_OUT, without_userinfo(word))
        hides_next = is_secret and not has and word.startswith("--")
