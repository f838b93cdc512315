"""Nodes that record, and what they have recorded."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from pactsh.model.asciicast import Event, Header, parse
from pactsh.model.entry import Draft

RECORDS = {"vcluster": "ml-training", "version": 1, "record": True}


def have_policy(node: Path, policy: dict[str, object] | None = None) -> None:
    """Let the agent of this directory find a policy that its journal once gave it."""
    place = node / "state" / "config"
    place.mkdir(parents=True, exist_ok=True)
    (place / "policy.json").write_text(json.dumps(policy or RECORDS))


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
