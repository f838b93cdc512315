"""What the journal's log says of approvals and of GPUs, for a log shipper."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path

import pytest

from tests.pactsh.journal.material import draft
from tests.pactsh.journal.site import ADMIN, running
from tests.pactsh.journal.test_approvals import OPS, pending


def test_each_step_of_an_approval_is_an_event_with_its_labels(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def events() -> list[dict[str, object]]:
        texts = [record.getMessage() for record in caplog.records if record.name == "pact.events"]
        return [json.loads(text.removeprefix("event ")) for text in texts]

    async def go() -> None:
        async with pending(tmp_path) as (site, approval), site.person("bob@org", OPS) as bob:
            await bob.decide_approval(approval.id, approve=False, reason="not\ntoday")
            async with site.person("root@org", ADMIN) as root:
                await root.revoke("person", "alice@org", "left")
            async with asyncio.timeout(20):
                while len(events()) < 3:
                    await asyncio.sleep(0.05)

    with caplog.at_level(logging.INFO):
        asyncio.run(go())
    labels = [(e["component"], e["entry_type"], e["scope"], e["author"]) for e in events()]
    assert labels == [
        ("pact-journal", "approval.requested", "node:node042", "alice@org"),
        ("pact-journal", "approval.denied", "node:node042", "bob@org"),
        ("pact-journal", "revoke", "global", "root@org"),
    ]
    requested, denied, revoked = events()
    assert (requested["action"], requested["vcluster"], denied["id"]) == ("commit", "ml", requested["id"])
    assert (denied["message"], revoked["subject"]) == ("not today", "alice@org")
    assert "operation" not in requested


def test_so_is_a_gpu_that_breaks(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    body = {"gpu": "3", "pci": "0000:d8:00.0", "before": "healthy", "after": "DEGRADED (lost)"}

    async def go() -> None:
        async with running(tmp_path) as site, site.agent() as agent, asyncio.timeout(20):
            await agent.append([draft(1, type="gpu.health", body=body, message="gpu 3: healthy -> DEGRADED (lost)")])
            while not any("gpu.health" in record.getMessage() for record in caplog.records):
                await asyncio.sleep(0.05)

    with caplog.at_level(logging.INFO, "pact.events"):
        asyncio.run(go())
    (event,) = (json.loads(r.getMessage().removeprefix("event ")) for r in caplog.records if r.name == "pact.events")
    assert body.items() <= event.items()
    assert (event["entry_type"], event["scope"]) == ("gpu.health", "node:node042")
