"""The answer to `pact diag`: which logs are in it, how much of them, and what is never in it."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from pact_agent.diag.gather import LIMIT_BYTES, Diagnostics, Times
from pact_agent.diag.journald import Journal
from pact_agent.diag.services import KeptLogs, ServiceLogs
from pact_agent.diag.sources import Places

from pactsh.errors import NotFoundError, PactError, UsageError
from pactsh.policy.model import Policy


class Site:
    """A node's logs in a directory of the test's own."""

    def __init__(self, directory: Path) -> None:
        self.log = directory / "log"
        self.log.mkdir()
        os.mkfifo(directory / "kmsg")  # at its end at once, as a kernel's log without records
        (self.log / "syslog").write_text("one\ntwo\nthree\n")
        self.places = Places(
            tree=str(self.log),
            syslog=(str(self.log / "syslog"), str(self.log / "messages")),
            kernel=str(directory / "kmsg"),
            journal=Journal(socket=str(directory / "no-socket")),
        )
        self.paths: tuple[str, ...] = ()
        self.secrets: tuple[str, ...] = ()
        self.services: ServiceLogs = KeptLogs(directory / "services")

    def ask(self, times: Times | None = None, **params: object) -> list[dict[str, Any]]:
        return asyncio.run(self.diagnostics(times).answer(params))

    def diagnostics(self, times: Times | None = None) -> Diagnostics:
        return Diagnostics(
            "node042",
            lambda: Policy("ml", diag_paths=self.paths),
            lambda: self.secrets,
            services=self.services,
            places=self.places,
            times=times,
        )

    def shown(self, **params: object) -> dict[str, list[str]]:
        """Lines by source, with the reason in front where one could not be read."""
        found: dict[str, list[str]] = {}
        for item in self.ask(None, **params):
            for source in item["sources"]:
                found[source["source"]] = [f"! {source['error']}"] if source["error"] else []
            for line in item["lines"]:
                found[line["source"]].append(line["text"])
        return {name.replace(str(self.log), "LOG"): lines for name, lines in found.items()}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_the_systems_logs(site: Site) -> None:
    shown = site.shown(lines=2)
    assert list(shown) == ["kernel", "LOG/syslog"]
    assert shown["LOG/syslog"] == ["two", "three"]
    assert site.shown(source="service") == {}


def test_what_the_policy_adds(site: Site) -> None:
    (site.log / "slurm").mkdir()
    for name in ("slurmd.log", "slurmd.log.1", "other.txt"):
        (site.log / "slurm" / name).write_text(f"{name}\n")
    site.paths = (f"{site.log}/slurm/*.log*", f"{site.log}/none")
    shown = site.shown()
    assert shown["LOG/slurm/slurmd.log"] == ["slurmd.log.1", "slurmd.log"]  # one log, with what it was before
    assert shown["LOG/none"] == ["! No such file or directory"]
    assert len(shown) == 4


def test_what_the_policy_can_not_add(site: Site, tmp_path: Path) -> None:
    """It was checked where it was written; a node checks again, and looks at what really lies there."""
    (tmp_path / "key").write_text("what is in it\n")
    (site.log / "link").symlink_to(tmp_path / "key")
    os.link(tmp_path / "key", site.log / "hard")
    os.mkfifo(site.log / "pipe")
    (site.log / "id_rsa").write_text("what is in it\n")
    (site.log / "masked").write_text("what is in it\n")
    site.secrets = (str(tmp_path / "key"), str(site.log / "masked"))
    site.paths = ("/etc/shadow", f"{site.log}/../key", f"{site.log}/id_rsa", *(f"{site.log}/{n}*" for n in ("link", "hard", "pipe", "masked")))  # fmt: skip  # noqa: E501
    shown = site.shown()
    assert "what is in it" not in str(shown.values())
    why = {name: lines[0] for name, lines in shown.items() if name != "LOG/syslog" and lines}
    assert why == {
        "/etc/shadow": f"! diag_paths: is not below {site.log}: only logs are shown",
        "LOG/../key": "! diag_paths: a place is written in full, from / on: no `.`, `..`, `//` or `/` at the end",
        "LOG/id_rsa": "! diag_paths: is a secret",
        "LOG/link": "! it is a symbolic link, not a file",
        "LOG/hard": "! it is a secret under another name",
        "LOG/pipe": "! it is a pipe, not a file",
        "LOG/masked": "! it is a secret",
    }


def test_over_so_many_files_the_rest_is_counted(site: Site) -> None:
    for number in range(70):
        (site.log / f"app{number:02}").write_text("x\n")
    site.paths = (f"{site.log}/app*",)
    shown = site.shown(lines=1)
    assert shown["diag_paths"] == ["! over 64 files: 6 of them are left out"]
    assert len(shown) == 2 + 64 + 1


def test_filters(site: Site) -> None:
    assert site.shown(grep="^t")["LOG/syslog"] == ["two", "three"]
    assert site.shown(grep="^t", lines=1)["LOG/syslog"] == ["three"]
    assert site.shown(since="2999-01-01T00:00:00Z")["LOG/syslog"] == []
    with pytest.raises(UsageError, match="--grep: at character 1: there is nothing before it"):
        site.ask(grep="*")
    with pytest.raises(UsageError, match="lines: expected a number from 1 to 10000"):
        site.ask(lines=10_001)


def test_a_pattern_that_others_never_end_with(site: Site) -> None:
    (site.log / "syslog").write_text(f"{'a' * 8000}!\n" * 500)
    assert site.shown(grep="(a+)+$")["LOG/syslog"] == []


def test_no_more_text_than_is_sent(site: Site) -> None:
    (site.log / "syslog").write_text("".join(f"{n:06} {'x' * 1000}\n" for n in range(9000)))
    items = site.ask(lines=10_000)
    lines = [line["text"] for item in items for line in item["lines"]]
    assert lines[-1].startswith("008999 ")
    assert LIMIT_BYTES // 4 < sum(len(line) for line in lines) <= LIMIT_BYTES
    (source,) = [source for source in items[0]["sources"] if source["source"].endswith("syslog")]
    assert (source["lines"], source["truncated"], source["limit"]) == (len(lines), True, "size")  # no other has any
    assert all(item["truncated"] is True for item in items)
    assert max(len(str(item)) for item in items) < 1 << 20  # a frame's


def test_services_of_the_agents_own(site: Site, tmp_path: Path) -> None:
    for name in ("a", "b", "new", "-odd"):
        (tmp_path / "services" / name).mkdir(parents=True)
    for name in ("a", "b"):
        (tmp_path / "services" / name / "log").write_text(f"{name} says\n")
        (tmp_path / "services" / name / "log.1").write_text(f"{name} said\n")
    (tmp_path / "services/c").symlink_to(tmp_path / "services/a")
    expected = {
        "service:a": ["a said", "a says"],
        "service:b": ["b said", "b says"],
        "service:new": ["! No such file or directory"],
    }
    assert site.shown(source="service") == expected
    assert list(site.shown()) == ["kernel", "LOG/syslog", *expected]
    assert site.shown(service="b") == {"service:b": ["b said", "b says"]}
    with pytest.raises(NotFoundError, match=r"^diag: c: no such service on this node") as caught:
        site.ask(service="c")
    assert caught.value.hint == "services with a log here: a, b, new"


def test_what_hangs_is_not_waited_for(site: Site, tmp_path: Path) -> None:
    """As a file system does whose server is gone. Whoever asks again is not another thread that hangs."""
    ends = threading.Event()
    tries: list[str] = []

    class Stuck:
        def log(self, name: str) -> str:
            return str(tmp_path / name)

        def names(self) -> Sequence[str]:
            tries.append("")
            ends.wait()
            return ()

    site.services = Stuck()
    diagnostics = site.diagnostics(Times(list_s=0.1))

    async def ask() -> None:
        with pytest.raises(PactError, match=r"^diag: looking for logs took too long$"):
            await diagnostics.answer({})
        with pytest.raises(PactError, match=r"^diag: looking for logs: an earlier try still hangs$"):
            await diagnostics.answer({})
        assert len(tries) == 1
        ends.set()
        assert (await diagnostics.answer({}))[0]["node"] == "node042"

    try:
        asyncio.run(ask())
    finally:
        ends.set()


def test_a_journal_that_hangs_costs_its_own_time_and_the_rest_is_there(site: Site, tmp_path: Path) -> None:
    slow = tmp_path / "journalctl"
    slow.write_text("#!/bin/sh\nexec sleep 600\n")
    slow.chmod(0o755)
    journal = Journal(journalctl=str(slow), socket=str(slow))
    site.places = Places(str(site.log), (), str(tmp_path / "kmsg"), journal)
    site.paths = (f"{site.log}/syslog",)
    items = site.ask(Times(each_s=0.2))
    (source,) = [s for s in items[0]["sources"] if s["source"] == "journal"]
    assert (source["truncated"], source["limit"]) == (True, "time")
    assert len(items[0]["lines"]) == 3


def test_names_of_files_do_nothing_to_a_terminal(site: Site) -> None:
    (site.log / "a\x1b[2J\udcff").write_text("x\n")
    site.paths = (f"{site.log}/a*",)
    assert site.shown()["LOG/a\\x1b[2J\\xff"] == ["x"]


def test_a_search_that_nobody_waits_for_ends(site: Site, tmp_path: Path) -> None:
    program = tmp_path / "journalctl"
    program.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\nexec sleep 600\n")
    program.chmod(0o755)
    site.places = Places(str(site.log), (), site.places.kernel, Journal(journalctl=str(program), socket=str(program)))

    async def leave() -> None:
        asking = asyncio.create_task(site.diagnostics(Times(each_s=60, all_s=60)).answer({}))
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
            await asyncio.sleep(0.01)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        while Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}").exists():
            await asyncio.sleep(0.01)

    asyncio.run(leave())


def test_a_secret_under_the_name_of_the_systems_log(site: Site, tmp_path: Path) -> None:
    """Where the kernel lets everybody link to everything, who may write to the directory can make it one."""
    secret = tmp_path / "shadow"
    secret.write_text("root:$6$hash\n")
    site.secrets = (str(secret),)
    (site.log / "syslog").unlink()
    os.link(secret, site.log / "syslog")
    assert site.shown()["LOG/syslog"] == ["! it is a secret under another name"]
