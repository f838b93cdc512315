"""What a run starts from: the lines of the case files as inputs, and the catalog's spellings as a dictionary."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

from pactsh.catalog import load_catalog
from tests.pactsh.catalog.deciding import command_cases

_RAW = b"\0\0"  # the built-in policy, and the rest of the bytes as the line's text


@lru_cache(maxsize=1)
def case_lines() -> tuple[str, ...]:
    """The lines of all case files, and those that found something before."""
    found = Path(__file__).parent / "found.txt"
    return (*(case.line for case in command_cases()), *found.read_text(encoding="utf-8").splitlines())


def write_seeds(target: str, directory: Path) -> None:
    """One file for each case line, named by its contents."""
    directory.mkdir(parents=True, exist_ok=True)
    for line in case_lines():
        data = (_RAW if target == "fuzz_decision" else b"") + line.encode()
        (directory / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)


def write_dictionary(place: Path) -> None:
    """Names, options and keywords of the catalog, and the language's signs, for libFuzzer."""
    words = {
        "&&",
        "||",
        " | ",
        "; ",
        "2>&1",
        ">/dev/null",
        "&>/dev/null",
        "$?",
        "$HOME",
        "'",
        '"',
        "\\",
        "[[:alpha:]]",
        " -- ",
    }
    for command in load_catalog().values():
        words.add(command.name)
        words.update(name for option in command.options for name in option.spellings)
        words.update(name for sub in command.commands for name in sub.spellings)
    lines = [f'"{_escaped(word)}"' for word in sorted(words)]
    place.write_text("\n".join(lines) + "\n", encoding="ascii")


def _escaped(word: str) -> str:
    return "".join(c if c.isalnum() or c in "-_ ./" else f"\\x{ord(c):02X}" for c in word)
