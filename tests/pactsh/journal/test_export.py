"""Export files: verified offline, tampering in the file found, anchors, and the commands around them."""

from __future__ import annotations

import asyncio
import json
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from pactsh.errors import PactError, UsageError
from pactsh.journal.commands import run as command
from pactsh.journal.datadir import DataDir
from pactsh.journal.export import head_line, read_anchors, verify_export
from pactsh.journal.ledger import Ledger, now_text
from pactsh.journal.sqlite import SqliteStore
from pactsh.model.entry import Head
from tests.pactsh.journal.material import draft


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A data directory with 12 entries, heads signed at 5, 10 and 12."""

    async def fill() -> None:
        data = DataDir(tmp_path / "data")
        data.open()
        key = data.authority().head_key
        ledger = Ledger(await SqliteStore.open(data.database, clock=now_text), key, head_every=5)
        await ledger.start()
        for n in range(1, 13):
            await ledger.append(draft(n))
        await ledger.close()
        data.close()

    asyncio.run(fill())
    return tmp_path / "data"


@pytest.fixture
def export(data_dir: Path) -> Path:
    path = data_dir.parent / "export.jsonl"
    assert command(["export", "--data-dir", str(data_dir), str(path)]) == 0
    return path


def test_an_export_verifies_offline(export: Path, capsys: pytest.CaptureFixture[str]) -> None:
    verdict = verify_export(export)
    assert (verdict.ok, verdict.entries, verdict.signed_seq) == (True, 12, 12)
    assert command(["verify", "--export", str(export)]) == 0
    assert capsys.readouterr().out == "12 entries verified, signed up to seq:12\n"
    assert stat.S_IMODE(export.stat().st_mode) == 0o600


Edit = Callable[[list[str]], list[str]]
TAMPER: dict[str, tuple[Edit, int, str]] = {
    "altered": (lambda lines: [line.replace("line 4", "line x") for line in lines], 4, "altered"),
    "removed": (lambda lines: lines[:4] + lines[5:], 4, "removed"),
    "reordered": (lambda lines: [*lines[:4], lines[5], lines[4], *lines[6:]], 4, "reordered"),
    "inserted": (lambda lines: [*lines[:5], lines[3], *lines[5:]], 3, "inserted"),
    "cut tail": (lambda lines: [line for line in lines if '\\"seq\\":12,' not in line], 12, "cut"),
    "forged head": (lambda lines: [*lines, lines[-1].replace('"seq": 12', '"seq": 11')], 11, "forged-head"),
}


@pytest.mark.parametrize("name", TAMPER)
def test_tampering_with_the_file_is_found(export: Path, name: str) -> None:
    edit, seq, kind = TAMPER[name]
    lines = export.read_text().splitlines(keepends=True)
    export.write_text("".join(edit(lines)))
    with pytest.raises(PactError, match=f"seq:{seq}: {kind}") as caught:
        command(["verify", "--export", str(export)])
    assert caught.value.code == 1


def test_a_cut_export_is_found_with_an_anchor(export: Path, tmp_path: Path) -> None:
    lines = export.read_text().splitlines(keepends=True)
    heads = [line for line in lines if line.startswith('{"head"')]
    anchor = tmp_path / "anchor"
    anchor.write_text(heads[-1])
    export.write_text("".join([*lines[:9], *heads[:1]]))
    assert command(["verify", "--export", str(export)]) == 0
    with pytest.raises(PactError, match="seq:9: cut"):
        command(["verify", "--export", str(export), "--anchor", str(anchor)])


def test_the_database_is_verified_in_place_with_an_anchor(data_dir: Path, tmp_path: Path) -> None:
    stranger = Head(3, "ab" * 32, "2026-01-31T12:00:00.000000Z", "0" * 16, "AAAA")
    anchor = tmp_path / "anchor"
    anchor.write_text(head_line(stranger))
    assert command(["verify", "--data-dir", str(data_dir)]) == 0
    with pytest.raises(PactError, match="seq:3: forged-head"):
        command(["verify", "--data-dir", str(data_dir), "--anchor", str(anchor)])


def test_anchor_files_may_hold_bare_heads(export: Path, tmp_path: Path) -> None:
    wrapped = [line for line in export.read_text().splitlines() if line.startswith('{"head"')]
    anchor = tmp_path / "anchor"
    anchor.write_text("\n".join([wrapped[0], "", json.dumps(json.loads(wrapped[1])["head"])]))
    assert [head.seq for head in read_anchors(anchor)] == [5, 10]


KEYLESS = '{"pact_export": 1, "public_key": "AAAA"}\n'


@pytest.mark.parametrize(
    "content", ["", "garbage\n", "[]\n", "{}\n", '{"pact_export": 2}\n', KEYLESS, "\xff\n", "[" * 100_000]
)
def test_what_is_no_export_is_an_error_that_names_the_file(tmp_path: Path, content: str) -> None:
    path = tmp_path / "x"
    path.write_text(content, encoding="latin-1")
    with pytest.raises(UsageError, match=str(path)):
        verify_export(path)


@pytest.mark.parametrize(
    "line", ["{", '{"e": 5, "h": "x"}', '{"e": "", "h": "x"}', '{"z": 1}', '{"head": {"seq": "x"}}']
)
def test_a_broken_line_is_named(export: Path, line: str) -> None:
    export.write_text(export.read_text() + line + "\n")
    with pytest.raises(UsageError, match="line 17"):
        verify_export(export)


@pytest.mark.parametrize("content", ["", "x", "{}", '{"head": 1}'])
def test_what_is_no_anchor_is_an_error(tmp_path: Path, content: str) -> None:
    path = tmp_path / "anchor"
    path.write_text(content)
    with pytest.raises(UsageError, match=str(path)):
        read_anchors(path)


def test_missing_files_are_errors_that_name_them(tmp_path: Path) -> None:
    for arguments in (
        ["verify", "--export", f"{tmp_path}/none"],
        ["verify", "--data-dir", f"{tmp_path}/none"],
        ["export", "--data-dir", f"{tmp_path}/none"],
    ):
        with pytest.raises(UsageError, match=f"{tmp_path}/none"):
            command(arguments)


def test_a_join_token_is_printed_once(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["join-token", "node042", "--vcluster", "ml", "--data-dir", str(data_dir)]) == 0
    token = capsys.readouterr().out.strip()
    assert DataDir(data_dir).join_tokens().consume(token, "node042").vcluster == "ml"
    with pytest.raises(UsageError, match="--vcluster"):
        command(["join-token", "node042", "--data-dir", str(data_dir)])
