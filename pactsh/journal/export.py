"""Export files, and checking them offline.

A file of JSON lines: first the header `{"pact_export": 1, "key_id", "public_key", "time", "journal"}`,
then `{"e": CANONICAL JSON AS A STRING, "h": HASH}` for each entry (or `{"s": SEQ, "h": HASH, "p": PREV_HASH}` for one
that its exporter may not read), and at the end `{"head": {…}}` for each signed head. An anchor file
holds heads alone, one JSON object a line, with or without that wrapping.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from pactsh.errors import UsageError
from pactsh.journal.audit import Verdict, verify
from pactsh.journal.heads import head_checker, key_id
from pactsh.journal.store import Row
from pactsh.model.entry import Head

VERSION = 1


def export_lines(public_key: bytes, time: str, rows: Iterable[Row], heads: Iterable[Head]) -> Iterator[str]:
    """The lines of an export file, newlines included. `public_key` is the raw key that signs heads."""
    header = {
        "pact_export": VERSION,
        "key_id": key_id(public_key),
        "public_key": base64.b64encode(public_key).decode(),
        "time": time,
    }
    yield json.dumps(header) + "\n"
    for row in rows:
        yield entry_line(row)
    for head in heads:
        yield head_line(head)


def entry_line(row: Row) -> str:
    """One entry."""
    if row.text:
        return json.dumps({"e": row.text, "h": row.hash}) + "\n"
    return json.dumps({"s": row.seq, "h": row.hash, "p": row.prev_hash}) + "\n"


def head_line(head: Head) -> str:
    """One head, as in exports and anchor files."""
    return json.dumps({"head": msgspec.to_builtins(head)}) + "\n"


class Export:
    """An export file, opened: its key, its rows in order (read as they are asked for), its heads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with _open(path) as file:
            header = _object(path, 1, file.readline())
        if header.get("pact_export") != VERSION:
            raise UsageError(f"{path}: not an export of a pact journal (version {VERSION})")
        try:
            self.public_key = base64.b64decode(str(header["public_key"]), validate=True)
            head_checker(self.public_key)
        except (KeyError, ValueError, binascii.Error) as error:
            raise UsageError(f"{path}: line 1: no usable public key") from error

    def rows(self) -> Iterator[Row]:
        """Its entries, in the file's order."""
        position = 0
        for number, line in self._lines():
            if "head" in line:
                continue
            position += 1
            row = _row(line, position)
            if row is None:
                raise UsageError(f"{self._path}: line {number}: neither an entry nor a head")
            yield row

    def heads(self) -> list[Head]:
        """Its heads."""
        return [_head(self._path, number, line["head"]) for number, line in self._lines() if "head" in line]

    def _lines(self) -> Iterator[tuple[int, dict[str, Any]]]:
        with _open(self._path) as file:
            for number, text in enumerate(file, 1):
                if number > 1 and text.strip():
                    yield number, _object(self._path, number, text)


def read_anchors(path: Path) -> list[Head]:
    """The heads in an anchor file; raises `UsageError` that names file and line."""
    heads = []
    with _open(path) as file:
        for number, text in enumerate(file, 1):
            if text.strip():
                line = _object(path, number, text)
                heads.append(_head(path, number, line.get("head", line)))
    if not heads:
        raise UsageError(f"{path}: no heads in it")
    return heads


def verify_export(path: Path, anchors: Iterable[Head] = (), public_key: bytes | None = None) -> Verdict:
    """Check an export file.

    Without `public_key` (raw) the file's own is believed: that shows accidents, and, with
    anchors, everything; but who can rewrite a file can also put a key of his own into it.
    """
    export = Export(path)
    return verify(export.rows(), export.heads(), head_checker(public_key or export.public_key), anchors=list(anchors))


def _open(path: Path) -> Any:
    try:
        return path.open(encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error


def _object(path: Path, number: int, text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: line {number}: not JSON") from error
    if not isinstance(value, dict):
        raise UsageError(f"{path}: line {number}: not a JSON object")
    return value


def _head(path: Path, number: int, value: object) -> Head:
    try:
        return msgspec.convert(value, Head)
    except msgspec.ValidationError as error:
        raise UsageError(f"{path}: line {number}: not a head: {error}") from error


def _row(line: dict[str, Any], position: int) -> Row | None:
    match line:
        case {"e": str(text), "h": str(entry_hash)} if text:
            return Row(position, entry_hash, text)
        case {"s": int(seq), "h": str(entry_hash), "p": str(prev_hash)}:
            return Row(seq, entry_hash, "", prev_hash=prev_hash)
    return None
