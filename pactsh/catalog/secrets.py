"""Paths that no command may read, judged by their text alone.

The kernel sandbox masks secrets whatever name they are reached by; this check comes first,
so that the obvious attempt gets a plain answer and a journal entry. It resolves `.`, `..`
and `//` by text, never touches the file system, and therefore is no oracle.
"""

from __future__ import annotations

import re

LONGEST_PATH = 4096  # PATH_MAX of limits.h; longer ones lead nowhere, and looking at them would take long
_TREES = (
    r"/root",
    r"(/.+)?/\.(ssh|aws|kube|gnupg|docker|azure|password-store)",
    r"(/.+)?/\.config/(gcloud|gh|pact/auth|[^/]+/auth)",
    r"/etc/(ssl/private|pki/(tls|[^/]+)/private|letsencrypt/(live|archive|keys)|sudoers\.d)",
    r"/(etc|run)/pact/(ca|tls|keys)|/var/lib/pact",
    r"/etc/kubernetes|/var/lib/(kubelet|etcd|rancher)|/etc/rancher",
    r"/etc/(wireguard|munge|cryptsetup-keys\.d|credstore(\.encrypted)?|sssd|ipa/nssdb)",
    r"/usr/lib/credstore|/var/spool/slurm/statesave|/var/lib/(munge|sss/(db|secrets)|krb5kdc|ipa|gdm)",
    r"/etc/NetworkManager/system-connections|/run/NetworkManager/system-connections",
    r"/run/(secrets|credentials|credstore|user/[^/]+/(gnupg|keyring|credentials))",
    r"/proc/[^/]+/(fd|root|cwd|map_files)|/proc/[^/]+/task/[^/]+/(fd|root|cwd)",
    r"/dev/fd|/sys/kernel/(debug|tracing)",
)
_FILES = (
    r"/etc/(g?shadow[-~.]?.*|master\.passwd|sudoers|security/opasswd|krb5\.keytab|.*ldap\.secret)",
    r"/var/backups/g?shadow.*",
    r"(/.+)?/(\.netrc|\.pgpass|\.my\.cnf|\.git-credentials|\.vault-token|\.[a-z_]*history|\.lesshst|\.viminfo)",
    r"/etc/ssh/ssh_host_[^/]*_key",
    r"(/.+)?/(id_(rsa|dsa|ecdsa|ed25519)(_sk)?|[^/]+\.(key|keytab|p12|pfx|jks))",
    r"/etc/pact/(.+/)?[^/]*(token|secret)[^/]*",
    r"(/.+)?/(jwt_hs256\.key|slurmdbd\.conf|wpa_supplicant\.conf|shadow\.db)",
    r"/boot/grub2?/user\.cfg|/etc/(snmp/snmpd\.conf|ipmi.*/.*pass.*|powerman/.*|conman\.conf)",
    r"/var/lib/systemd/(credential\.secret|random-seed)|/var/lib/snmp/.*",
    r"/proc/[^/]+/(task/[^/]+/)?(environ|mem|maps|smaps|smaps_rollup|numa_maps|stack|syscall|pagemap|auxv|exe)",
    r"/proc/(kcore|kmsg|kpagecount|kpageflags|kpagecgroup|sysrq-trigger|keys|key-users|kallsyms|timer_list|vmcore)",
    r"/dev/(?!null$).*",
    r"/sys/(.+/)?(resource\d*(_wc)?|rom)",
)
_TREE = re.compile("(?:" + "|".join(_TREES) + r")(?:/.*)?", re.DOTALL)
_FILE = re.compile("|".join(_FILES), re.DOTALL)
_UNWALKED = re.compile(r"/|/(proc|sys|dev)(/.*)?", re.DOTALL)


def normalise(path: str, cwd: str) -> str:
    """The absolute form of `path` by text: `.`, `..` and `//` resolved, /var/run as /run.

    >>> normalise("../etc//shadow", "/var")
    '/etc/shadow'
    """
    kept: list[str] = []
    for part in (path if path.startswith("/") else f"{cwd}/{path}").split("/"):
        if part == "..":
            if kept:
                kept.pop()
        elif part not in ("", "."):
            kept.append(part)
    if kept[:2] == ["var", "run"]:
        del kept[0]
    return "/" + "/".join(kept)


def is_secret(path: str, cwd: str) -> bool:
    """Whether the contents of `path` are off limits."""
    if len(path) > LONGEST_PATH:
        return True
    plain = normalise(path, cwd)
    return bool(_TREE.fullmatch(plain) or _FILE.fullmatch(plain))


def is_hidden(path: str, cwd: str) -> bool:
    """Whether even names and metadata at `path` are off limits: secret directories."""
    return len(path) > LONGEST_PATH or bool(_TREE.fullmatch(normalise(path, cwd)))


def is_unwalkable(path: str, cwd: str) -> bool:
    """Whether a recursive reader may not start at `path`: it would reach devices or /proc."""
    return len(path) > LONGEST_PATH or bool(_UNWALKED.fullmatch(normalise(path, cwd)))
