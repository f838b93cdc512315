"""The masked mount namespace: a node's file system without its secrets.

Built once by the spawner and kept by a descriptor; a contained process enters it with
setns(2), which costs microseconds. It is a slave of the node's own namespace, so later
mounts show up in it and nothing done in it shows outside. A masked file is covered with
a device node on a `nodev` mount, so that opening it says EACCES rather than looking empty;
a masked directory is covered with an empty, read-only one, a socket with one that nobody
listens on. Standard library only.
"""

from __future__ import annotations

import fnmatch
import glob
import os
import stat
import time

from pact_agent import kernel
from pact_agent.aliases import aliases
from pact_agent.mounted import RemoteMounts

# DESIGN.md section 4 and the hazards table "files that no reader may open".
SECRETS = (
    "/etc/shadow", "/etc/shadow-", "/etc/gshadow", "/etc/gshadow-", "/etc/master.passwd", "/etc/sudoers",
    "/etc/sudoers.d", "/etc/security/opasswd", "/var/backups/*shadow*", "/root",
    *(
        f"/home/*/{name}"
        for name in (
            ".ssh", ".aws", ".kube", ".gnupg", ".docker", ".azure", ".password-store", ".config", ".bash_history",
            ".zsh_history", ".sh_history", ".history", ".python_history", ".mysql_history", ".psql_history",
            ".sqlite_history", ".node_repl_history", ".rediscli_history", ".lesshst", ".viminfo", ".netrc", ".pgpass",
            ".my.cnf", ".git-credentials", ".vault-token",
        )
    ),
    "/etc/ssh/ssh_host_*_key", "/etc/ssl/private", "/etc/pki/*/private", "/etc/letsencrypt/live",
    "/etc/letsencrypt/archive", "/etc/letsencrypt/keys", "/etc/pact", "/etc/wireguard", "/etc/munge", "/var/lib/munge",
    "/etc/krb5.keytab", "/var/lib/krb5kdc", "/etc/cryptsetup-keys.d", "/etc/credstore", "/etc/credstore.encrypted",
    "/usr/lib/credstore", "/etc/ldap.secret", "/etc/*_ldap.secret", "/etc/kubernetes", "/var/lib/kubelet",
    "/var/lib/etcd", "/var/lib/rancher", "/etc/rancher", "/etc/ipa/nssdb", "/var/lib/ipa", "/var/lib/gdm",
    "/etc/slurm/slurmdbd.conf", "/etc/slurm/jwt*.key", "/var/spool/slurm/statesave", "/etc/sssd", "/var/lib/sss/db",
    "/var/lib/sss/secrets", "/etc/snmp/snmpd.conf", "/var/lib/snmp", "/etc/powerman", "/etc/conman.conf",
    "/etc/wpa_supplicant/wpa_supplicant.conf", "/boot/grub/user.cfg", "/boot/grub2/user.cfg",
    "/etc/NetworkManager/system-connections", "/run/NetworkManager/system-connections", "/run/secrets",
    "/run/credentials", "/run/credstore", "/run/user/*/gnupg", "/run/user/*/keyring", "/run/user/*/credentials",
    "/var/lib/systemd/credential.secret", "/var/lib/systemd/random-seed",
    "/var/lib/pact", "/run/pact", "/sys/kernel/debug", "/sys/kernel/tracing", "/proc/kcore", "/proc/kallsyms",
    "/proc/sysrq-trigger", "/proc/timer_list", "/proc/keys", "/proc/vmcore",
    # Sockets behind which root can do everything, for commands that may reach sockets at all.
    "/run/systemd/private", "/run/dbus/system_bus_socket", "/run/docker.sock", "/run/containerd/containerd.sock",
    "/run/crio/crio.sock", "/run/podman/podman.sock", "/run/libvirt/libvirt-sock", "/run/snapd.socket",
)  # fmt: skip
_SETTLED_NS = 50_000_000  # file times move in steps of a scheduler tick: a younger one may not show the next change


class SecretPaths:
    """Which of the secrets exist, kept up to date cheaply: directories are read again only when their
    change times say that something appeared, went or was replaced."""

    def __init__(self, extra: tuple[str, ...] = ()) -> None:
        self._patterns = (*SECRETS, *extra)
        self._seen: dict[str, int] = {}
        self._found: tuple[str, ...] | None = None
        self._files: tuple[tuple[int, int, int], ...] = ()
        self._remote = RemoteMounts()
        self.generation = 0

    def current(self) -> tuple[str, ...]:
        """The real paths that exist now, sorted. `generation` moves on when they, or the files that bear these
        names, are others: a mask goes with the file it covers, and rename(2) puts a new one in its place."""
        mounted = self._remote.refresh()  # a bind mount may show a secret at another place
        if mounted or self._found is None or any(_changed_at(d) != at for d, at in self._seen.items()):
            now = time.time_ns()
            found, directories = self._search()
            directories |= {os.path.dirname(path) for path in found}
            seen = {d: _changed_at(d) for d in directories}
            self._seen = {d: -1 if 0 <= now - at < _SETTLED_NS else at for d, at in seen.items()}
            files = tuple(_identity(path) for path in found)
            if (found, files) != (self._found, self._files):
                self.generation += 1
            self._found, self._files = found, files
        return self._found

    def _search(self) -> tuple[tuple[str, ...], set[str]]:
        """The secrets that exist, and every directory whose entries decide that, down to the nearest that exists."""
        found: set[str] = set()
        directories: set[str] = set()
        for pattern in self._patterns:
            parent, name = os.path.split(pattern)
            parents = self._local(parent, directories) if _is_glob(parent) else [parent]
            if not _is_glob(parent) and parent != "/":
                directories.add(os.path.dirname(parent))
            for place in parents:
                directories.add(place)
                path = f"{place.rstrip('/')}/{name}"
                for one in glob.glob(f"{glob.escape(place)}/{name}") if _is_glob(name) else (path,):
                    if _is_glob(parent):
                        found |= self._plain(one)
                    elif os.path.lexists(one):
                        found.add(os.path.realpath(one))
        elsewhere = {place for path in found for place in aliases(path, self._remote.mounts)}
        found |= {place for place in elsewhere if not self._remote.cover(place) and os.path.lexists(place)}
        return tuple(sorted(found)), directories

    def _plain(self, path: str) -> set[str]:
        """A secret in somebody's own directory, if it is there and no link: where a link leads is theirs to say, and
        a mask there would hide whatever they like from administrators."""
        home = os.path.dirname(path)
        try:
            if self._remote.cover(path) or stat.S_ISLNK(os.lstat(path).st_mode):
                return set()
            if stat.S_ISLNK(os.lstat(home).st_mode) and os.lstat(home).st_uid != 0:
                return set()
        except OSError:
            return set()
        return {os.path.join(os.path.realpath(home), os.path.basename(path))}

    def _local(self, pattern: str, directories: set[str]) -> list[str]:
        """The directories of `pattern` (`/home/*`) that no server far away has to answer for."""
        above = os.path.dirname(pattern)
        if self._remote.cover(above):
            return []
        directories.add(above)
        # The names alone: glob(3) would look at each of them, wherever it lies.
        try:
            names = [name for name in os.listdir(above) if fnmatch.fnmatchcase(name, os.path.basename(pattern))]
        except OSError:
            return []
        return [path for name in names if not self._remote.cover(path := f"{above.rstrip('/')}/{name}")]


def _identity(path: str) -> tuple[int, int, int]:
    """What tells a file from another of the same name; a directory's contents are no concern of its mask."""
    try:
        info = os.lstat(path)
    except OSError:
        return (0, 0, 0)
    return (info.st_dev, info.st_ino, 0 if stat.S_ISDIR(info.st_mode) else info.st_ctime_ns)


def _is_glob(pattern: str) -> bool:
    return any(c in pattern for c in "*?[")


def _changed_at(directory: str) -> int:
    try:
        return os.stat(directory).st_ctime_ns
    except OSError:
        return 0


def build(secrets: tuple[str, ...], scratch: str) -> int:
    """Build a namespace with `secrets` masked and return its descriptor.

    `scratch` is an existing empty directory; a tmpfs covers it inside the namespace.
    Raises `OSError` where mount namespaces aren't allowed.
    """
    ready_read, ready_write = os.pipe()
    go_read, go_write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(go_write)
        status = 1
        try:
            _populate(secrets, scratch)
            os.write(ready_write, b"y")
            os.read(go_read, 1)
            status = 0
        except OSError as error:
            os.write(ready_write, f"{error.errno or 1}".encode())
        finally:
            os._exit(status)
    os.close(ready_write)
    os.close(go_read)
    try:
        answer = os.read(ready_read, 16)
        if answer != b"y":
            number = int(answer or b"1")
            raise OSError(number, os.strerror(number))
        return os.open(f"/proc/{child}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(ready_read)
        os.close(go_write)
        os.waitpid(child, 0)


def _populate(secrets: tuple[str, ...], scratch: str) -> None:
    kernel.unshare(kernel.CLONE_NEWNS)
    kernel.mount("none", "/", None, kernel.MS_REC | kernel.MS_SLAVE)
    kernel.mount(
        "pact-masks",
        scratch,
        "tmpfs",
        kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC,
        "size=64k,mode=0755",
    )
    denied, empty, dead = f"{scratch}/denied", f"{scratch}/empty", f"{scratch}/dead"
    os.mknod(denied, stat.S_IFCHR, os.makedev(0, 0))
    os.mkdir(empty, 0o555)
    os.mknod(dead, stat.S_IFSOCK)
    # By descriptor: a mask may come to cover the directory these stand in.
    denied, empty, dead, itself = (
        f"/proc/self/fd/{os.open(path, os.O_PATH | os.O_CLOEXEC)}" for path in (denied, empty, dead, scratch)
    )
    for path in sorted(secrets, key=len, reverse=True):
        try:
            mode = os.lstat(path).st_mode
        except OSError:
            continue
        directory = stat.S_ISDIR(mode)
        kernel.mount(empty if directory else dead if stat.S_ISSOCK(mode) else denied, path, None, kernel.MS_BIND)
        flags = kernel.MS_BIND | kernel.MS_REMOUNT | kernel.MS_NODEV | kernel.MS_NOSUID | kernel.MS_NOEXEC
        kernel.mount("none", path, None, flags | (kernel.MS_RDONLY if directory else 0))
    kernel.detach(itself)  # it lives on below its masks, and is no file system that `df` should show
