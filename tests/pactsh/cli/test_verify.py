"""`pact log --verify`, `--export` and `--from-export`: what was done to a journal shows."""

from __future__ import annotations

import json
import re
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.pactsh.cli.conftest import RunningJournal, session_drafts
from tests.pactsh.cli.program import run_pact


@pytest.fixture
def export(tmp_path: Path, seeded: RunningJournal) -> Path:
    """An export of a journal with a session in it, signed at its end."""
    path = tmp_path / "export.jsonl"
    done = run_pact(tmp_path, "log", "--export", str(path), env=seeded.env())
    assert (done.returncode, done.stderr) == (0, "")
    entries = sum('"e"' in line for line in path.read_text().splitlines())
    assert re.fullmatch(rf"Exported {entries} entries and [1-9] signed heads to {path}\n", done.stdout)
    return path


def verify(home: Path, *args: str, env: dict[str, str] | None = None) -> tuple[int, str]:
    done = run_pact(home, "log", "--verify", *args, env=env)
    assert done.stderr == ""
    return done.returncode, done.stdout


def test_a_good_journal(tmp_path: Path, seeded: RunningJournal) -> None:
    status, said = verify(tmp_path, env=seeded.env())
    match = re.fullmatch(
        r"Verified (\d+) entries, seq 1\.\.(\d+), head [0-9a-f]{16}, signed to seq:(\d+) by key [0-9a-f]{16}\n", said
    )
    assert match
    assert status == 0
    assert match[1] == match[2] == match[3]  # a session's end is signed at once


def test_an_empty_journal(tmp_path: Path, journal: RunningJournal) -> None:
    assert verify(tmp_path, env=journal.env()) == (0, "Verified 0 entries: the journal is empty\n")


def test_altered_in_the_database(tmp_path: Path, journal: RunningJournal) -> None:
    journal.append(*session_drafts())
    with closing(sqlite3.connect(journal.database)) as database, database:
        changed = database.execute(
            "UPDATE entries SET text = replace(text, 'uname -n', 'uname -a') WHERE text LIKE '%uname -n%'"
        )
        assert changed.rowcount == 1
    status, said = verify(tmp_path, env=journal.env())
    assert status == 1
    assert re.match(r"BAD seq:\d+: altered: its content does not match its hash\n", said)


def delete(database: sqlite3.Connection) -> None:
    database.execute("DELETE FROM entries WHERE seq = 3")


def close_the_gap(database: sqlite3.Connection) -> None:
    delete(database)
    database.execute("UPDATE entries SET seq = seq - 1 WHERE seq > 3")


def swap(database: sqlite3.Connection) -> None:
    for before, after in ((3, -1), (4, 3), (-1, 4)):
        database.execute("UPDATE entries SET seq = ? WHERE seq = ?", (after, before))


def repeat(database: sqlite3.Connection) -> None:
    names = [row[1] for row in database.execute("PRAGMA table_info(entries)")]
    # Numbers are unique: from behind, one by one.
    for (seq,) in database.execute("SELECT seq FROM entries WHERE seq > 3 ORDER BY seq DESC").fetchall():
        database.execute("UPDATE entries SET seq = seq + 1 WHERE seq = ?", (seq,))
    values = ", ".join({"seq": "seq + 1", "number": "number + 1000"}.get(name, name) for name in names)
    database.execute(f"INSERT INTO entries SELECT {values} FROM entries WHERE seq = 3")


@pytest.mark.parametrize(
    ("tamper", "says"),
    [
        (delete, "removed"),
        (close_the_gap, "removed|reordered|altered"),
        (swap, "reordered"),
        (repeat, "inserted|reordered|altered"),
    ],
)
def test_removed_reordered_or_inserted_in_the_database(
    tmp_path: Path, journal: RunningJournal, tamper: Callable[[sqlite3.Connection], None], says: str
) -> None:
    journal.append(*session_drafts())
    with closing(sqlite3.connect(journal.database)) as database, database:
        tamper(database)
    status, said = verify(tmp_path, env=journal.env())
    assert status == 1
    assert re.match(rf"BAD seq:[34]: ({says})", said), said


def test_the_tail_cut_off_the_database(tmp_path: Path, journal: RunningJournal) -> None:
    journal.append(*session_drafts())
    with closing(sqlite3.connect(journal.database)) as database, database:
        database.execute("DELETE FROM entries WHERE seq > 3")
    done = run_pact(tmp_path, "log", "--verify", "--output", "json", env=journal.env())
    assert done.returncode == 1
    told = json.loads(done.stdout)
    assert (told["entries"], told["bad"]["seq"]) == (3, 4)
    assert told["bad"]["reason"].startswith("cut: ")


def test_an_export_is_verified_without_any_server(tmp_path: Path, export: Path) -> None:
    status, said = verify(tmp_path, "--from-export", str(export))
    assert (status, said[:9]) == (0, "Verified ")
    assert stat.S_IMODE(export.stat().st_mode) == 0o600


def test_an_export_can_be_read(tmp_path: Path, export: Path) -> None:
    done = run_pact(tmp_path, "log", "--from-export", str(export), "-n", "2", "--author", "alice@org")
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split()[2] for line in done.stdout.splitlines()] == ["session.end", "refusal"]


def alter(lines: list[str]) -> list[str]:
    return [line.replace("uname -n", "uname -a") for line in lines]


def remove(lines: list[str]) -> list[str]:
    return lines[:3] + lines[4:]


def reorder(lines: list[str]) -> list[str]:
    return [*lines[:3], lines[4], lines[3], *lines[5:]]


def insert(lines: list[str]) -> list[str]:
    return [*lines[:3], lines[2], *lines[3:]]


def cut(lines: list[str]) -> list[str]:
    return [line for number, line in enumerate(lines) if number < 4 or '"head"' in line]


@pytest.mark.parametrize("tamper", [alter, remove, reorder, insert, cut])
def test_a_tampered_export(tmp_path: Path, export: Path, tamper: Callable[[list[str]], list[str]]) -> None:
    lines = export.read_text().splitlines(keepends=True)
    tampered = tamper(lines)
    assert tampered != lines
    export.write_text("".join(tampered))
    status, said = verify(tmp_path, "--from-export", str(export))
    assert status == 1
    assert said.startswith("BAD seq:")


def test_a_cut_that_takes_the_heads_along_needs_an_anchor(tmp_path: Path, export: Path) -> None:
    lines = export.read_text().splitlines(keepends=True)
    anchor = tmp_path / "anchor"
    anchor.write_text([line for line in lines if '"head"' in line][-1])
    export.write_text("".join(lines[:4]))
    assert verify(tmp_path, "--from-export", str(export))[0] == 0
    status, said = verify(tmp_path, "--from-export", str(export), "--anchor", str(anchor))
    assert status == 1
    assert said.startswith("BAD seq:4: cut: ")


def test_an_anchor_for_the_living_journal(tmp_path: Path, seeded: RunningJournal, export: Path) -> None:
    anchor = tmp_path / "anchor"
    anchor.write_text("".join(line for line in export.read_text().splitlines(keepends=True) if '"head"' in line))
    assert verify(tmp_path, "--anchor", str(anchor), env=seeded.env())[0] == 0


WRONG = {
    "no such file": ("none", None, "No such file or directory"),
    "empty": ("empty", "", "line 1: not JSON"),
    "something else": ("else", '{"a": 1}\n', "not an export of a pact journal"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_file_that_is_no_export(tmp_path: Path, case: str) -> None:
    name, content, expected = WRONG[case]
    path = tmp_path / name
    if content is not None:
        path.write_text(content)
    for args in (["--verify"], []):
        done = run_pact(tmp_path, "log", *args, "--from-export", str(path))
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith(f"pact: {path}: {expected}")


def test_a_torn_export_is_named(tmp_path: Path, export: Path) -> None:
    export.write_text(export.read_text()[:-20])
    done = run_pact(tmp_path, "log", "--verify", "--from-export", str(export))
    assert done.returncode == 1
    assert re.match(rf"pact: {export}: line \d+: not JSON\n", done.stderr)


def test_an_altered_entry_is_not_listed(tmp_path: Path, export: Path) -> None:
    export.write_text("".join(alter(export.read_text().splitlines(keepends=True))))
    done = run_pact(tmp_path, "log", "--from-export", str(export))
    assert (done.returncode, done.stdout) == (1, "")
    assert "does not match its hash" in done.stderr


def test_export_overwrites_nothing(tmp_path: Path, seeded: RunningJournal) -> None:
    path = tmp_path / "mine"
    path.write_text("precious")
    done = run_pact(tmp_path, "log", "--export", str(path), env=seeded.env())
    assert (done.returncode, done.stderr) == (1, f"pact: log: --export: {path}: File exists\n")
    assert path.read_text() == "precious"


def test_an_export_that_fails_leaves_no_file(tmp_path: Path, seeded: RunningJournal) -> None:
    path = tmp_path / "export"
    env = seeded.env() | {"PACT_ENDPOINT": f"unix:{tmp_path}/none", "PACT_TIMEOUT": "2"}
    assert run_pact(tmp_path, "log", "--export", str(path), env=env).returncode == 5
    assert not path.exists()


def test_what_is_out_of_reach_is_checked_by_its_links(tmp_path: Path, seeded: RunningJournal) -> None:
    env = seeded.env("bob@org", ("pact-viewer-io",))
    status, said = verify(tmp_path, env=env)
    assert status == 0
    assert said.splitlines()[1].endswith("are out of your reach: their links were checked, not their content")
