"""Every row of the case files: what is accepted as what, what is refused and with which code."""

from __future__ import annotations

import doctest
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping

import pytest

from pactsh.catalog.schema import Command, Option, Sub
from tests.pactsh.catalog import inventory, pages
from tests.pactsh.catalog.deciding import Case, command_cases, decided, shipped
from tests.pactsh.catalog.inventory import ASKED, RELEASES, recorded
from tests.pactsh.catalog.pages import NOT_OPTIONS, WHOLE, options_in

READS = [case for case in command_cases() if case.kind == "read"]
CHANGES = [case for case in command_cases() if case.kind == "change"]
REFUSED = [case for case in command_cases() if case.kind == "refuse"]
# Forms that run on until someone ends them, need a terminal or hardware, or send something beyond this machine.
NOT_RUN = re.compile(
    r"h?top\b|ping |traceroute|sleep|dmesg.*-w|tail -[a-z]*f|journalctl.* -f|less|nvidia|vmstat 1|free -s|pact"
    r"|watch (?!--)|timedatectl .*--monitor|chronyc waitsync|nfsstat (-Z|--sleep)|nfsiostat .*[0-9]"
    r"|ipmitool (?!-[hV]$)|lsof .*[+-]r|(io|mp)stat( -.*)? [0-9.]+$"
)
UNKNOWN = re.compile(r"(unrecogni[sz]ed|invalid|unknown|ambiguous|illegal) (long )?option|improper list", re.IGNORECASE)


def name_of(case: Case) -> str:
    return case.line


@pytest.mark.parametrize("case", READS, ids=name_of)
def test_a_read_form_is_accepted_and_run_as_written(case: Case) -> None:
    decision = decided(case.line)
    assert (decision.verdict, decision.class_, decision.reason) == ("allow", "read", "")
    assert decision.stages[0].argv == tuple(shlex.split(case.run))


@pytest.mark.parametrize("case", CHANGES, ids=name_of)
def test_a_change_form_names_its_dimension(case: Case) -> None:
    decision = decided(case.line)
    assert (decision.verdict, decision.class_, decision.dimension) == ("allow", "change", case.detail)
    assert decision.stages[0].argv == tuple(shlex.split(case.run))


@pytest.mark.parametrize("case", REFUSED, ids=name_of)
def test_a_form_that_is_not_on_the_whitelist_is_refused(case: Case) -> None:
    decision = decided(case.line)
    assert (decision.verdict, decision.status, decision.code) == ("refuse", 6, case.detail)
    assert decision.reason
    assert decision.span is not None
    assert decision.stages == ()


def test_a_case_stands_in_the_file_of_its_command() -> None:
    misplaced = [c for c in command_cases() if c.file != "unlisted" and shlex.split(c.line)[0] != c.file]
    assert misplaced == []


def test_every_program_has_an_accepted_and_a_refused_case() -> None:
    plain = {"echo", "printf", "true", "false"}  # nothing they can be told is refused
    accepted = {case.file for case in (*READS, *CHANGES)}
    assert set(shipped()) - accepted == set()
    simple = plain | {"uname", "id", "free", "lsmod", "nl", "pwd", "w", "df", "seq", "uptime"}
    assert set(shipped()) - {case.file for case in REFUSED} <= simple


@pytest.mark.parametrize("case", [case for case in READS if not NOT_RUN.match(case.line)], ids=name_of)
def test_the_installed_program_knows_the_options_of_an_accepted_form(case: Case) -> None:
    """What the catalog takes for options and values, the program takes for the same."""
    decision = decided(case.line)
    stage = decision.stages[0]
    paths = stage.program.paths if stage.program else ()
    program = next((path for path in paths if os.access(path, os.X_OK)), None)
    if program is None:
        pytest.skip("a builtin, or not installed here: packaging/system-packages brings what Debian has")
    done = subprocess.run(
        stage.argv,
        executable=program,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=20,
        env={"PATH": "/usr/bin:/usr/sbin", "LC_ALL": "C.UTF-8", "PAGER": "cat", "SYSTEMD_PAGER": ""},
    )
    assert not UNKNOWN.search(done.stderr.decode(errors="replace"))


PROGRAMS = [name for name in shipped() if not shipped()[name].builtin and shipped()[name].grammar != "words"]
INVENTORIES = {release: recorded(release) for release in RELEASES}
# Values to try where the catalog takes an option as an operand of a form (`dig +retry=3`).
VALUES = ("", "=1", "=0123456789abcdef", "=10.0.0.1", "=nsid", "=example.org")


def subcommands(node: Command | Sub) -> Iterator[Sub]:
    for sub in node.commands:
        yield sub
        yield from subcommands(sub)


def named(command: Command) -> set[str]:
    """Every word with a dash the catalog knows of a command, denied ones too."""
    found = set(command.table)
    for sub in subcommands(command):
        found.update(sub.spellings, sub.table, *(keyword.spellings for keyword in sub.keywords))
    return found


def is_named(command: Command, word: str) -> bool:
    if word in named(command) or (command.numeric and re.fullmatch(command.numeric, word)):
        return True
    forms = [form.match for operand in command.operands for form in operand.forms]
    return word.startswith("+") and any(re.fullmatch(form, word + value) for form in forms for value in VALUES)


def missing(name: str, words: Iterable[str]) -> set[str]:
    """The options of `words` that the table of `name` lacks; `NOT_OPTIONS` says what never was one."""
    command = shipped()[name]
    return {word for word in words if not is_named(command, word)}


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("name", PROGRAMS)
def test_the_table_holds_every_option_of_the_release(name: str, release: str) -> None:
    """Abbreviations and clusters are only understood right when the whole option set is known."""
    rows = INVENTORIES[release]
    own = {word.rstrip("[=]") for word in rows.get((name, "getopt"), set()) - {"+"}}
    assert missing(name, rows.get((name, "options"), set()) | own) == set()


# No package of either release holds them, or their page names no options.
UNRECORDED = {"lsmod"}


def test_every_program_is_in_the_inventory() -> None:
    for rows in INVENTORIES.values():
        assert {name for name in PROGRAMS if (name, "options") not in rows} <= UNRECORDED


def arity(option: Option) -> str:
    return "" if not option.value else "[=]" if option.optional else "="


# Where the table reads a value otherwise than the program, for a reason.
READ_OTHERWISE: Mapping[str, str] = {
    "journalctl": "--this-boot",  # undocumented, the table has it for --boot
    "ls": "--classify",  # without a value in RHEL 9, which says so
}


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("name", PROGRAMS)
def test_an_option_takes_a_value_where_the_program_takes_one(name: str, release: str) -> None:
    """A letter taken for a value is an option nobody judged: `ls -FR` would walk unseen."""
    command = shipped()[name]
    for word in sorted(INVENTORIES[release].get((name, "getopt"), set()) - {"+"}):
        spelling = word.rstrip("[=]")
        option = command.table.get(spelling)
        if option is not None and not option.deny and spelling not in READ_OTHERWISE.get(name, "").split():
            assert f"{spelling}{arity(option)}" == word


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("name", [name for name in PROGRAMS if shipped()[name].grammar == "getopt"])
def test_options_end_where_the_program_ends_them(name: str, release: str) -> None:
    """What follows the first operand is an option for some programs and an operand for others."""
    words = INVENTORIES[release].get((name, "getopt"))
    if words is None:
        pytest.skip("its getopt table is not in cases/getopt: add it where the program takes long options")
    assert shipped()[name].permute == ("+" not in words)


@pytest.mark.parametrize("release", RELEASES)
def test_the_catalog_knows_every_subcommand_of_the_release(release: str) -> None:
    """A shortened name (`ip l`) is only understood right when all names are known."""
    lacking = []
    for (name, kind), words in INVENTORIES[release].items():
        if name in shipped() and kind.startswith("verbs"):
            thing = kind.removeprefix("verbs").strip()
            node: Command | Sub | None = shipped()[name]
            if thing:
                node = next(sub for sub in shipped()[name].commands if thing in sub.spellings)
            if node is not None and (isinstance(node, Command) or not node.deny):
                known = [spelling for sub in node.commands for spelling in sub.spellings]
                if shipped()[name].abbreviate:
                    known += [word for word in words if any(spelling.startswith(word) for spelling in known)]
                lacking += [" ".join(filter(None, (name, thing, word))) for word in words - set(known)]
    assert sorted(lacking) == []


# Options of the table that are in neither inventory, by reason. Listed they keep abbreviations right where they exist.
NEWER = "in releases after those, or in other builds of the program"
UNDOCUMENTED = "taken by the program, in no page, help text or getopt table"
SPELLED = "spellings, prefixes and values written out; names for what has none"
SHARED = "of the other program on the same page, refused by name"
SIGNALS = (
    "-1 -HUP -SIGHUP -2 -INT -SIGINT -3 -QUIT -SIGQUIT -6 -ABRT -SIGABRT -9 -KILL -SIGKILL -10 -USR1 -SIGUSR1 -12 -USR2"
)
SIGNALS += " -SIGUSR2 -15 -TERM -SIGTERM -18 -CONT -SIGCONT -19 -STOP -SIGSTOP"
ELSEWHERE: Mapping[str, Mapping[str, str]] = {
    NEWER: {
        "chronyc": "modify doffset -e",
        "column": "-m --table-maxout -C --table-column -S --use-spaces --wrap-separator --color",
        "dmesg": "-K --kmsg-file",
        "env": "--argv0 -a",
        "free": "-L --line",
        "htop": "-n --max-iterations --no-meters",
        "journalctl": "-i -I --truncate-newline --list-namespaces -T --exclude-identifier --synchronize-on-exit",
        "kill": "-r --require-handler -d --show-process-state",
        "last": "-T --tab-separated",
        "less": """--no-number-headers --show-preproc-errors --proc-backspace --proc-return --proc-tab --header
            --lesskey-content --search-options --autosave --intr --redraw-on-quit --exit-follow-on-close --modelines
            --no-vbell --match-shift --cmd --no-poll --no-edit-warn --form-feed --past-eof --wordwrap --end-prompt
            --default-prompt""",
        "mount": "--map-users --map-groups --onlyonce --exclusive --beneath",
        "numactl": "-w --weighted-interleave",
        "nvidia-smi": "power-smoothing power-profiles -acp --applications-clocks-permission --version",
        "ping": "-H",
        "pkill": "-H --require-handler",
        "ss": "-B --bound-inactive --bpf-maps --bpf-map-id -Q --no-queues",
        "systemctl": """list-paths soft-reboot sleep -C --capsule --kill-value --no-warn --image-policy --drop-in --when
            --stdin""",
        "top": "-A --apply-defaults",
        "uptime": "-c --container -r --raw",
        "w": "-c --container -p --pids -n",
        "wc": "--total",
        "xxd": "-R",
        "ethtool": """--get-plca-cfg --get-plca-status --show-mm --show-pse --get-phc-vclocks --flash-phy
            --flash-module-firmware --set-plca-cfg --set-mm --set-pse""",
        "rocm-smi": """-V --version --showtopoaccess --showcomputepartition --showmemorypartition --shownodesbw
            --setextremum --setcomputepartition --setmemorypartition --resetcomputepartition --resetmemorypartition""",
        "lstopo": "--shmem-output-addr",
    },
    UNDOCUMENTED: {
        "dig": "-d -i -n --help",
        "host": "-D",
        "hostname": "-n --node -v --verbose",
        "iostat": "--help",
        "kill": "-0",
        "pkill": "-0",
        "ipmitool": "bmc",
        "less": "-1",
        "locale": "--program-name --HANG",
        "loginctl": "help --kill-who",
        "mount": "--sloppy -p --pass-fd",
        "mpstat": "--help",
        "nfsstat": "-V -h",
        "nvidia-smi": """--help-query-gpu --help-query-compute-apps --help-query-accounted-apps
            --help-query-supported-clocks --help-query-retired-pages --help-query-remapped-rows""",
        "ps": "-Z -k -n --no-heading --noheader --noheaders --noheading --help-simple +k +N",
        "systemctl": "condrestart force-reload --kill-who",
        "chronyc": "dfreq exit quit",
        "hostnamectl": "help set-hostname set-icon-name set-chassis set-deployment set-location",
        "timedatectl": "help",
        "lstopo": "--whole-system --xml --fsys-root --synthetic",
        "rdma": "monitor help",
    },
    SPELLED: {
        "find": """-O0 -O1 -O2 -O3 -a -and -o -neweraa -neweraB -newerac -neweram -newerBa -newerBB -newerBc -newerBm
            -newerca -newercB -newercc -newercm -newerma -newermB -newermc -newermm -newerat -newerBt -newerct
            -newermt""",
        "ip": """addr a l r ro ru n tunl --statistics -ss --details --brief --json -c=always -c=never -c=auto
            -color=always -color=never -color=auto -ba -bat -batc --batch -ne -net --netns""",
        "ipmitool": "-vv -vvv",
        "kill": SIGNALS,
        "pkill": SIGNALS,
        "xxd": "-group --help -name -offset -skip -uppercase -upper --version",
        "ethtool": "settings",
    },
    SHARED: {"pkill": "-v -w -d -l -a"},
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_an_option_no_release_has_is_there_for_a_reason(name: str) -> None:
    known = {
        word.rstrip("[=]")
        for rows in INVENTORIES.values()
        for kind in ("options", "getopt", "verbs")
        for word in rows.get((name, kind), ())
    }
    verbs = {spelling for sub in shipped()[name].commands for spelling in sub.spellings}
    if not any((name, "verbs") in rows for rows in INVENTORIES.values()):
        verbs = {verb for verb in verbs if verb.startswith("-")}
    reasoned = {"-?"}.union(*(table.get(name, "").split() for table in ELSEWHERE.values()))
    assert (set(shipped()[name].table) | verbs) - known - reasoned == set()


def listed_options(name: str) -> set[str]:
    """The options that the installed program lists when it is asked for help."""
    program = shutil.which(name)
    assert program
    found: set[str] = set()
    for words in ASKED.get(name, (("--help",),)):
        done = subprocess.run(
            [program, *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=20,
            env={"PATH": "/usr/bin:/usr/sbin", "LC_ALL": "C", "PAGER": "cat"},
        )
        text = (done.stdout + done.stderr).decode(errors="replace")
        text = "\n".join(line for line in text.splitlines() if not UNKNOWN.search(line))
        found |= options_in(text, name)
        if name not in WHOLE:
            found |= set(re.findall(r"(?<![\w-])(--[a-z][\w-]*)", text))
    return found - NOT_OPTIONS.get(name, frozenset())


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_table_holds_every_option_the_installed_program_lists(name: str) -> None:
    if not shutil.which(name):
        pytest.skip("not installed here: packaging/system-packages brings what Debian has")
    assert missing(name, listed_options(name)) == set()


def test_the_readers_of_pages_do_what_their_examples_say() -> None:
    assert doctest.testmod(pages).failed == 0
    assert doctest.testmod(inventory).failed == 0
