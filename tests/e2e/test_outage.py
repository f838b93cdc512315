"""The journal gone, a full disk under it, a full spool, a strict policy: what a user sees, and that nothing is lost."""

from __future__ import annotations

import asyncio
import errno
import os
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pact_agent.clock import timestamp

from pactsh.auth.ca import Authority
from pactsh.auth.tls import new_agent_request
from pactsh.dev.layout import ADMINISTRATOR, ADMINISTRATOR_ROLE
from pactsh.model.entry import Author, Draft, Entry, JsonObject
from tests.e2e.site import Site, site
from tests.e2e.test_kill import everything
from tests.pact_agent.localnode import BIN, IS_ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


async def pactsh(where: Site, line: str) -> subprocess.CompletedProcess[str]:
    assert where.agent is not None
    return await asyncio.to_thread(where.agent.line, line)


async def status(where: Site) -> str:
    assert where.agent is not None
    env = {"PACT_AGENT_SOCKET": str(where.agent.socket), "PATH": os.environ["PATH"], "HOME": "/nonexistent"}
    done = await asyncio.to_thread(
        subprocess.run, [str(BIN / "pact"), "status"], capture_output=True, text=True, timeout=60, env=env
    )
    return done.stdout + done.stderr


async def toolbar_says_connected(where: Site) -> bool:
    with await asyncio.to_thread(where.connect) as wire:
        wire.send({"op": "state"})
        return bool((await asyncio.to_thread(wire.until, "state"))["journal"])


async def until(check: Callable[[], Awaitable[bool]], limit_s: float = 60) -> None:
    async with asyncio.timeout(limit_s):
        while not await check():
            await asyncio.sleep(0.1)


def lines_of(entries: list[Entry]) -> list[str]:
    """What was typed, in the order of the journal; every intent has its outcome."""
    intents = [e for e in entries if e.type == "intent"]
    outcomes = {(e.body or {})["id"] for e in entries if e.type == "outcome"}
    assert [(e.body or {})["line"] for e in intents if (e.body or {})["id"] not in outcomes] == []
    return [str((e.body or {})["line"]) for e in intents]


def is_sound(entries: list[Entry]) -> bool:
    numbers = [e.number for e in entries if e.client.startswith("agent:")]
    return numbers == sorted(set(numbers)) and [e.seq for e in entries] == list(range(1, len(entries) + 1))


async def outage(directory: Path) -> None:
    async with site(directory) as where:
        assert (await pactsh(where, "echo before")).stdout == "before\n"
        await where.drained()
        await where.kill_journal()

        async def is_noticed() -> bool:
            return not await toolbar_says_connected(where)

        await until(is_noticed)
        assert "Journal:     UNREACHABLE since" in await status(where)
        assert (await pactsh(where, "echo during")).stdout == "during\n"
        refused = await pactsh(where, "rm -rf /tmp/x")
        assert refused.returncode == 6
        told = await pactsh(where, "pact log -n 3")
        assert (told.returncode, "can't be reached" in told.stderr) == (5, True), told.stderr
        assert "entries waiting" in await status(where)
        await where.start_journal()
        await where.drained()
        assert (await pactsh(where, "echo after")).stdout == "after\n"
        await where.drained()
        entries = await everything(where)
        assert is_sound(entries)
        assert lines_of(entries) == ["echo before", "echo during", "pact log -n 3", "echo after"]
        during = next(e for e in entries if e.type == "intent" and (e.body or {})["line"] == "echo during")
        assert (during.body or {})["decision"]["degraded"] is True  # type: ignore[index,call-overload]
        # The time is that of the line; when the journal got it stands beside it.
        assert during.recorded_at is not None
        assert during.time < during.recorded_at
        times = [e.time for e in entries if e.client.startswith("agent:")]
        assert times == sorted(times)
        assert [e.type for e in entries if (e.body or {}).get("line") == "rm -rf /tmp/x"] == ["refusal"]


def test_without_its_journal_a_node_goes_on_and_says_so(tmp_path: Path) -> None:
    asyncio.run(outage(tmp_path / "s"))


async def strictness(directory: Path) -> None:
    async with site(directory) as where:
        await set_policy(where, audit="strict")

        async def is_strict() -> bool:
            entries = await everything(where)
            return any(e.policy == "ml-training:1" for e in entries if e.type == "intent")

        async def is_followed() -> bool:
            await pactsh(where, "echo asked")
            await where.drained()
            return await is_strict()

        await until(is_followed)
        assert (await pactsh(where, "echo confirmed")).stdout == "confirmed\n"
        await where.kill_journal()
        refused = await pactsh(where, "echo unseen")
        assert (refused.stdout, refused.returncode) == ("", 5), refused.stderr
        assert "policy requires it (audit = strict)" in refused.stderr
        await where.start_journal()

        async def runs_again() -> bool:
            return (await pactsh(where, "echo again")).stdout == "again\n"

        await until(runs_again)
        await where.drained()
        entries = await everything(where)
        assert is_sound(entries)
        lines_of(entries)


async def set_policy(where: Site, **fields: str) -> None:
    """As a platform admin would: an entry of the journal, followed by the agents."""
    document: JsonObject = {"vcluster": "ml-training", "version": 1, "containment": "best-effort", **fields}
    draft = Draft(
        client=f"user:{ADMINISTRATOR}:test",
        number=1,
        time=timestamp(datetime.now(UTC)),
        type="policy.updated",
        scope="vcluster:ml-training",
        author=Author(ADMINISTRATOR, (ADMINISTRATOR_ROLE,)),
        body={"policy": document},
    )
    acks, _ = await where.journal.client().append([draft])
    assert acks[0].error is None


def test_a_strict_policy_runs_nothing_that_the_journal_has_not_confirmed(tmp_path: Path) -> None:
    asyncio.run(strictness(tmp_path / "s"))


@contextmanager
def small_disk(directory: Path, size: str) -> Iterator[Path]:
    """A file system of its own at `directory`; returns the file to fill it with."""
    directory.mkdir(parents=True, mode=0o700)
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "none", str(directory)],
        capture_output=True,
        text=True,
        timeout=30,
    )
    if made.returncode != 0:
        pytest.skip(f"mounting takes CAP_SYS_ADMIN: {made.stderr.strip()}")
    try:
        yield directory / "ballast"
    finally:
        subprocess.run(["umount", "-l", str(directory)], check=True, timeout=30)


def fill(ballast: Path) -> None:
    """Write until nothing more fits."""
    with ballast.open("wb", buffering=0) as file:
        for size in (65536, 512):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise


async def full_journal(directory: Path, ballast: Path) -> None:
    async with site(directory) as where:
        await pactsh(where, "echo before")
        await where.drained()
        fill(ballast)
        for number in range(20):  # what is in the write-ahead log's allocated pages still fits
            assert (await pactsh(where, f"echo {number} " + "x" * 20_000)).returncode == 0
        log = where.layout.journal / "journal.log"

        async def is_logged() -> bool:
            # The log is on the full disk too: what it says may be cut.
            told = await status(where)
            return " 0 entries waiting" not in told

        await until(is_logged)
        assert (await pactsh(where, "echo during")).stdout == "during\n"
        ballast.unlink()
        await where.drained()
        assert (await pactsh(where, "echo after")).stdout == "after\n"
        await where.drained()
        entries = await everything(where)
        assert is_sound(entries)
        lines = lines_of(entries)
        assert [line.split()[1] for line in lines] == ["before", *map(str, range(20)), "during", "after"]
        assert "full" in log.read_text()


@pytest.mark.skipif(not IS_ROOT, reason="needs root to mount a small file system: run the tests as root")
def test_a_full_disk_under_the_journal_loses_nothing(tmp_path: Path) -> None:
    with small_disk(tmp_path / "s" / "journal", "3m") as ballast:
        asyncio.run(full_journal(tmp_path / "s", ballast))


async def full_spool(directory: Path, ballast: Path) -> None:
    async with site(directory) as where:
        swappiness = Path("/proc/sys/vm/swappiness").read_text().strip()
        change = f"sysctl -w vm.swappiness={swappiness}"
        assert (await pactsh(where, change)).returncode == 0, "the node has heard its policy"
        fill(ballast)  # the reservation is the spool's all the same
        await where.kill_journal()
        assert (await pactsh(where, change)).returncode == 0
        ran = 0

        async def line() -> subprocess.CompletedProcess[str]:
            nonlocal ran
            done = await pactsh(where, f"echo {ran} " + "x" * 60_000)
            ran += done.returncode == 0
            return done

        while (refused := await pactsh(where, change)).returncode == 0:
            assert (await line()).returncode == 0
        assert (refused.returncode, "the audit spool is nearly full" in refused.stderr) == (3, True), refused.stderr
        assert "read-only" in await status(where)
        while (last := await line()).returncode == 0:
            assert ran < 1000
        assert last.stdout == ""
        assert "spool" in last.stderr
        await where.start_journal()
        await where.drained()

        async def is_normal() -> bool:
            return (await pactsh(where, change)).returncode == 0

        await until(is_normal)
        await where.drained()
        entries = await everything(where)
        assert is_sound(entries)
        echoed = [text for text in lines_of(entries) if text.startswith("echo")]
        assert [int(text.split()[1]) for text in echoed] == list(range(ran))
        levels = [e.type for e in entries if e.type.startswith("audit.")]
        assert levels[0] == "audit.degraded"
        assert levels[-1] == "audit.restored"


@pytest.mark.skipif(not IS_ROOT, reason="needs root to mount a small file system: run the tests as root")
def test_a_full_spool_refuses_step_by_step_and_recovers(tmp_path: Path) -> None:
    with small_disk(tmp_path / "s" / "node" / "state", "20m") as ballast:
        asyncio.run(full_spool(tmp_path / "s", ballast))


async def bad_certificate(directory: Path, expired: bool) -> None:
    async with site(directory) as where:
        await pactsh(where, "echo before")
        await where.drained()
        await where.kill_agent()
        long_ago = datetime.now(UTC) - timedelta(days=10)
        authority = Authority.create(directory / "foreign")
        if expired:
            authority = Authority.load(where.layout.journal / "ca", clock=lambda: long_ago)
        keys = where.node_directory / "state" / "keys"
        kept = {name: (keys / name).read_bytes() for name in ("agent.key", "agent.pem")}
        key, request = new_agent_request("node042")
        (keys / "agent.key").write_bytes(key)
        (keys / "agent.pem").write_bytes(authority.agent_certificate("node042", request))
        await where.start_agent()
        assert where.agent is not None
        assert (await pactsh(where, "echo during")).stdout == "during\n"
        assert "UNREACHABLE" in await status(where)
        journal_log = where.layout.journal / "journal.log"

        async def is_logged() -> bool:
            assert where.agent is not None
            return "uplink" in where.agent.log() and "andshake" in journal_log.read_text()

        await until(is_logged)
        for name, content in kept.items():  # put right, it is taken up without a restart
            (keys / name).write_bytes(content)
        await where.drained()
        entries = await everything(where)
        assert is_sound(entries)
        assert lines_of(entries) == ["echo before", "echo during"]


@pytest.mark.parametrize("expired", [False, True], ids=["foreign", "expired"])
def test_an_agent_with_a_certificate_that_does_not_count_keeps_its_entries(tmp_path: Path, expired: bool) -> None:
    asyncio.run(bad_certificate(tmp_path / "s", expired))
