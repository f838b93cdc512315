"""Configuration files: content, mode, owner and links of everything below some directories, `/etc` above all.

A value is `file mode=0644 owner=0:0 size=12 sha256=…` (`keyed=…` where not everybody may read it), `dir mode=0755
owner=0:0`, `link -> TARGET`, or what else there is, by name. Contents of up to `MOST_BYTES` are kept, so that they
can be put back; of larger files only the digest is known. Extended attributes are not looked at. inotify(7) says when
something changes.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
import stat
import time
from collections.abc import Callable, Container, Iterable, Iterator

from pact_agent import kernel
from pact_agent.contents import Contents
from pact_agent.dimensions import ApplyError
from pact_agent.dimensions.inotify import Inotify
from pactsh.catalog.secrets import is_secret
from pactsh.errors import PactError

MOST_BYTES = 1 << 20
LONGEST_TEXT = 64 << 10  # of a file in an overlay
_ROOTS = ("/etc",)
_FILE = re.compile(r"file mode=([0-7]{4}) owner=(\d+):(\d+) size=(\d+) (sha256|keyed)=([0-9a-f]{64})")
_FRESH = ".pact-new"  # not made of the file's own name, which may be as long as names can be
_DIRECTORY = re.compile(r"dir mode=([0-7]{4}) owner=(\d+):(\d+)")
_KINDS = {stat.S_IFIFO: "fifo", stat.S_IFSOCK: "socket", stat.S_IFCHR: "device", stat.S_IFBLK: "device"}
# inotify(7): IN_CLOSE_WRITE, IN_ATTRIB, IN_MOVED_FROM, IN_MOVED_TO, IN_CREATE, IN_DELETE; IN_ONLYDIR, IN_DONT_FOLLOW.
_EVENTS = 0x8 | 0x4 | 0x40 | 0x80 | 0x100 | 0x200 | 0x01000000 | 0x02000000

_SETTLED_NS = 50_000_000  # file times move in steps of a scheduler tick: a younger one may not show the next change

_log = logging.getLogger(__name__)

Known = tuple[int, int, int, int]


class Files:
    """The dimension. `contents` keeps what may have to be put back."""

    name = "files"
    interval_s = 0.0
    lasting = True

    def __init__(self, contents: Contents, roots: tuple[str, ...] = _ROOTS) -> None:
        self._contents, self._roots = contents, roots
        self._digests: dict[str, tuple[Known, str]] = {}
        self._inotify = Inotify(self.name, _EVENTS)

    def snapshot(self) -> dict[str, str]:
        """Everything below the roots. Contents that are new are kept, durably on return."""
        found = {path: value for root in self._roots for path, value in self._walk(root)}
        for path in self._digests.keys() - found.keys():
            del self._digests[path]
        with contextlib.suppress(OSError):  # a full disk: then they can't be put back, as `apply` will say
            self._contents.sync()
        return found

    def lost(self, value: str | None) -> str:
        """Why a file can't be given that value again; "" when it can."""
        found = _FILE.fullmatch(value or "")
        if found is None or _content(found, self._contents) is not None:
            return ""
        return f"its content of {found[4]} bytes is not kept and can't be restored"

    @property
    def grown(self) -> int:
        """By how many bytes what is kept has grown since `forget`."""
        return self._contents.grown

    def forget(self, named: Container[str]) -> None:
        """Keep no contents but those of the digests named. Raises `OSError`."""
        self._contents.shrink(named)
        self._digests.clear()  # a look that took too long may have found what nobody named yet

    def _walk(self, root: str) -> Iterator[tuple[str, str]]:
        left = [root]
        while left:
            directory = left.pop()
            self._inotify.watch(directory)
            try:
                with os.scandir(directory) as entries:
                    here = list(entries)
            except OSError:
                continue  # it has gone meanwhile
            for entry in here:
                with contextlib.suppress(OSError):
                    info = entry.stat(follow_symlinks=False)
                    if stat.S_ISDIR(info.st_mode):
                        left.append(entry.path)
                    yield entry.path, self._value(entry.path, info)

    def _value(self, path: str, info: os.stat_result) -> str:
        owned = f"mode={stat.S_IMODE(info.st_mode):04o} owner={info.st_uid}:{info.st_gid}"
        if stat.S_ISREG(info.st_mode):
            digest = self._digest(path, info)
            hidden = not info.st_mode & stat.S_IROTH or is_secret(path, "/")
            named = f"keyed={self._contents.keyed(digest)}" if hidden else f"sha256={digest}"
            return f"file {owned} size={info.st_size} {named}"
        if stat.S_ISDIR(info.st_mode):
            return f"dir {owned}"
        if stat.S_ISLNK(info.st_mode):
            return f"link -> {os.readlink(path)}"
        return f"{_KINDS.get(stat.S_IFMT(info.st_mode), 'other')} {owned}"

    def _digest(self, path: str, info: os.stat_result) -> str:
        """Read again only what has changed since: every change moves the change time (stat(2))."""
        known = (info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns)
        before = self._digests.get(path)
        if before is not None and before[0] == known:
            return before[1]
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(fd, "rb") as file:
            if info.st_size > MOST_BYTES:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            else:
                data = file.read(MOST_BYTES + 1)
                digest = hashlib.sha256(data).hexdigest()
                with contextlib.suppress(OSError):
                    self._contents.put(data[:MOST_BYTES])
        if time.time_ns() - info.st_ctime_ns > _SETTLED_NS:
            self._digests[path] = (known, digest)
        return digest

    def keep(self, contents: Iterable[bytes]) -> None:
        """Keep these, durably on return: a file may have to be made of them. Raises `PactError`."""
        try:
            for data in contents:
                self._contents.put(data)
            self._contents.sync()
        except OSError as error:
            raise PactError(f"contents of files can't be kept: {error.strerror}") from error

    def spelled(self, path: str, wanted: str, now: str | None) -> str:
        """A wanted value as `snapshot` will have it: what not everybody may read gets this node's own digest."""
        words = dict(word.partition("=")[::2] for word in wanted.split(" "))
        there = _FILE.fullmatch(now or "")
        mode = int(words.get("mode") or (there[1] if there else "0644"), 8)
        if "sha256" not in words or (mode & stat.S_IROTH and not is_secret(path, "/")):
            return wanted
        return wanted.replace(f"sha256={words['sha256']}", f"keyed={self._contents.keyed(words['sha256'])}")

    def texts(self, values: Iterable[str]) -> dict[str, str]:
        """The texts, by SHA-256, of files with these values that everybody may read, where they are kept and are text
        of at most `LONGEST_TEXT` bytes."""
        found: dict[str, str] = {}
        for value in values:
            named = _FILE.fullmatch(value)
            if named is None or named[5] != "sha256" or int(named[4]) > LONGEST_TEXT:
                continue
            with contextlib.suppress(UnicodeDecodeError, OSError):
                if (data := self._contents.get(named[6])) is not None:
                    found[named[6]] = data.decode("utf-8")
        return found

    def apply(self, key: str, value: str | None) -> None:
        """Make a file, directory or link as it was, or take it away. Raises `ApplyError`."""
        directory, _, name = key.rpartition("/")
        if not any(key.startswith(f"{root}/") for root in self._roots) or name in {"", ".", ".."}:
            raise ApplyError(f"{key}: not a place whose files are observed")
        try:
            parent = kernel.open_plainly(directory)
        except OSError as error:
            raise ApplyError(f"{key}: {error.strerror}") from error
        try:
            _make(parent, name, value, self._contents)
        except OSError as error:
            raise ApplyError(f"{key}: {error.strerror}") from error
        finally:
            os.close(parent)

    # -- waking

    def watch(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Wake when something below the roots changes; directories that appear are watched from the next look on."""
        end = self._inotify.start(lambda _data: wake())
        wake()  # a first look, from which on all directories are watched
        return end


def _make(parent: int, name: str, value: str | None, contents: Contents) -> None:
    """What `value` says, as `name` in the directory `parent`. Raises `OSError`, `ApplyError`."""
    try:
        there: os.stat_result | None = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        there = None
    if value is None:
        if there is not None:
            (os.rmdir if stat.S_ISDIR(there.st_mode) else os.unlink)(name, dir_fd=parent)
        return
    if found := _DIRECTORY.fullmatch(value):
        if there is None or not stat.S_ISDIR(there.st_mode):
            if there is not None:
                os.unlink(name, dir_fd=parent)
            os.mkdir(name, 0o700, dir_fd=parent)
        os.chown(name, int(found[2]), int(found[3]), dir_fd=parent, follow_symlinks=False)
        _set_mode(parent, name, int(found[1], 8), os.O_DIRECTORY)
        return
    found, data = _FILE.fullmatch(value), b""
    if found is not None:
        kept = _content(found, contents)
        if kept is None:
            size = f" of {found[4]} bytes" if found[4] != "0" else ""  # a spec says the digest alone
            raise ApplyError(f"{name}: its content{size} was not kept, so it can't be put back")
        data = kept
    elif not value.startswith("link -> "):
        raise ApplyError(f"{name}: {value.partition(' ')[0]} is not made by pact")
    if there is not None and stat.S_ISDIR(there.st_mode):
        os.rmdir(name, dir_fd=parent)
    if found is None:
        _put(parent, name, lambda fresh: os.symlink(value.removeprefix("link -> "), fresh, dir_fd=parent))
        return
    mode, owner = int(found[1], 8), (int(found[2]), int(found[3]))
    _put(parent, name, lambda fresh: _write(parent, fresh, data, mode, owner))


def _content(found: re.Match[str], contents: Contents) -> bytes | None:
    """What is kept of the content of a file's value."""
    digest = found[6] if found[5] == "sha256" else contents.digest_of(found[6])
    return contents.get(digest) if digest is not None else None


def _put(parent: int, name: str, make: Callable[[str], None]) -> None:
    """Make it beside its place, then move it there: nobody ever finds half of it, nor, where it can't be moved, any."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(_FRESH, dir_fd=parent)
    try:
        make(_FRESH)
        os.rename(_FRESH, name, src_dir_fd=parent, dst_dir_fd=parent)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(_FRESH, dir_fd=parent)
        raise


def _write(parent: int, name: str, data: bytes, mode: int, owner: tuple[int, int]) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(name, flags, 0o600, dir_fd=parent), "wb") as file:
        file.write(data)
        os.fchown(file.fileno(), *owner)
        os.fchmod(file.fileno(), mode)
        file.flush()
        os.fsync(file.fileno())


def _set_mode(parent: int, name: str, mode: int, flags: int) -> None:
    fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | flags, dir_fd=parent)
    try:
        os.fchmod(fd, mode)
    finally:
        os.close(fd)
