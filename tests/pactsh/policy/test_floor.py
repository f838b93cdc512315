"""What no policy can do, one attempt a row."""

from __future__ import annotations

from typing import Any

import pytest

from pactsh.policy.floor import above_floor, floor_faults
from pactsh.policy.model import CommandOverlay, build_policy
from tests.pactsh.catalog.deciding import shipped

TOOL = {"name": "mytool", "summary": "a tool", "group": "system", "paths": ["/usr/bin/mytool"]}


def overlay(**commands: object) -> CommandOverlay:
    return build_policy({"vcluster": "ml", "commands": commands}).commands


def faults(**commands: object) -> list[str]:
    return [
        "".join(f"[{s}]" if isinstance(s, int) else f".{s}" for s in steps).lstrip(".") + ": " + message
        for steps, message in floor_faults(overlay(**commands), shipped())
    ]


def added(**fields: object) -> list[str]:
    return faults(add=[TOOL | fields])


def granted(grants: dict[str, object], **form: object) -> list[str]:
    return added(options=[{"names": "-x", "grants": grants, **form}])


def extending(command: str, **fields: Any) -> list[str]:
    return faults(extend=[{"command": command, **fields}])


def test_a_plain_tool_is_above_it() -> None:
    assert added(options=[{"names": "-a"}], operands=[{"kind": "file", "count": "*"}]) == []


@pytest.mark.parametrize("name", ["bash", "python3.11", "awk", "env", "sudo", "busybox", "ld-linux-x86-64.so.2"])
def test_a_program_that_runs_others_is_not_added_under_any_name(name: str) -> None:
    assert any("can't be added: it " in text for text in added(paths=[f"/usr/bin/{name}"]))
    if name.islower() and "ld-" not in name:
        assert any("can't be added: it " in t for t in added(name=name, paths=[f"/usr/bin/{name}"]))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"name": "bypass", "paths": ["/usr/bin/bypass"]}, "bypass is the shell's own word"),
        ({"name": "exit", "paths": ["/usr/bin/exit"]}, "exit is the shell's own word"),
        ({"name": "pact", "paths": ["/usr/bin/pact"]}, "pact is the shell's own word"),
        ({"name": "ls", "paths": ["/usr/bin/ls"]}, "ls is in the catalog"),
        ({"name": "mytool", "paths": ["/usr/bin/sort"]}, "must be a path of mytool itself"),
        ({"name": "mytool", "paths": ["/usr/bin/./mytool"]}, "must be a path of mytool itself"),
        ({"builtin": True, "paths": []}, "a policy adds programs, no builtins"),
    ],
)
def test_what_is_there_is_not_replaced(fields: dict[str, Any], words: str) -> None:
    assert any(words in text for text in added(**fields))


def test_what_the_format_has_for_the_catalog_alone_stays_there() -> None:
    assert added(feed="gzip") == ["add[0].feed: is the catalog's to say"]
    assert added(grammar="ps")[0].startswith("add[0].grammar: is for one program")


def test_a_command_is_added_once() -> None:
    assert faults(add=[TOOL, TOOL]) == ["add[1].name: mytool is added twice"]


@pytest.mark.parametrize("name", ["exit", "logout", "help", "pact", "cd", "history", "whoami"])
def test_the_shells_own_commands_stay(name: str) -> None:
    assert faults(remove=[name])[0].startswith("remove[0]: ")
    assert faults(narrow=[{"command": name, "read_only": True}])[0].startswith("narrow[0].command: ")
    assert extending(name, options=[{"names": "-x"}])[0].startswith("extend[0].command: ")


GUARDED = """
/ /etc /etc/cron.d /usr /usr/local/bin /bin /sbin /lib64 /boot /dev /dev/shm /proc/sys /sys /root /run /var
/var/lib /var/lib/pact /var/spool/cron /opt/rocm/bin /etc/pact /var/lock /var/log /var/log/audit /sysroot
/ostree/deploy /srv/* /srv/../etc /srv/
"""
REFUSED_GRANTS: list[dict[str, Any]] = [
    {"unconfined": True},
    {"exec": ["/usr/bin/mytool-helper"]},
    {"lookup": True},
    {"trace": True},
    *(
        {"caps": [f"cap_{name}"]}
        for name in ["sys_admin", "sys_module", "sys_rawio", "sys_ptrace", "dac_override", "setuid", "bpf"]
    ),
    {"caps": ["cap_net_admin"]},
    {"caps": ["cap_kill"]},
    *({"devices": [path]} for path in ("/dev/mem", "/dev/kmem", "/dev/port", "/dev/sda", "/dev/nvme0", "/dev/kmsg")),
    *({"devices": [path]} for path in ("/dev/*", "/dev/cpu/0/msr", "/dev/dri/../mem", "/dev/nvidia0/../mem", "/etc/x")),
    *({"read": [path]} for path in ("/", "/etc", "/etc/pact", "/var/lib/pact/x", "/run/pact", "/root", "/etc/shadow")),
    {"read": ["/srv/../root"]},
    *({"read": [path]} for path in ("/dev", "/dev/sda", "/dev/disk/by-id", "/de*", "/*", "/srv/*")),
    {"write": ["/scratch"]},
]


@pytest.mark.parametrize("grants", REFUSED_GRANTS, ids=str)
def test_a_form_that_reads_is_granted_little(grants: dict[str, Any]) -> None:
    assert len(granted(grants)) == 1
    for place in (
        {"grants": grants},
        {"operands": [{"kind": "int", "grants": grants}]},
        {"operands": [{"kind": "int", "forms": [{"match": "1", "grants": grants}]}]},
        {"commands": [{"names": "a", "commands": [{"names": "b", "keywords": [{"names": "k", "grants": grants}]}]}]},
        {"commands": [{"names": "a", "options": [{"names": "-o", "grants": grants}]}]},
        {"commands": [{"names": "a", "operands": [{"kind": "int", "grants": grants}]}]},
    ):
        assert len(added(**place)) == 1, place
    assert len(extending("ls", options=[{"names": "--zz", "grants": grants}])) == 1
    assert len(extending("systemctl", commands=[{"names": "zz", "grants": grants}])) == 1


@pytest.mark.parametrize("path", GUARDED.split())
def test_a_form_that_changes_writes_nowhere_that_decides_what_runs(path: str) -> None:
    assert len(granted({"write": [path]}, change="files")) == 1


def test_what_is_granted_is_granted() -> None:
    assert granted({"write": ["/scratch", "/srv/data"], "caps": ["cap_net_admin"]}, change="files") == []
    devices = [
        "/dev/nvidia0",
        "/dev/nvidiactl",
        "/dev/kfd",
        "/dev/dri/renderD128",
        "/dev/infiniband/umad0",
        "/dev/ipmi0",
    ]
    read = {"devices": devices, "net": True, "terminal": True, "caps": ["cap_net_raw", "cap_syslog"], "read": ["/srv"]}
    assert granted(read) == []


@pytest.mark.parametrize(
    ("command", "option", "words"),
    [
        ("sort", {"names": "-o --output", "value": "string"}, "is denied by the catalog"),
        ("sort", {"names": "--output", "value": "string"}, "must have all spellings"),
        ("sort", {"names": "--outp", "value": "string"}, "the program would take --outp for --output"),
        ("sort", {"names": "-k --key"}, "takes a value is the program's to say"),
        ("sort", {"names": "-n --numeric-sort", "value": "string"}, "takes a value is the program's to say"),
        (
            "nvidia-smi",
            {"names": "-pm --persistence-mode", "value": "word"},
            "changes the node (gpu), and that stays so",
        ),
        ("env", {"names": "--zz"}, "env can't be extended: it runs its operands"),
        ("grep", {"names": "-r --recursive"}, "recursive"),
        ("kill", {"names": "-1 -HUP -SIGHUP", "change": "services"}, "into, recursive and first"),
        ("top", {"names": "-b --batch-mode"}, "match, refuse, requires"),
        ("date", {"names": "-r --reference", "value": "word"}, "keep the catalog's kind"),
    ],
)
def test_an_extension_lifts_nothing(command: str, option: dict[str, Any], words: str) -> None:
    assert any(words in text for text in extending(command, options=[option])), extending(command, options=[option])


@pytest.mark.parametrize(
    ("command", "sub", "words"),
    [
        ("ip", {"names": "net"}, "the program would take net for netconf"),
        ("ip", {"names": "netns"}, "denies or changes in the catalog"),
        ("systemctl", {"names": "restart"}, "denies or changes in the catalog"),
        ("systemctl", {"names": "zz", "default": True}, "catalog's to say"),
        ("cat", {"names": "zz"}, "cat has no subcommands"),
        ("systemctl", {"names": "zz", "free": True}, "is for builtins"),
    ],
)
def test_a_new_subcommand_stands_for_no_other(command: str, sub: dict[str, Any], words: str) -> None:
    assert any(words in text for text in extending(command, commands=[sub])), extending(command, commands=[sub])


def test_a_form_may_be_denied() -> None:
    assert extending("sort", options=[{"names": "-k --key", "value": "word", "deny": "is slow"}]) == []


def test_an_extension_is_judged_by_what_the_ones_before_it_made() -> None:
    first = {"command": "ls", "options": [{"names": "--zz --yy", "deny": "writes"}]}
    second = {"command": "ls", "options": [{"names": "--zz --yy"}]}
    assert faults(extend=[second, first]) == []
    assert "denied by the catalog" in faults(extend=[first, second])[0]


def test_what_is_below_is_left_out_and_the_rest_stays() -> None:
    bad = TOOL | {"name": "bash", "paths": ["/usr/bin/bash"]}
    mixed = overlay(
        add=[bad, TOOL],
        extend=[{"command": "sort", "options": [{"names": "-o --output", "value": "string"}]}],
        remove=["exit", "dmesg"],
        narrow=[{"command": "ip", "read_only": True}],
    )
    kept, dropped = above_floor(mixed, shipped())
    assert ([c.name for c in kept.add], kept.extend, kept.remove) == (["mytool"], (), ("dmesg",))
    assert kept.narrow == mixed.narrow
    assert [text.partition(":")[0] for text in dropped] == [
        "commands.remove[0]",
        "commands.add[0]",
        "commands.extend[0]",
    ]
    assert above_floor(kept, shipped()) == (kept, ())


SYSTEMCTL = [
    {"names": name, "operands": [{"kind": "string", "count": "*"}]} for name in ("isolate", "poweroff", "start")
]


def test_an_extension_of_a_command_that_is_left_out_is_judged_by_the_catalogs() -> None:
    """A journal that lies could else replace denied forms: the addition goes, and takes its excuse along."""
    liar = overlay(
        add=[TOOL | {"name": "systemctl", "paths": ["/usr/bin/systemctl"], "commands": [{"names": "zz"}]}],
        extend=[{"command": "systemctl", "commands": SYSTEMCTL}],
    )
    kept, left_out = above_floor(liar, shipped())
    assert kept == CommandOverlay()
    assert len(left_out) == 2


@pytest.mark.parametrize(
    "commands",
    [
        {"add": [TOOL, TOOL | {"summary": "other"}], "extend": [{"command": "mytool", "options": [{"names": "-a"}]}]},
        {
            "add": [TOOL | {"name": "sort", "paths": ["/usr/bin/sort"]}],
            "extend": [{"command": "sort", "options": [{"names": "-o --output", "value": "string"}]}],
        },
        {"add": [TOOL | {"feed": "gzip"}], "extend": [{"command": "mytool", "options": [{"names": "-a"}]}]},
    ],
)
def test_what_is_left_has_no_faults(commands: dict[str, Any]) -> None:
    kept, left_out = above_floor(overlay(**commands), shipped())
    assert left_out
    assert list(floor_faults(kept, shipped())) == []


@pytest.mark.parametrize(
    ("command", "option"),
    [
        ("ping", {"names": "-i", "value": "number"}),
        ("ping", {"names": "-i", "value": "number", "low": 0}),
        ("ipmitool", {"names": "-I", "value": "enum", "choices": ["open", "lanplus"]}),
        ("grep", {"names": "-D --devices", "value": "string"}),
    ],
)
def test_an_options_values_are_not_widened(command: str, option: dict[str, Any]) -> None:
    assert any("fewer values" in text for text in extending(command, options=[option]))


def test_an_options_values_may_be_narrowed() -> None:
    old = next(option for option in shipped()["ping"].options if "-i" in option.spellings)
    assert old.low is not None
    new = {"names": old.names, "value": old.value, "low": old.low + 1, "high": 60}
    assert extending("ping", options=[new]) == []


def test_a_subcommand_keeps_what_the_catalog_judges_of_it() -> None:
    bare = {"names": "is-enabled", "operands": [{"kind": "string", "count": "*"}]}
    assert any("keeps the catalog's operands" in text for text in extending("systemctl", commands=[bare]))
