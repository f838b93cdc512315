"""Our own Python programs as contained processes: `pactsh` for a remote session, `pact` inside one.

They get a connected socket on which the agent already knows who is at the other end
(`PACT_SESSION_FD`), no capabilities, no second exec, no network, no writing, and may read
only what an interpreter needs; directories may be listed for path completion.
"""

from __future__ import annotations

import os
import pwd
import stat
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

import pactsh
from pact_agent.io import Terminal
from pact_agent.sandbox import Plan
from pact_agent.spawnclient import StageSpec

SESSION_FD = 3


class Tools:
    """Builds stages for our own programs, run as `user` where that user can reach the interpreter."""

    def __init__(self, user: str) -> None:
        self._read = interpreter_paths()
        self.uid, self.gid = unprivileged(user, self._read)

    def stage(
        self,
        module: str,
        args: Sequence[str],
        *,
        stdio: tuple[int, int, int],
        session_index: int,
        env: dict[str, str],
        terminal: Terminal | None,
    ) -> StageSpec:
        """A stage that runs `module.main()` with `args`; `session_index` is the socket's place in the job's fds."""
        source = str(Path(pactsh.__file__).resolve().parent.parent)
        packages = list(dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib")))
        # Without `site` (-S) the start is shorter, and no .pth file adds code of its own.
        code = (
            f"import sys; sys.path[:] = [{source!r}, *sys.path, *{packages!r}]\n"
            f"import {module} as program; sys.exit(program.main())"
        )
        plan = Plan(
            read=self._read,
            caps=(),
            masked=False,
            terminal=terminal is not None,
            listing=True,
            uid=self.uid,
            gid=self.gid,
        )
        return StageSpec(
            path=os.path.realpath(sys.executable) if not _in_venv() else sys.executable,
            argv=(sys.executable, "-ISXutf8", "-c", code, *args),
            env=env | {"PACT_SESSION_FD": str(SESSION_FD)},
            cwd="/",
            plan=plan,
            stdio=stdio,
            keep={str(SESSION_FD): session_index},
        )


def _in_venv() -> bool:
    return sys.prefix != sys.base_prefix


def interpreter_paths() -> tuple[str, ...]:
    """What this interpreter and our programs read: prefixes, shared libraries, locale, terminfo, users' names."""
    paths = {
        sys.prefix,
        sys.base_prefix,
        str(Path(pactsh.__file__).resolve().parent),
        *(sysconfig.get_paths()[key] for key in ("stdlib", "platstdlib", "purelib", "platlib")),
        "/usr", "/lib", "/lib64", "/bin", "/etc/ld.so.cache", "/etc/passwd", "/etc/group", "/etc/nsswitch.conf",
        "/etc/localtime", "/etc/terminfo", "/etc/inputrc", "/etc/host.conf", "/etc/hosts", "/proc/self",
        "/proc/meminfo",
        "/proc/cpuinfo", "/proc/stat", "/sys/devices/system/cpu",
    }  # fmt: skip
    return tuple(sorted(p for p in paths if os.path.exists(p)))


def unprivileged(user: str, needed: Sequence[str]) -> tuple[int | None, int | None]:
    """The uid and gid of `user`, or (None, None) when the interpreter lies where that user can't go.

    Without them the program keeps the agent's uid, but no capability, and the same sandbox.
    """
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        return None, None
    for path in needed:
        for directory in (Path(path), *Path(path).resolve().parents):
            mode = directory.stat().st_mode
            if stat.S_ISDIR(mode) and not mode & stat.S_IXOTH:
                return None, None
    return entry.pw_uid, entry.pw_gid
