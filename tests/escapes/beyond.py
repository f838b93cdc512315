"""What a command that misbehaves can still do, because the kernel alone can't stop it.

docs/security.md has the same table under the heading of the same name. Each row is tried: what is listed here has
to be what really happens, and what a change of the sandbox closes has to go from both.
"""

from __future__ import annotations

from typing import NamedTuple

HEADING = "What the kernel alone can't stop"


class Beyond(NamedTuple):
    """`who`, `what` and `why` are the document's columns; `name` is for the tests."""

    name: str
    who: str
    what: str
    why: str


BEYOND = (
    Beyond("reads", "every command", "reads whatever root may and no mask covers, also where no form of it reads "
           "(`date -f`, `dmesg -F`)", "Landlock allows by tree, and what is looked for may be anywhere"),
    Beyond("hard-link", "every command", "opens a secret by another name that somebody else made: a hard link, a "
           "directory that was renamed", "a mask covers a place, not the file that lies there"),
    Beyond("replaced", "a command that goes on running", "opens a secret that is replaced meanwhile",
           "rename(2) takes the mask away with the old file; only commands that start later have the new view"),
    Beyond("outliving", "every command", "outlives an agent that is killed, as a child in a session of its own",
           "the parent-death signal goes to children alone; control groups, where there are any, end it when the "
           "agent starts again"),
    Beyond("unconfined", "`chronyc` where it asks through its socket", "opens secrets, changes modes and removes "
           "names of root's files", "it makes a socket of its own and opens that to chronyd, which no Landlock domain "
           "with masks allows; it opens nothing for writing and signals nobody"),
    Beyond("mounting", "`mount umount swapon`, `swapoff -a` and of a file",
           "mounts anything anywhere, writes any file", "mount(2) is refused within a Landlock domain"),
    Beyond("swapping", "`swapoff` of a device", "writes any device, and so any file",
           "swapoff(2) opens the area for writing, within the caller's domain, and may be given any"),
    Beyond("trace", "`lsof`, `ss -p`", "reads other processes' environment and memory and, through "
           "`/proc/PID/root`, secrets",
           "no Landlock domain sees other processes, and the masks are not in theirs"),
    Beyond("kill", "`kill pkill`", "signals any process", "the kernel does not know which is meant; the agent "
           "looks at the numbers"),
    Beyond("sockets", "`id ls stat ps top htop w who getent`, `find -user`", "talks to any unix socket that no mask "
           "covers", "names of users come from such sockets, and Landlock does not know them by path"),
    Beyond("network", "`ip ss dig host ping traceroute` and others with the network", "sends anything to any address",
           "a filter does not see addresses"),
    Beyond("packets", "`ping traceroute`", "reads all packets of the node", "CAP_NET_RAW is for that as well"),
    Beyond("network-admin", "changing forms of `ip ethtool`; of class `read`: `ethtool -d -e -m`",
           "changes any setting of the network", "CAP_NET_ADMIN is not divided"),
    Beyond("sysctl", "`sysctl -w`", "sets any key, `kernel.core_pattern` too", "one tree of files is granted, the key "
           "is an argument"),
    Beyond("helpers", "`rocm-smi`", "runs any program that it can read", "it starts helpers, so the filter lets exec "
           "pass, and their loader is a program for files"),
    Beyond("devices", "`ipmitool nvidia-smi rocm-smi cxi_stat ibv_devinfo perfquery`", "writes to the devices it is "
           "granted: GPUs, adapters, the management controller", "their ioctl(2) calls need them open for writing"),
)  # fmt: skip

FINDINGS = {
    "replaced": "the mask could be put into the running commands' view as well",
    "outliving": "where the agent runs in a unit of its own, systemd ends what is left in its control group",
    "network-admin": "ethtool's reading forms could lose the capability on cards that don't ask for it",
}
"""Rows that a change of the agent or the catalog could close: how. They stay listed until it is made."""
