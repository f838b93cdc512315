"""Programs that run what they are given: shells, interpreters, wrappers. No policy can add one. Pure."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping

BYPASS = "bypass"
"""The word in front of a command that a platform admin runs outside the whitelist."""

# Programs that run what they are given: a whitelist that has one of them has no other entries worth having.
RUNNERS: Mapping[str, str] = {
    name: what
    for what, names in {
        "it is a shell": (
            "sh git-shell rssh bash rbash dash ash ksh mksh pdksh zsh csh tcsh fish yash rc es elvish nu xonsh"
            " pwsh pwsh-preview posh loksh oksh hush sulogin pactsh"
        ),
        "it is an interpreter": (
            "python pypy perl ruby node nodejs deno bun lua luajit tclsh wish expect php guile racket R Rscript"
            " julia octave java javaw jshell jrunscript jjs jexec groovy scala erl escript elixir iex irb ghci awk"
            " gawk mawk nawk original-awk sed dc m4 sqlite sqlite3 gnuplot ipython ipython3 bpython jupyter"
            " micropython ocaml drgn tcc"
        ),
        "it is an editor that starts programs": (
            "ed red ex vi vimdiff vipw vigr visudo vim vim.tiny vim.basic nvim view rvim nano pico emacs emacs-nox"
            " emacsclient joe mc editor kak hx micro ne mg jed"
        ),
        "it is a pager that starts programs": "more most pg man info pager zless bzless xzless",
        "it runs its operands": (
            "bwrap firejail nsjail proot dbus-launch ssh-agent systemd-cat systemd-socket-activate run0 rlwrap"
            " unbuffer cpulimit find xargs parallel env nohup timeout nice ionice stdbuf taskset chrt setsid"
            " setarch linux32 linux64 i386 x86_64 uname26 unshare nsenter chroot switch_root pivot_root flock"
            " script scriptreplay time watch entr strace ltrace gdb gdbserver lldb perf valgrind bpftrace trace-cmd"
            " systemd-run systemd-nspawn machinectl systemd-inhibit run-parts start-stop-daemon daemonize"
            " screen tmux dtach capsh prlimit numactl choom cgexec srun salloc sbatch mpirun mpiexec orterun prun"
            " flux fakeroot faketime catchsegv dbus-run-session dbus-send busctl at batch crontab anacron"
            " logrotate facter ansible salt-call puppet eatmydata xvfb-run ifne chronic pee tini dumb-init"
            " catatonit chpst s6-setuidgid runsv supervisord split gcore crash debugfs"
        ),
        "it is many programs in one": "busybox toybox coreutils sash kmod",
        "it runs other programs as another user": (
            "su sudo sudoedit doas pkexec runuser setpriv newgrp sg login agetty gosu su-exec"
        ),
        "it reaches other machines": (
            "curl wget ftp mosh sshpass autossh smbclient tmate ssh scp sftp rsh rlogin rexec rsync telnet nc"
            " ncat nc.openbsd nc.traditional netcat socat pdsh clush lynx w3m elinks links mail mailx mutt nmap"
            " psql mysql gdbus ansible-playbook ansible-console salt"
        ),
        "it builds or installs programs": (
            "make gmake cmake ninja gcc g++ cc c++ clang ld go cargo rustc git svn hg tar cpio pax zip rpm dpkg"
            " apt conda mamba helm apt-get aptitude yum dnf zypper snap flatpak pip npm gem"
        ),
        "it starts containers": (
            "docker podman nerdctl crictl ctr runc crun buildah skopeo kubectl lxc lxc-attach singularity"
            " apptainer enroot"
        ),
        "it is the dynamic loader": "ld.so ld-linux",
        "it loads code into the kernel": "insmod rmmod modprobe kexec bpftool",
    }.items()
    for name in names.split()
}
_TRIPLET = re.compile(r"[a-z0-9_]+-(?:[a-z0-9]+-)?linux-(?:gnu|musl)[a-z0-9]*-")
_BUILD = re.compile(r"[-.](dbg|debug|static|minimal|restricted)$")
_VERSION = re.compile(r"[-_.]?[0-9][0-9.]*[a-z]{0,3}$")
_LOADER = re.compile(r"ld(-linux|-musl|64|32)?[-.A-Za-z0-9_]*\.so([.0-9]*)")


def runs_others(name: str) -> str:
    """Why a program of this name (or path) is no command for a whitelist, "" where nothing is known against it.

    >>> runs_others("/usr/bin/python3.11"), runs_others("smartctl")
    ('it is an interpreter', '')
    """
    base = posixpath.basename(name)
    if _LOADER.fullmatch(base):
        return RUNNERS["ld.so"]
    base = _BUILD.sub("", _TRIPLET.sub("", base))
    for candidate in (base, base.lower(), _VERSION.sub("", base.lower())):
        if candidate in RUNNERS:
            return RUNNERS[candidate]
    return ""
