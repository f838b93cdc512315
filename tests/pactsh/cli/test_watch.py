"""`pact watch`: it goes on after a lost connection and skips nothing."""

from __future__ import annotations

import asyncio
import itertools
import json
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from pactsh.auth.ca import Authority, new_agent_request
from pactsh.cli.sources import Filter
from pactsh.cli.watch import LONGEST_PAUSE_S, persistent
from pactsh.errors import ForbiddenError, UnreachableError
from pactsh.model.entry import Author, Entry
from pactsh.rpc.client import Journal
from tests.pactsh.cli.conftest import NODE, RunningJournal, draft, serving, session_drafts
from tests.pactsh.cli.program import PACT, clean_environment, run_pact
from tests.pactsh.cli.test_entries import entry


class Flaky:
    """A source that loses its connection after each batch; `newest` is what there is at the start."""

    def __init__(self, newest: int, batches: Sequence[Sequence[int]]) -> None:
        self.newest = newest
        self.batches = list(batches)
        self.asked: list[int | None] = []

    def list(self, _wanted: Filter, _n: int) -> list[Entry]:
        return [numbered(self.newest)] if self.newest else []

    def follow(self, _wanted: Filter, _n: int, from_seq: int | None = None) -> Iterator[Entry]:
        self.asked.append(from_seq)
        if not self.batches:
            raise ForbiddenError("the test is over")
        yield from (numbered(seq) for seq in self.batches.pop(0))
        raise UnreachableError("gone")


def numbered(seq: int) -> Entry:
    import msgspec

    return msgspec.structs.replace(entry("intent"), seq=seq)


def watched(source: Flaky, from_seq: int | None = None) -> tuple[list[int], list[str], list[float]]:
    seen: list[int] = []
    notices: list[str] = []
    pauses: list[float] = []
    entries = persistent(source, Filter(), from_seq, notices.append, pauses.append)
    with pytest.raises(ForbiddenError):
        seen.extend(found.seq for found in entries)
    return seen, notices, pauses


def test_it_resumes_behind_the_last_entry_seen() -> None:
    source = Flaky(4, [[5, 6], [], [7]])
    seen, notices, _ = watched(source)
    assert seen == [5, 6, 7]
    assert source.asked == [5, 7, 7, 8]
    assert notices[0] == "pact: watch: gone; trying again in 0.5 s"


def test_pauses_grow_to_a_bound_and_start_over_after_an_entry() -> None:
    _, _, pauses = watched(Flaky(0, [[]] * 9 + [[1], []]))
    assert pauses[:4] == [0.5, 1, 2, 4]
    assert max(pauses) == LONGEST_PAUSE_S
    assert pauses[-2:] == [0.5, 1]


def test_from_a_number_and_in_an_empty_journal() -> None:
    source = Flaky(9, [])
    watched(source, 3)
    assert source.asked == [3]
    source = Flaky(0, [])
    watched(source)
    assert source.asked == [1]


def test_on_the_program(tmp_path: Path, journal: RunningJournal) -> None:
    drafts = session_drafts()
    journal.append(*drafts[:1])
    env = clean_environment(tmp_path, journal.env())
    command: list[str | Path] = [
        PACT,
        "watch",
        "--node",
        "node042",
        "--from",
        "1",
        "--type",
        "intent",
        "--output",
        "json",
    ]
    with subprocess.Popen(command, stdout=-1, stderr=-1, env=env, text=True) as process:
        assert process.stdout is not None
        journal.append(*drafts[1:])
        seen = [json.loads(process.stdout.readline()) for _ in range(2)]
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=60)
    assert [e["body"]["line"] for e in seen] == ["uname -n", "systemctl restart sshd"]
    assert (process.returncode, rest, errors) == (130, "", "")


class Appending(threading.Thread):
    """An agent that appends one entry after the other, and again what was not acknowledged, until told to stop."""

    def __init__(self, journal: RunningJournal) -> None:
        super().__init__()
        authority = Authority.load(journal.directory / "ca")
        key, request = new_agent_request(NODE)
        self._ca, self._agents = authority.ca_pem, journal.agents
        self._cert, self._key = authority.agent_certificate(NODE, request), key
        self.enough = threading.Event()
        self.acknowledged: list[int] = []

    def run(self) -> None:
        asyncio.run(self._run())

    async def _run(self) -> None:
        async with Journal(self._agents, ca=self._ca, cert=self._cert, key=self._key, timeout_s=5) as agent:
            for number in itertools.count(1):
                while True:
                    try:
                        acks, _ = await agent.append([draft(number, time="2026-01-31T12:00:00.000000Z")])
                        break
                    except UnreachableError:
                        await asyncio.sleep(0.02)
                self.acknowledged.append(acks[0].seq)
                if self.enough.is_set():
                    return


def test_a_journal_that_is_killed_and_comes_back_costs_no_event_and_repeats_none(tmp_path: Path) -> None:
    with serving(tmp_path / "j") as first:
        env = clean_environment(tmp_path, first.env())
        command = [str(PACT), "watch", "--from", "1", "--type", "intent", "--output", "json"]
        with subprocess.Popen(command, stdout=-1, stderr=-1, env=env, text=True) as watch:
            assert watch.stdout is not None
            appending = Appending(first)
            appending.start()
            seen = [json.loads(watch.stdout.readline())["seq"] for _ in range(50)]
            first.stop()
            with serving(tmp_path / "j", listen=(first.endpoint, first.agents)):
                seen += [json.loads(watch.stdout.readline())["seq"] for _ in range(100)]
                appending.enough.set()
                appending.join()
                left = len(appending.acknowledged) - len(seen)
                seen += [json.loads(watch.stdout.readline())["seq"] for _ in range(left)]
                watch.send_signal(signal.SIGINT)
                rest, errors = watch.communicate(timeout=60)
    assert seen == appending.acknowledged
    assert (rest, watch.returncode) == ("", 130)
    assert "trying again" in errors


def test_only_what_one_person_did(tmp_path: Path, journal: RunningJournal) -> None:
    authors = [Author("bob@org"), Author("alice@org"), Author("bob@org")]
    journal.append(*(draft(number, author=author) for number, author in enumerate(authors, 1)))
    env = clean_environment(tmp_path, journal.env())
    command = [str(PACT), "watch", "--from", "1", "--author", "bob@org", "--output", "json"]
    with subprocess.Popen(command, stdout=-1, stderr=-1, env=env, text=True) as watch:
        assert watch.stdout is not None
        seen = [json.loads(watch.stdout.readline()) for _ in range(2)]
        watch.send_signal(signal.SIGINT)
        rest, _ = watch.communicate(timeout=60)
    assert ([entry["number"] for entry in seen], rest) == ([1, 3], "")


def test_an_unreachable_journal_at_the_first_is_status_5(tmp_path: Path, seeded: RunningJournal) -> None:
    env = seeded.env() | {"PACT_ENDPOINT": f"unix:{tmp_path}/none", "PACT_TIMEOUT": "2"}
    assert run_pact(tmp_path, "watch", env=env).returncode == 5


def test_node_and_vcluster_together_are_an_error(tmp_path: Path) -> None:
    done = run_pact(tmp_path, "watch", "--node", "n", "--vcluster", "v")
    assert (done.returncode, done.stderr) == (1, "pact: watch: give --node or --vcluster, not both\n")


@pytest.mark.parametrize("gap_s", [0, 0.001, 0.003, 0.01, 0.03, 0.1])
def test_a_second_ctrl_c_ends_it_without_a_traceback(tmp_path: Path, seeded: RunningJournal, gap_s: float) -> None:
    environment = clean_environment(tmp_path, seeded.env())
    command = [str(PACT), "watch", "--from", "1"]
    with subprocess.Popen(command, stdout=-1, stderr=-1, env=environment, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        time.sleep(gap_s)  # whichever moment of its ending this hits
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode in {130, -signal.SIGINT}
    assert errors == ""
