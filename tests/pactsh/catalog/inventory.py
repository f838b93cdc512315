"""What options and verbs the catalogued programs have: from their manual pages, help texts and option tables.

The result is kept in `releases/debian-12.txt` and `releases/rhel-9.txt`, so the tests need neither
packages nor network. A row is a command, what is listed, and the words:

- `options`: spellings that the manual page or the help text introduces;
- `getopt`: the table the program itself hands to `getopt` (`=` takes a value, `[=]` may take one,
  a leading `+` means that options end at the first operand), undocumented options included;
- `verbs`: subcommands; `verbs OBJECT` the ones below an object of `ip`.

To make the files anew, unpack the packages of a release into a directory each and run, with `man`
and a C compiler there (ROOTS are such directories, colons between them):

    python -m tests.pactsh.catalog.inventory debian-12 ROOTS > tests/pactsh/catalog/releases/debian-12.txt
    python -m tests.pactsh.catalog.inventory rhel-9 ROOTS_OF_DEBIAN_11 ROOTS_OF_DEBIAN_12 > .../rhel-9.txt

The programs of the roots are started, but only asked for help.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from tests.pactsh.catalog.deciding import shipped
from tests.pactsh.catalog.pages import NOT_OPTIONS, object_verbs, options_in, table_words, verbs_in

DATA = Path(__file__).with_name("releases")
RELEASES = ("debian-12", "rhel-9")

# Where program and page are called otherwise, below usr/; zcat and zgrep are scripts, and pact runs
# gzip and grep themselves.
ELSEWHERE = {
    "nvidia-smi": ("lib/nvidia/current/nvidia-smi", "lib/nvidia/current/nvidia-smi.1.gz"),
    "zcat": ("bin/gzip", "share/man/man1/gzip.1.gz"),
    "zgrep": ("bin/grep", "share/man/man1/grep.1.gz"),
    "traceroute": ("bin/traceroute.db", "share/man/man1/traceroute.db.1.gz"),
}
# Pages that hold another program's options too: only what is in the program's own table counts.
SHARED = frozenset({"pkill", "swapoff"})
# What to ask for help with, where `--help` alone does not do.
ASKED: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "chronyc": (("--help",), ("-v",), ("help",)),
    "dig": (("-h",),),
    "dmidecode": (("-h",),),
    "host": (("-h",),),
    "ibstat": (("-h",),),
    "ip": (("help",),),
    "ipmitool": (("-h",), ("help",)),
    "lsof": (("-h",),),
    "nstat": (("-h",),),
    "nvidia-smi": (("-h",),),
    "perfquery": (("-h",),),
    "ping": (("-h",),),
    "ps": (("--help", "all"),),
    "rdma": (("help",),),
    "tracepath": (("-h",),),
    "xxd": (("-h",),),
}

# What RHEL 9 has is nearer to Debian 12 than to Debian 11 for these: systemd 252, iproute2 6,
# chrony 4.3, ethtool 6, numactl 2.0.16, less 590, rdma-core 44 and later.
AS_DEBIAN_12 = """
    chronyc dmidecode ethtool hostnamectl ibstat ibv_devinfo ip journalctl less loginctl lsusb nstat numactl numastat
    perfquery rdma rocm-smi ss systemctl timedatectl
"""
# Between the two Debian releases: util-linux 2.37, nfs-utils 2.5.4, glibc 2.34, gzip 1.12, lsof 4.94, htop of EPEL;
# and the driver of NVIDIA, which is no part of either.
AS_BOTH = """
    column dmesg findmnt getent htop last locale lsblk lscpu lsof mount nfsiostat nfsstat nvidia-smi showmount swapoff
    swapon umount zcat
"""
# Said by neither: patches of RHEL, and its `kill`, which is the one of util-linux (2.37) instead of procps.
OF_RHEL_9: Mapping[str, str] = {
    "df": "--direct",
    "kill": """-a --all -h --help -l --list -L --table -p --pid -q --queue -s --signal --timeout --verbose -v -V
        --version""",
}
# In no package of either: the option list of the program's own documentation (version 1.5.5).
UNPACKAGED: Mapping[str, str] = {
    "cxi_stat": "-a --aer -d --device -h --help -l --list -m --mac-list -p --pause -r --rates -V --version",
}

Rows = dict[tuple[str, str], set[str]]


class Roots(NamedTuple):
    """Unpacked package trees that belong together."""

    places: tuple[Path, ...]

    def file(self, *candidates: str) -> Path | None:
        """The first of `candidates` (relative) that exists in one of the trees."""
        return next((p / c for c in candidates for p in self.places if (p / c).exists()), None)

    def libraries(self) -> str:
        """The search path of the trees' own shared libraries."""
        below = ("usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu", "lib/systemd", "usr/lib/systemd")
        return ":".join(str(place / name) for place in self.places for name in below if (place / name).is_dir())

    def page(self, name: str) -> Path | None:
        """The manual page of the program `name`."""
        if name in ELSEWHERE:
            return self.file(f"usr/{ELSEWHERE[name][1]}")
        return self.file(*(f"usr/share/man/man{section}/{name}.{section}.gz" for section in (1, 8)))

    def program(self, name: str) -> Path | None:
        """The program `name`."""
        if name in ELSEWHERE:
            return self.file(f"usr/{ELSEWHERE[name][0]}", ELSEWHERE[name][0])
        return self.file(*(f"{place}/{name}" for place in ("usr/bin", "usr/sbin", "bin", "sbin")))


class Asking:
    """Asks the programs of some roots for help, with their `getopt` tables written down on the side."""

    def __init__(self, roots: Roots, work: Path) -> None:
        self.roots = roots
        self.table = work / "table"
        self.shim = work / "getopt_table.so"
        source = DATA / "getopt_table.c"
        subprocess.run(["cc", "-shared", "-fPIC", "-o", str(self.shim), str(source), "-ldl"], check=True)

    def say(self, program: Path, *words: str) -> str:
        """What the program prints; nothing when it cannot be run here."""
        environment = {
            "PATH": "/usr/bin:/usr/sbin",
            "LC_ALL": "C.UTF-8",
            "PAGER": "cat",
            "COLUMNS": "500",
            "LD_LIBRARY_PATH": self.roots.libraries(),
            "LD_PRELOAD": str(self.shim),
            "GETOPT_TABLE": str(self.table),
        }
        try:
            done = subprocess.run(
                [str(program), *words],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=20,
                env=environment,
                cwd="/",
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            print(f"{program}: {error}", file=sys.stderr)
            return ""
        if b"error while loading shared libraries" in done.stderr:
            print(f"{program}: {done.stderr.decode()}", file=sys.stderr)
            return ""
        return (done.stdout + done.stderr).decode(errors="replace")

    def tables(self) -> set[str]:
        """The words of the `getopt` tables seen since the last call."""
        if not self.table.exists():
            return set()
        text = self.table.read_text()
        self.table.unlink()
        return {word for row in text.splitlines() for word in table_words(*row.split("\t"))}


def rendered(page: Path, roots: Roots) -> str:
    """A manual page as plain text, wide enough that no paragraph is broken into lines."""
    done = subprocess.run(
        ["man", "--nj", "--nh", "-E", "UTF-8", "-l", str(page)],
        capture_output=True,
        env={"PATH": "/usr/bin", "LC_ALL": "C.UTF-8", "MANWIDTH": "2000", "MAN_KEEP_FORMATTING": ""},
        cwd=next(p for p in roots.places if page.is_relative_to(p)) / "usr/share/man",
    )
    text = done.stdout.decode(errors="replace")
    return text.replace("\N{HYPHEN}", "-").replace("\N{MINUS SIGN}", "-")


def is_script(program: Path) -> bool:
    """Whether an interpreter runs the program: a `getopt` table is then not its own."""
    with program.open("rb") as file:
        return file.read(2) == b"#!"


def rows_of(name: str, roots: Roots, asking: Asking) -> Rows:
    """What there is to know of one program in `roots`."""
    rows: Rows = {}
    texts = []
    page, program = roots.page(name), roots.program(name)
    if page:
        texts.append(rendered(page, roots))
    if program:
        said = [asking.say(program, *words) for words in ASKED.get(name, (("--help",),))]
        texts += said
        tables = asking.tables() - NOT_OPTIONS.get(name, frozenset())
        if tables and not is_script(program):
            rows[name, "getopt"] = tables
    options = {word for text in texts for word in options_in(text, name)}
    if name in SHARED and (name, "getopt") in rows:
        options &= {word.rstrip("[=]") for word in rows[name, "getopt"]}
    if options:
        rows[name, "options"] = options
    if verbs := {word for text in texts for word in verbs_in(text, name)}:
        rows[name, "verbs"] = verbs
    if program and name == "ip":
        for thing in sorted(verbs - {"help"}):
            if below := object_verbs(asking.say(program, thing, "help"), thing):
                rows[name, f"verbs {thing}"] = below
        asking.tables()
    return rows


def merged(*parts: Rows) -> Rows:
    """The union of rows."""
    whole: Rows = {}
    for part in parts:
        for key, words in part.items():
            whole.setdefault(key, set()).update(words)
    return whole


def inventory(release: str, bases: tuple[Roots, ...], names: Iterable[str]) -> Rows:
    """The rows of `release`: of the only base, or of the two Debian releases RHEL 9 lies between."""
    whole: Rows = {}
    with tempfile.TemporaryDirectory() as work:
        for number, roots in enumerate(bases):
            asking = Asking(roots, Path(work))
            for name in names:
                near = (0, 1) if name in AS_BOTH.split() else (1,) if name in AS_DEBIAN_12.split() else (0,)
                if len(bases) == 1 or number in near:
                    whole = merged(whole, rows_of(name, roots, asking))
    added = {**UNPACKAGED, **(OF_RHEL_9 if release == "rhel-9" else {})}
    return merged(whole, {(name, "options"): set(words.split()) for name, words in added.items()})


def head(release: str) -> str:
    """The comment at the top of a file: where its rows come from."""
    if release == "debian-12":
        said = "From the manual pages, help texts and getopt tables of Debian 12's packages."
    else:
        said = (
            "Put together for RHEL 9 from the nearest versions in Debian, not from RHEL's packages:\n"
            f"# as in Debian 12: {' '.join(AS_DEBIAN_12.split())}\n"
            f"# as in Debian 11 or 12: {' '.join(AS_BOTH.split())}\n"
            f"# with what RHEL adds (from its patches and util-linux's source): {' '.join(sorted(OF_RHEL_9))}\n"
            "# all others as in Debian 11."
        )
    return f"# {said}\n# From the program's own documentation: {' '.join(sorted(UNPACKAGED))}. Made by inventory.py.\n"


def render_rows(rows: Rows) -> str:
    """Rows as text; `parse_rows` goes back."""
    return "".join(f"{name} {kind}: {' '.join(sorted(words))}\n" for (name, kind), words in sorted(rows.items()))


def parse_rows(text: str) -> Rows:
    """The rows of a data file.

    >>> parse_rows("# c\\nls options: -a --all\\n") == {("ls", "options"): {"-a", "--all"}}
    True
    """
    rows: Rows = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            key, _, words = line.partition(": ")
            name, _, kind = key.partition(" ")
            rows[name, kind] = set(words.split())
    return rows


def recorded(release: str) -> Rows:
    """The rows that are kept for `release`."""
    return parse_rows((DATA / f"{release}.txt").read_text(encoding="utf-8"))


def main(release: str, *bases: str) -> None:
    """Print the inventory of `release`."""
    if release not in RELEASES or len(bases) != 1 + RELEASES.index(release) or not shutil.which("cc"):
        sys.exit(__doc__)
    found = inventory(release, tuple(Roots(tuple(map(Path, base.split(":")))) for base in bases), sorted(shipped()))
    sys.stdout.write(head(release) + render_rows(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
