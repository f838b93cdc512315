"""What the catalogued programs can be talked into: one row for each known way out.

The reference is the public GTFOBins list (its names of functions are used), with the programs' own manuals for
what it lacks. `{secret}` and `{vault}` are a file and a directory that are masked, `{tool}` a script of the
attacker's, `{target}` a file that is not there yet, `{plain}` and `{big}` ordinary files, `{pid}` and `{other}`
processes that somebody else owns.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Shows = Literal["written", "ran", "shown", "gone", "done", "killed"]
"""How an escape shows: `{target}` is there, the tool has run, the secret was printed, `{plain}` is gone, the exit
status is 0, the other process was killed."""


class Row(NamedTuple):
    """One primitive. `words`: what stands behind the name; `line`: an accepted line whose plan is used.

    `within`: what keeps the effect of the control from this machine; None when nothing can and there is no control.
    `needs`: a path without which the primitive can't be shown here, and what brings it. `accepted`: the form is
    allowed, as it names nothing secret: the kernel alone is in the way. `untried`: why the form alone is tried.
    """

    program: str
    function: str
    words: str
    shows: Shows
    line: str
    stdin: str = ""
    within: tuple[str, ...] | None = ()
    needs: tuple[str, str] | None = None
    accepted: bool = False
    untried: str = ""


_EMPTY_RUN = ("sh", "-c", 'mount -t tmpfs none /run && exec "$@"', "sh")
NET, MOUNT, UTS = ("unshare", "--net"), ("unshare", "--mount"), ("unshare", "--uts")
_BEYOND, _PCI = "the kernel can't refuse it: see beyond.py", "needs names or dumps of PCI devices"
_DESTROY = "the kernel destroys sockets only with CONFIG_INET_DIAG_DESTROY"
_BUS = "acts through a daemon, which no sandbox of the command binds: see beyond.py"
_IPMI, _FIRMWARE = "needs a management controller", "needs a network card whose firmware it may lose"

ROWS = (
    # -- shell, command
    Row("find", "shell", "{plain} -exec {tool} ;", "ran", "find /etc"),
    Row("find", "shell", "{plain} -exec {tool} {{}} +", "ran", "find /etc"),
    Row("find", "shell", "{plain} -execdir {tool} ;", "ran", "find /etc"),
    Row("find", "shell", "{plain} -ok {tool} ;", "ran", "find /etc", stdin="y\n"),
    Row("find", "shell", "{plain} -okdir {tool} ;", "ran", "find /etc", stdin="y\n"),
    Row("env", "shell", "{tool}", "ran", "env"),
    Row("env", "shell", "-i {tool}", "ran", "env"),
    Row("env", "shell", "-S {tool}", "ran", "env"),
    Row("env", "shell", "A=1 {tool}", "ran", "env"),
    Row("env", "shell", "-C / {tool}", "ran", "env"),
    Row("sort", "shell", "-S 64k --compress-program={tool} {big}", "ran", "sort /etc/passwd"),
    Row("numactl", "shell", "--localalloc {tool}", "ran", "numactl -H"),
    Row("numactl", "shell", "-C 0 {tool}", "ran", "numactl -H"),
    Row("ip", "shell", "vrf exec x {tool}", "ran", "ip addr", untried="needs a VRF device"),
    Row("ip", "shell", "netns exec x {tool}", "ran", "ip addr", untried="needs a network namespace with a name"),
    Row("ip", "command", "netns add pact-escape", "done", "ip addr", within=(*MOUNT, *_EMPTY_RUN)),
    Row("ip", "command", "tuntap add pact0 mode tap", "done", "ip addr", within=NET,
        needs=("/dev/net/tun", "a kernel with tun devices")),
    Row("modprobe", "command", "-C {conf} pact-escape", "ran", "modprobe -n -v nfsd"),
    Row("modprobe", "command", "--config={conf} pact-escape", "ran", "modprobe -n -v nfsd"),
    Row("diff", "command", "-l /etc/passwd {plain}", "ran", "diff /etc/passwd /etc/group"),
    Row("diff", "command", "--paginate /etc/passwd {plain}", "ran", "diff /etc/passwd /etc/group"),
    Row("sysctl", "command", "-w kernel.core_pattern={core}", "done", "sysctl -a"),
    Row("sysctl", "command", "kernel/core_pattern={core}", "done", "sysctl -a"),
    Row("sysctl", "command", "-p {sysctl}", "done", "sysctl -a"),
    Row("sysctl", "command", "--load={sysctl}", "done", "sysctl -a"),
    Row("mount", "command", "--bind /etc {home}", "done", "mount", within=MOUNT),
    Row("mount", "command", "-t tmpfs none {home}", "done", "mount", within=MOUNT),
    Row("mount", "command", "-o remount,bind /", "done", "mount", within=MOUNT),
    Row("umount", "command", "-l /dev/shm", "done", "findmnt", within=MOUNT),
    Row("hostname", "command", "pact-escape", "done", "hostname", within=UTS),
    Row("hostname", "command", "-F {name}", "done", "hostname", within=UTS),
    Row("hostname", "command", "-b pact-escape", "done", "hostname", within=UTS),
    Row("date", "command", "-s @{now}", "done", "date", within=None),
    Row("date", "command", "{clock}", "done", "date", within=None),
    Row("ss", "command", "-K dst 127.0.0.9", "done", "ss -tln", untried=_DESTROY),
    Row("ss", "command", "-N x", "done", "ss -tln", untried="needs a network namespace with a name"),
    Row("lspci", "command", "-H1", "done", "lspci -nnk", untried="needs a machine with I/O ports"),
    Row("chronyc", "command", "settime 12:00", "done", "chronyc tracking", untried="needs chronyd running"),
    Row("ipmitool", "command", "exec {secret}", "done", "ipmitool sensor", untried=_IPMI),
    Row("ipmitool", "command", "lan set 1 ipaddr 10.0.0.1", "done", "ipmitool sensor", untried=_IPMI),
    Row("ipmitool", "command", "chassis power off", "done", "ipmitool sensor", untried=_IPMI),
    Row("ethtool", "command", "-f lo x", "done", "ethtool eth0", untried=_FIRMWARE),
    Row("ethtool", "command", "-E lo magic 1", "done", "ethtool eth0", untried=_FIRMWARE),
    Row("ethtool", "command", "--reset lo all", "done", "ethtool eth0", untried=_FIRMWARE),
    Row("swapon", "command", "{plain}", "done", "swapon", untried="would swap to a file of this machine"),
    Row("sensors", "command", "-s", "done", "sensors", needs=("/sys/class/hwmon/hwmon0", "hardware with sensors")),
    Row("dmesg", "command", "-C", "done", "cat /etc/hostname", untried=_BEYOND),
    Row("kill", "command", "-9 -- -1", "done", "cat /etc/hostname", untried=_BEYOND),
    Row("systemctl", "shell", "link /tmp/x.service", "done", "systemctl list-units", untried=_BUS),
    Row("systemctl", "shell", "enable --now /tmp/x.service", "done", "systemctl list-units", untried=_BUS),
    Row("systemctl", "shell", "edit basic.target", "done", "systemctl list-units", untried=_BUS),
    Row("systemctl", "shell", "--root={home} enable x.service", "done", "systemctl list-units", untried=_BUS),
    Row("systemctl", "command", "set-environment LD_PRELOAD=/tmp/x.so", "done", "systemctl list-units", untried=_BUS),
    Row("systemctl", "command", "set-property x.service Nice=1", "done", "systemctl list-units", untried=_BUS),
    Row("systemctl", "command", "poweroff", "done", "systemctl list-units", untried=_BUS),
    Row("loginctl", "command", "terminate-user root", "done", "loginctl", untried=_BUS),
    Row("timedatectl", "command", "set-time 12:00", "done", "timedatectl", untried=_BUS),
    Row("hostnamectl", "command", "set-hostname x", "done", "hostnamectl", untried=_BUS),
    *(
        Row(program, "shell", f"-H x {verb}", "ran", line, untried="is for a terminal: see TYPED")
        for program, verb, line in (
            ("systemctl", "list-units", "systemctl list-units"), ("loginctl", "list-sessions", "loginctl"),
            ("timedatectl", "show", "timedatectl"), ("hostnamectl", "status", "hostnamectl"),
        )
    ),
    # -- file-write
    Row("sort", "file-write", "-o {target} {plain}", "written", "sort /etc/passwd"),
    Row("sort", "file-write", "--outp={target} {plain}", "written", "sort /etc/passwd"),
    Row("uniq", "file-write", "{plain} {target}", "written", "uniq -c"),
    Row("xxd", "file-write", "{plain} {target}", "written", "xxd -l 16 /etc/hostname"),
    Row("xxd", "file-write", "-r {hex} {target}", "written", "xxd -l 16 /etc/hostname"),
    Row("find", "file-write", "{plain} -fprint {target}", "written", "find /etc"),
    Row("find", "file-write", "{plain} -fprint0 {target}", "written", "find /etc"),
    Row("find", "file-write", "{plain} -fprintf {target} x", "written", "find /etc"),
    Row("find", "file-write", "{plain} -fls {target}", "written", "find /etc"),
    Row("find", "file-write", "{plain} -delete", "gone", "find /etc"),
    Row("file", "file-write", "-C -m {magic}", "written", "file /etc/hostname"),
    Row("lstopo", "file-write", "{target}.xml", "written", "lstopo"),
    Row("lstopo", "file-write", "-f --of xml {target}", "written", "lstopo"),
    Row("ss", "file-write", "-D {target}", "written", "ss -tln"),
    Row("dmidecode", "file-write", "--dump-bin {target}", "written", "dmidecode",
        needs=("/sys/firmware/dmi/tables/DMI", "a machine with SMBIOS tables")),
    Row("journalctl", "file-write", "--update-catalog --root={home}", "written", "journalctl -n 5"),
    Row("journalctl", "file-write", "--cursor-file={target} -n 1", "written", "journalctl -n 5",
        needs=("/run/systemd/journal/socket", "journald running")),
    Row("numactl", "file-write", "--length=4096 --file={target} --interleave=all --touch", "written", "numactl -H"),
    Row("less", "file-write", "-o {target}", "written", "less", untried="is for a terminal: see TYPED"),
    Row("less", "file-write", "-O {target}", "written", "less", untried="is for a terminal: see TYPED"),
    Row("lspci", "file-write", "-Q -O net.cache_name={target}", "written", "lspci -nnk", untried=_PCI),
    Row("lspci", "file-write", "-A dump -O dump.name={target}", "written", "lspci -nnk", untried=_PCI),
    # -- file-read
    *(
        Row(program, "file-read", words, "shown", line)
        for program, words, line in (
            ("cat", "{secret}", "cat /etc/hostname"),
            ("head", "{secret}", "head -1 /etc/hostname"),
            ("tail", "{secret}", "tail -5"),
            ("cut", "-c 1- {secret}", "cut -d: -f1 /etc/passwd"),
            ("nl", "{secret}", "nl -ba x"),
            ("column", "{secret}", "column -t"),
            ("grep", ". {secret}", "grep x /etc/hostname"),
            ("grep", "-f {secret} {copy}", "grep x /etc/hostname"),
            ("zgrep", ". {secret}", "zgrep -i error /var/log/syslog.2.gz"),
            ("zcat", "-c -d -f {secret}", "zcat /var/log/dpkg.log.2.gz"),
            ("sort", "{secret}", "sort /etc/passwd"),
            ("sort", "-m {secret}", "sort /etc/passwd"),
            ("sort", "--files0-from={secret}", "sort /etc/passwd"),
            ("uniq", "{secret}", "uniq -c"),
            ("xxd", "-c 64 {secret}", "xxd -l 16 /etc/hostname"),
            ("diff", "/dev/null {secret}", "diff /etc/passwd /etc/group"),
            ("diff", "--line-format=%L /dev/null {secret}", "diff /etc/passwd /etc/group"),
            ("diff", "--from-file={secret} /dev/null", "diff /etc/passwd /etc/group"),
            ("diff", "--to-file={secret} /dev/null", "diff /etc/passwd /etc/group"),
            ("wc", "--files0-from={secret}", "wc /etc/passwd"),
            ("du", "--files0-from={secret}", "du -s /etc"),
            ("find", "-files0-from {secret}", "find /etc"),
            ("date", "-f {secret}", "date"),
            ("file", "-f {secret}", "file /etc/hostname"),
            ("file", "-m {secret} /etc/hostname", "file /etc/hostname"),
            ("dmesg", "-F {secret}", "dmesg"),
            ("findmnt", "-F {secret}", "findmnt"),
            ("modprobe", "-C {secret} -n x", "modprobe -n -v nfsd"),
            ("ss", "-a -F {secret}", "ss -tln"),
            ("ip", "-force -batch {secret}", "ip addr"),
            ("ip", "-b {secret}", "ip addr"),
            ("dig", "-f {secret} @127.0.0.1 +tries=1 +time=1", "dig node043"),
            ("ls", "{vault}", "ls /etc"),
            ("find", "{vault}", "find /etc"),
            ("du", "-a {vault}", "du -s /etc"),
            ("ps", "eww {pid}", "ps aux"),
            ("cat", "/proc/{pid}/environ", "cat /etc/hostname"),
            ("grep", "-a . /proc/{pid}/environ", "grep x /etc/hostname"),
            ("cat", "/proc/{pid}/root{secret}", "cat /etc/hostname"),
            ("cat", "/proc/{pid}/fd/{fd}", "cat /etc/hostname"),
        )
    ),
    Row("grep", "file-read", "-r . {dir}", "shown", "grep x /etc/hostname", accepted=True),
    Row("ls", "file-read", "-R {dir}", "shown", "ls /etc", accepted=True),
    Row("find", "file-read", "{dir}", "shown", "find /etc", accepted=True),
    Row("du", "file-read", "-a {dir}", "shown", "du -s /etc", accepted=True),
    Row("md5sum", "file-read", "{secret}", "done", "md5sum /etc/hostname"),
    Row("sha256sum", "file-read", "{secret}", "done", "sha256sum /etc/hostname"),
    Row("cmp", "file-read", "-n 1 {secret} {copy}", "done", "cmp /etc/hostname /etc/passwd"),
    Row("wc", "file-read", "-c {secret}", "done", "wc /etc/passwd"),
    Row("getent", "file-read", "gshadow daemon", "done", "getent passwd root"),
    Row("last", "file-read", "-w -a -f {wtmp}", "shown", "last"),
    Row("who", "file-read", "{wtmp}", "shown", "who -b"),
    Row("sysctl", "file-read", "-n /../../etc/hostname", "shown", "sysctl -a", untried="procps 4 refuses it itself"),
    Row("lsusb", "file-read", "-D /dev/bus/usb/001/001", "done", "lsusb", needs=("/dev/bus/usb/001/001", "a USB bus")),
    Row("rdma", "file-read", "-b {secret}", "shown", "rdma link", needs=("/sys/class/infiniband", "an RDMA device")),
    Row("nvidia-smi", "file-write", "-q -f {target}", "written", "nvidia-smi -L",
        needs=("/usr/bin/nvidia-smi", "a GPU")),
)  # fmt: skip

# What the list has entries for, of the programs that pact starts (`watch` is none: the agent repeats the line).
GTFOBINS = frozenset(
    {
        "cat", "cmp", "column", "cut", "date", "diff", "dig", "dmesg", "dmidecode", "du", "env", "file", "find",
        "getent", "grep", "head", "ip", "journalctl", "last", "less", "loginctl", "mount", "nl", "sort", "ss", "sysctl",
        "systemctl", "tail", "timedatectl", "top", "uniq", "wc", "xxd", "zcat", "zgrep",
    }
)  # fmt: skip


class Typed(NamedTuple):
    """One primitive of a program that has the terminal: what is typed, and the environment it takes.

    `stdin`: what comes down a pipe, where that is not the terminal.
    """

    program: str
    function: str
    words: str
    keys: tuple[tuple[str, str], ...]
    shows: Shows
    line: str
    env: tuple[tuple[str, str], ...] = ()
    stdin: str = ""


_FIRST, _LESS = "first line", "less /etc/hosts"
_PAGER = (("SYSTEMD_PAGER", "{tool}"), ("SYSTEMD_PAGERSECURE", "0"))
TYPED = (
    Typed("less", "shell", "{text}", ((_FIRST, "!{tool}\r"), ("done|rror|!", "\r"), (".", "q")), "ran", _LESS),
    Typed("less", "shell", "{text}", ((_FIRST, "|^{tool}\r"), ("done|rror", "\r"), (".", "q")), "ran", _LESS),
    Typed("less", "shell", "{text}", ((_FIRST, "v"), ("done|rror|.", "\r"), (".", "q")), "ran", _LESS,
          (("VISUAL", "{tool}"),)),
    Typed("less", "shell", "{text}", ((".", "q"),), "ran", _LESS, (("LESSOPEN", "|{tool} %s"),)),
    Typed("less", "shell", "+!{tool} {text}", ((".", "\r"), (".", "q")), "ran", _LESS),
    Typed("less", "file-read", "{text}", ((_FIRST, ":e {secret}\r"), ("secret|denied|.", "q")), "shown", _LESS),
    Typed("less", "file-write", "", ((_FIRST, "s{target}\r"), (".", "\r"), (".", "q")), "written", _LESS,
          stdin="first line\n"),
    Typed("less", "file-write", "-o {target}", (("first line|RETURN", "q"),), "written", _LESS, stdin="first line\n"),
    Typed("dmesg", "shell", "-H", ((".", "q"),), "ran", "dmesg", (("PAGER", "{tool}"),)),
    Typed("systemctl", "shell", "--root=/ list-unit-files", ((".", "q"),), "ran", "systemctl list-unit-files",
          _PAGER),
    Typed("journalctl", "shell", "--list-catalog", ((".", "q"),), "ran", "journalctl -n 5",
          _PAGER),
    *(
        Typed(program, "shell", f"-H x {verb}", ((".", "q"),), "ran", line, (("PATH", "{bin}"),))
        for program, verb, line in (
            ("systemctl", "list-units", "systemctl list-units"), ("loginctl", "list-sessions", "loginctl"),
            ("timedatectl", "show", "timedatectl"), ("hostnamectl", "status", "hostnamectl"),
        )
    ),
    Typed("top", "command", "", (("PID", "k"), ("signal|kill", "{pid}\r"), ("signal|send", "9\r"), (".", "q")),
          "killed", "top"),
    Typed("top", "file-write", "", (("PID", "W"), (".", "q")), "written", "top", (("HOME", "{home}"),)),
    Typed("top", "shell", "", (("PID", "Y"), ("pid", "{pid}\r"), ("pact", "\r"), (".", "q"), (".", "q")), "ran", "top",
          (("HOME", "{rc}"),)),
    Typed("htop", "command", "-p {pid}", (("Quit", "k"), ("SIG|Send", "9\r"), (".", "q")), "killed", "htop"),
    Typed("htop", "shell", "-p {pid}", (("Quit", "s"), ("ESCAPED|Could not|rror", "q"), (".", "q")), "ran", "htop",
          (("PATH", "{bin}"),)),
    Typed("htop", "shell", "-p {pid}", (("Quit", "l"), ("ESCAPED|Could not|rror", "q"), (".", "q")), "ran", "htop",
          (("PATH", "{bin}"),)),
    Typed("htop", "file-read", "-p {pid}", (("Quit", "e"), ("MARK|denied|.", "q"), (".", "q")), "shown", "htop"),
    Typed("htop", "file-write", "", (("Quit", "C"), (".", "q"), (".", "q")), "written", "htop",
          (("HOME", "{home}"),)),
)  # fmt: skip
