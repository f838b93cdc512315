"""Nodes that record, and what they have recorded."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pexpect
from pact_agent.clock import SystemClock
from pact_agent.spool import Spool

from pactsh.model.asciicast import Event, Header, parse
from pactsh.model.entry import Draft

RECORDS = {"vcluster": "ml-training", "version": 1, "record": True}


def until(condition: Callable[[], Any], limit_s: float = 20) -> Any:
    deadline = time.monotonic() + limit_s
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


def left(child: pexpect.spawn[str]) -> int | None:
    child.expect(pexpect.EOF)
    child.close()
    return child.exitstatus


def have_policy(node: Path, policy: dict[str, object] | None = None) -> None:
    """Let the agent of this directory find a policy that its journal once gave it."""
    place = node / "state" / "config"
    place.mkdir(parents=True, exist_ok=True)
    (place / "policy.json").write_text(json.dumps(policy or RECORDS))


def entries(node: Path, *types: str) -> list[Draft]:
    """What the running agent of this directory has recorded so far, read from a copy of its spool."""
    with tempfile.TemporaryDirectory() as place:
        shutil.copytree(node / "state" / "spool", f"{place}/spool")
        spool = Spool(Path(place, "spool"), node="node042", reserve_bytes=4 << 20, clock=SystemClock())
        try:
            return [draft for draft in spool.read_from(1, 100_000) if draft.type in types]
        finally:
            spool.close()


def end_of(node: Path, recording: Path) -> Draft:
    """The entry of a session's end, once it is there."""
    until(recording.with_suffix(".sha256").exists)
    (end,) = (draft for draft in entries(node, "session.end") if draft.session == recording.stem)
    return end


def casts(node: Path) -> list[Path]:
    return sorted((node / "state" / "recordings").glob("*.cast"))


def read(path: Path) -> tuple[Header, list[Event]]:
    with path.open("rb") as file:
        header, events = parse(file, path.name)
        return header, list(events)


def shown(path: Path) -> str:
    """All that it shows."""
    return "".join(event.data for event in read(path)[1] if event.code == "o")


def recording_of(end: Draft) -> dict[str, Any]:
    """What the entry of a session's end says of its recording."""
    found = (end.body or {})["recording"]
    assert isinstance(found, dict)
    return dict(found)


def is_as_journaled(path: Path, end: Draft) -> bool:
    data, facts = path.read_bytes(), recording_of(end)
    return (facts["sha256"], facts["bytes"], end.session) == (hashlib.sha256(data).hexdigest(), len(data), path.stem)
