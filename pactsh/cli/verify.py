"""`pact log --verify`, `--export FILE` and `--from-export FILE`: the chain as a whole.

A bad entry is a finding, not an error of ours: the result names it, and the exit status is 1.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pactsh.errors import PactError, UsageError

if TYPE_CHECKING:
    from pactsh.cli.context import Advance, Context
    from pactsh.cli.render import Out
    from pactsh.journal.audit import Verdict
    from pactsh.journal.store import Row
    from pactsh.model.entry import Entry, Head
    from pactsh.rpc import pact_pb2 as pb

_ADVANCE_EVERY = 500


@dataclass(frozen=True, slots=True)
class Finding:
    """The first entry that is not what it was, and how that shows."""

    seq: int
    reason: str


@dataclass(frozen=True, slots=True)
class Verified:
    """A walk over the chain. `head` is the hash of its last entry; `signed_seq` the last entry that a genuine
    head vouches for (0: none), `signed_by` the id of the key; `redacted` entries were out of the caller's
    reach: their links were checked, their content was not. None: not known.
    """

    entries: int
    first: int
    last: int
    head: str | None
    signed_seq: int
    signed_by: str | None
    redacted: int
    bad: Finding | None

    @property
    def exit_status(self) -> int:
        """1 when something is wrong with the chain."""
        return 1 if self.bad else 0


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written where."""

    file: str
    entries: int
    heads: int


def verify(ctx: Context, export: Path | None, anchor: Path | None) -> Verified:
    """Walk the chain of an export, of the journal, or, on a node, have the agent do it.

    The agent adds the heads it has kept itself; with an anchor file the journal is asked, from a node too.
    """
    if export is None and anchor is None and ctx.node is not None:
        with ctx.agent() as agent:
            return _of_agent(agent.ask("verify", endless=True))
    from pactsh.journal import audit
    from pactsh.journal.export import Export, read_anchors
    from pactsh.journal.heads import head_checker, key_id

    anchors = read_anchors(anchor) if anchor is not None else []
    if export is not None:
        file = Export(export)
        key, heads, rows = file.public_key, file.heads(), file.rows()
        total = max((head.seq for head in heads), default=0)
    else:
        key, heads = _trusted_heads(ctx)
        total = max((head.seq for head in heads), default=0)
        rows = _journal_rows(ctx)
    with ctx.progress("Verifying", total) as advance:
        verdict = audit.verify(_counted(rows, advance), heads, head_checker(key), anchors=anchors)
    return _of_verdict(verdict, key_id(key))


def _trusted_heads(ctx: Context) -> tuple[bytes, list[Head]]:
    """The journal's key and its heads. Asked before the entries, so that no head is newer than the last entry."""
    from pactsh.cli.remote import ask

    return ask(ctx, lambda journal: journal.trust()).head_key, ask(ctx, lambda journal: journal.heads())


def _journal_rows(ctx: Context) -> Iterator[Row]:
    from pactsh.cli.remote import iterate

    return map(_row, iterate(ctx, lambda journal: journal.export()))


def _row(message: pb.Entry) -> Row:
    from pactsh.journal.store import Row

    # What isn't UTF-8 can't be canonical JSON; replaced, it no longer matches its hash, and the walk says so.
    text = message.json.decode("utf-8", "replace")
    return Row(message.seq, message.hash, text, prev_hash=message.prev_hash)


def _counted(rows: Iterable[Row], advance: Advance) -> Iterator[Row]:
    for count, row in enumerate(rows, 1):
        if count % _ADVANCE_EVERY == 0:
            advance(count)
        yield row


def _of_verdict(verdict: Verdict, key: str) -> Verified:
    problem = verdict.problem
    return Verified(
        entries=verdict.entries,
        first=1 if verdict.entries else 0,
        last=verdict.last_seq,
        head=verdict.last_hash if verdict.entries else None,
        signed_seq=verdict.signed_seq,
        signed_by=key if verdict.signed_seq else None,
        redacted=verdict.redacted,
        bad=Finding(problem.seq, f"{problem.kind}: {problem.detail}") if problem else None,
    )


def _of_agent(item: dict[str, object]) -> Verified:
    head, bad = item.get("head"), item.get("bad")
    return Verified(
        entries=_number(item.get("entries")),
        first=_number(item.get("first")),
        last=_number(item.get("last")),
        head=str(head["hash"]) if isinstance(head, dict) else None,
        signed_seq=_number(head["seq"]) if isinstance(head, dict) else 0,
        signed_by=str(head["key_id"]) if isinstance(head, dict) and "key_id" in head else None,
        redacted=_number(item.get("redacted", 0)),
        bad=Finding(_number(bad["seq"]), str(bad["reason"])) if isinstance(bad, dict) else None,
    )


def _number(value: object) -> int:
    if not isinstance(value, int):
        raise PactError("agent: verify: the answer has no number where one belongs")
    return value


def export_to(ctx: Context, path: Path) -> Exported:
    """Write the whole chain and its heads to a new file, readable by its owner alone."""
    from pactsh.journal.export import export_lines

    key, heads = _trusted_heads(ctx)
    entries = 0

    def count(done: int) -> None:
        nonlocal entries
        entries = done

    total = max((head.seq for head in heads), default=0)
    with ctx.progress("Exporting", total) as advance:
        rows = _each(_counted(_journal_rows(ctx), advance), count)
        time = ctx.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        _write_new(path, export_lines(key, time, rows, heads))
    return Exported(str(path), entries, len(heads))


def _each(rows: Iterable[Row], count: Callable[[int], None]) -> Iterator[Row]:
    for number, row in enumerate(rows, 1):
        count(number)
        yield row


def _write_new(path: Path, lines: Iterable[str]) -> None:
    """Write a file that isn't there yet; what can't be finished is removed: half an export looks like a cut chain."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise UsageError(f"log: --export: {path}: {error.strerror}") from error
    try:
        with open(descriptor, "w", encoding="ascii") as file:
            file.writelines(lines)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        path.unlink(missing_ok=True)
        raise PactError(f"log: --export: {path}: {error.strerror}") from error
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def read_entries(path: Path) -> Iterator[Entry]:
    """The entries of an export that have content, in its order; raises `PactError` for one that isn't whole."""
    from pactsh.journal.chain import hash_text, parse_entry
    from pactsh.journal.export import Export

    for row in Export(path).rows():
        if not row.text:
            continue
        if not row.text.isascii() or hash_text(row.text) != row.hash:
            raise PactError(f"{path}: entry {row.seq} does not match its hash", hint="pact log --verify --from-export")
        yield parse_entry(row.text, row.hash)


def render_verified(result: Verified, out: Out) -> None:
    """One sentence: all is well, or the first bad entry; one more on what was not seen."""
    if result.bad is not None:
        out.styled(out.style(f"BAD seq:{result.bad.seq}: {result.bad.reason}", "red", "bold"))
        out.line(f"{result.entries} entries before it are good")
        return
    if not result.entries:
        out.line("Verified 0 entries: the journal is empty")
        return
    signed = f"signed to seq:{result.signed_seq}" if result.signed_seq else "not signed yet"
    by = f" by key {result.signed_by}" if result.signed_by and result.signed_seq else ""
    head = f", head {result.head[:16]}" if result.head else ""
    out.line(f"Verified {result.entries} entries, seq {result.first}..{result.last}{head}, {signed}{by}")
    if result.redacted:
        out.line(f"{result.redacted} of them are out of your reach: their links were checked, not their content")


def render_exported(result: Exported, out: Out) -> None:
    """One sentence."""
    out.line(f"Exported {result.entries} entries and {result.heads} signed heads to {result.file}")
