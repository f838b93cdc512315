"""Walking the journal's chain from a node, with the heads the agent has kept as anchors.

A head that the agent saw long ago shows a history that was rewritten or cut since, even by
the journal's own keeper. The walk itself runs in a thread; entries are fetched as it goes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence

from pact_agent.calls import Item
from pactsh.journal import audit
from pactsh.journal.heads import head_checker, key_id
from pactsh.journal.store import Row
from pactsh.model.entry import Head
from pactsh.rpc import pact_pb2 as pb
from pactsh.rpc.client import Journal

_BATCH = 500


async def verify_journal(journal: Journal, kept: Sequence[Head]) -> Item:
    """Check every entry, the journal's signed heads and the `kept` ones; the item of a `verify` call."""
    trust = await journal.trust()
    heads = await journal.heads()  # before the entries: no head is then newer than the last entry
    loop = asyncio.get_running_loop()
    rows = _rows(journal.export(), loop)
    verdict = await asyncio.to_thread(audit.verify, rows, heads, head_checker(trust.head_key), anchors=kept)
    problem = verdict.problem
    signed = {"seq": verdict.signed_seq, "hash": verdict.last_hash, "key_id": key_id(trust.head_key)}
    return {
        "entries": verdict.entries,
        "first": 1 if verdict.entries else 0,
        "last": verdict.last_seq,
        "redacted": verdict.redacted,
        "head": signed if verdict.entries else None,
        "bad": {"seq": problem.seq, "reason": f"{problem.kind}: {problem.detail}"} if problem else None,
    }


def _rows(stream: AsyncIterator[pb.Entry], loop: asyncio.AbstractEventLoop) -> Iterator[Row]:
    """The stream's entries for the walk's thread, fetched by the event loop in batches."""
    while batch := asyncio.run_coroutine_threadsafe(_next(stream), loop).result():
        for message in batch:
            # What isn't UTF-8 can't be canonical JSON; replaced, it no longer matches its hash.
            text = message.json.decode("utf-8", "replace")
            yield Row(message.seq, message.hash, text, prev_hash=message.prev_hash)


async def _next(stream: AsyncIterator[pb.Entry]) -> list[pb.Entry]:
    batch: list[pb.Entry] = []
    async for message in stream:
        batch.append(message)
        if len(batch) == _BATCH:
            break
    return batch
