"""A job in words."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pactsh.cli.jobtext import jobs_table, render_job, state_text, time_text, where
from pactsh.cli.render import Out
from pactsh.delegates.lattice import model

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def at(minutes_ago: float) -> str:
    return (NOW - timedelta(minutes=minutes_ago)).strftime("%Y-%m-%dT%H:%M:%SZ")


def job(id_: str = "j", *depends_on: tuple[str, str], **fields: Any) -> model.Job:
    values: dict[str, Any] = {
        "id": id_,
        "state": "running",
        "user": "alice",
        "tenant": "physics",
        "project": "",
        "vcluster": "v",
        "nodes": (),
        "created": at(100),
        "started": None,
        "completed": None,
        "exit_code": None,
        "message": "",
        "entrypoint": "./run",
        "kind": "bounded",
        "walltime_s": 7200.0,
        "min_nodes": 0,
        "max_nodes": 0,
        "gpu_type": "",
        "features": (),
        "tags": {},
        "depends_on": depends_on,
        "sensitive": False,
        "preemption_class": 0,
        "requeue_policy": "",
        "max_requeue": 0,
        "endpoints": (),
    }
    return model.Job(**(values | fields))


TIMES: list[tuple[dict[str, Any], str]] = [
    ({"state": "pending", "created": at(130)}, "waits 2 h 10 min"),
    ({"state": "pending", "created": None}, "-"),
    ({"started": at(65)}, "1 h 5 min of 2 h"),
    ({"started": at(65), "walltime_s": None}, "1 h 5 min"),
    ({"state": "completed", "started": at(65), "completed": at(5)}, "1 h"),
    ({"state": "cancelled", "completed": at(5)}, "-"),
    ({"started": at(-5)}, "0 s of 2 h"),  # its clock is ahead of ours
]


@pytest.mark.parametrize(("fields", "expected"), TIMES)
def test_how_long(fields: dict[str, Any], expected: str) -> None:
    assert time_text(job(**fields), NOW) == expected


PLACES: list[tuple[dict[str, Any], str]] = [
    ({"nodes": ("n3", "n1", "n2")}, "n[1-3] (3)"),
    ({"nodes": ("n1",)}, "n1"),
    ({"state": "pending", "min_nodes": 2, "max_nodes": 2}, "wants 2"),
    ({"state": "pending", "min_nodes": 2, "max_nodes": 8}, "wants 2 to 8"),
    ({"state": "pending", "min_nodes": 2}, "wants 2"),
    ({"state": "cancelled", "min_nodes": 2}, "-"),
]


@pytest.mark.parametrize(("fields", "expected"), PLACES)
def test_where(fields: dict[str, Any], expected: str) -> None:
    assert where(job(**fields)) == expected


def test_the_state_is_told_in_words_and_in_colour() -> None:
    failed, strange = job(state="failed", exit_code=137), job("k", state="hibernating\x1b[2J")
    assert state_text(failed) == "failed (137)"
    stream = io.StringIO()
    jobs_table([failed, strange], Out(stream, colour=True))
    _, first, second = stream.getvalue().splitlines()
    assert "\x1b[31;1mfailed (137)\x1b[0m" in first
    assert "hibernating\\x1b[2J" in second  # a word that lattice has made up since
    assert "\x1b" not in second


def shown(one: model.Job) -> dict[str, str]:
    stream = io.StringIO()
    render_job(one, Out(stream, colour=False))
    return {name: text.strip() for name, _, text in (line.partition(":") for line in stream.getvalue().splitlines())}


def test_how_it_ended() -> None:
    facts = shown(job(state="failed", exit_code=137, message="killed", started=at(65), completed=at(5)))
    assert facts["State"] == "failed, exit status 137 (signal 9)"
    assert facts["Says"] == "killed"
    assert facts["Ended"].startswith(f"{at(5)} (")
    assert facts["Ended"].endswith(", ran 1 h)")
    assert facts["Limit"] == "2 h"


def test_what_lattice_says_nothing_of_has_no_line() -> None:
    assert set(shown(job(created=None))) == {"Job", "State", "User", "Tenant", "vCluster", "Command", "Limit"}


def test_one_without_an_end() -> None:
    facts = shown(job(kind="unbounded", walltime_s=None, endpoints=(("api", 8080, "tcp"),), preemption_class=3))
    assert facts["Limit"] == "none (unbounded)"
    assert (facts["Endpoint"], facts["Preemption"]) == ("api 8080/tcp", "class 3")


def test_what_it_wants() -> None:
    facts = shown(job(min_nodes=2, max_nodes=4, gpu_type="gh200", features=("nvme",), max_requeue=3))
    assert facts["Wants"] == "2 to 4 nodes, GPU gh200, nvme"
    assert facts["Requeue"] == "at most 3 times"
