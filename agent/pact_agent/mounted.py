"""Which directories lie on file systems that a server far away must answer for.

Looking at one of those may take for ever once its server is gone, and the agent looks for secrets
before every line, in its only thread. So this asks the kernel's list of mounts, never the directory
itself. Standard library only.
"""

from __future__ import annotations

import os
import re
import select

from pact_agent.aliases import Mount, parse_mounts

# File systems of filesystems(5) and of clusters that wait for a server; also whatever a program serves (fuse).
_REMOTE = re.compile(
    r"nfs4?|cifs|smb3|smbfs|lustre|gpfs|mmfs|beegfs|ceph|afs|9p|autofs|orangefs|pvfs2|panfs|wekafs|coda|fuse([.].+)?"
)
_MOST_LINKS = 40


def is_remote(kind: str) -> bool:
    """Whether a file system of this type waits for a server, or for a program."""
    return _REMOTE.fullmatch(kind) is not None


class RemoteMounts:
    """The mount points of such file systems, but for the root: a node whose root is gone is gone itself.

    `mounts` are all there are.
    """

    def __init__(self, mountinfo: str = "/proc/self/mountinfo") -> None:
        self._fd = os.open(mountinfo, os.O_RDONLY | os.O_CLOEXEC)
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLPRI)
        self.mounts: tuple[Mount, ...] = ()
        self._points = self._read()

    def refresh(self) -> bool:
        """Take a change of the mounts in; whether there was one."""
        if not self._poll.poll(0):
            return False
        self._points = self._read()
        return True

    def cover(self, path: str) -> bool:
        """Whether `path` (absolute) or what it links to lies on one. Looks at nothing on the way that does."""
        left, done, links = path.split("/"), "", 0
        while left:
            part = left.pop(0)
            if part in ("", "."):
                continue
            if part == "..":
                done = os.path.dirname(done).rstrip("/")
                continue
            if (here := f"{done}/{part}") in self._points:
                return True
            try:
                target = os.readlink(here)
            except OSError:
                done = here
                continue
            links += 1
            if links > _MOST_LINKS:
                return False  # leads nowhere, as the kernel will say too
            left = target.split("/") + left
            if target.startswith("/"):
                done = ""
        return False

    def _read(self) -> frozenset[str]:
        os.lseek(self._fd, 0, os.SEEK_SET)
        chunks: list[bytes] = []
        while chunk := os.read(self._fd, 1 << 16):
            chunks.append(chunk)
        self.mounts = parse_mounts(os.fsdecode(b"".join(chunks)))
        return frozenset(mount.point for mount in self.mounts if is_remote(mount.kind)) - {"/"}
