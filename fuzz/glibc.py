"""glibc's own `getopt_long`, called in this process: what a program that uses it would make of an argv.

It is the independent reader that the catalog's one is held against. It scans an array of pointers and moves
them about, so every pointer tells which word it was and how far into it a value began.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pactsh.catalog.schema import Option

Table = Mapping[str, Option]
_QUESTION = "\x01"  # stands for the option `-?`, which glibc's answer would not tell from an error
_FIRST_LONG = 0x1000  # above every short option's character


class _Long(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("has_arg", ctypes.c_int),
        ("flag", ctypes.c_void_p),
        ("val", ctypes.c_int),
    )


_libc = ctypes.CDLL(None)
_optind = ctypes.c_int.in_dll(_libc, "optind")
_opterr = ctypes.c_int.in_dll(_libc, "opterr")
_optarg = ctypes.c_void_p.in_dll(_libc, "optarg")
_getopt_long = _libc.getopt_long
_getopt_long.argtypes = (
    ctypes.c_int,
    ctypes.POINTER(ctypes.c_void_p),
    ctypes.c_char_p,
    ctypes.POINTER(_Long),
    ctypes.c_void_p,
)
_getopt_long.restype = ctypes.c_int


class UsageError(Exception):
    """glibc objects, as the program would: an unknown or ambiguous option, a value missing or one too many."""


@dataclass(frozen=True, slots=True)
class Found:
    """What glibc found: options with their values in order, operands in order."""

    options: tuple[tuple[Option, str | None], ...]
    operands: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Scanner:
    """A table as glibc wants it, made once for each command.

    `digits` are short options without a value (grep, diff); `negative` ends the options at a number such as `-5`
    (seq); `permute` is false where the first operand does.
    """

    rows: tuple[Option, ...]
    short: bytes
    longs: ctypes.Array[_Long]
    question: bool
    negative: bool

    @classmethod
    def of(cls, table: Table, *, permute: bool, digits: bool = False, negative: bool = False) -> Scanner:
        """The scanner of a command's full table."""
        rows = list(dict.fromkeys(table.values()))
        number = {row: index for index, row in enumerate(rows)}
        short = "" if permute else "+"
        longs: list[_Long] = []
        for name, row in table.items():
            index = number[row]
            argument = 0 if not row.value else 2 if row.optional else 1
            if name.startswith("--"):
                longs.append(_Long(name[2:].encode(), argument, None, _FIRST_LONG + index))
            else:
                short += (_QUESTION if name == "-?" else name[1]) + ":" * argument
        if digits:
            short += "".join(digit for digit in "0123456789" if f"-{digit}" not in table)
        array = (_Long * (len(longs) + 1))(*longs, _Long(None, 0, None, 0))
        return cls(tuple(rows), short.encode(), array, "-?" in table, negative)

    def _row(self, table: Table, code: int) -> Option | None:
        if code >= _FIRST_LONG:
            return self.rows[code - _FIRST_LONG]
        return table.get("-?" if chr(code) == _QUESTION else f"-{chr(code)}")

    def scan(self, table: Table, argv: Sequence[str]) -> Found:
        """Scan `argv` (its first word is the program). Raises `UsageError` where glibc would."""
        spelled = [_spelled(word) if self.question else word for word in argv]
        words = [ctypes.create_string_buffer(word.encode("utf-8", "surrogateescape")) for word in spelled]
        starts = [ctypes.addressof(word) for word in words]
        index_of = {start: index for index, start in enumerate(starts)}
        array = (ctypes.c_void_p * (len(argv) + 1))(*starts, None)
        _optind.value, _opterr.value, _optarg.value = 0, 0, None
        options: list[tuple[Option, str | None]] = []
        while True:
            if self.negative and _is_number(argv, array, index_of):
                break
            _optarg.value = None
            code = _getopt_long(len(argv), array, self.short, self.longs, None)
            if code == -1:
                break
            if code == ord("?"):
                raise UsageError
            row = self._row(table, code)
            if row is None:
                continue  # a digit
            value = _text(_optarg.value)
            if value is None and row.follows and _optind.value < len(argv):
                after = argv[index_of[array[_optind.value] or 0]]
                if re.fullmatch(row.follows, after, re.ASCII):
                    value = after
                    _optind.value += 1
            options.append((row, value))
        operands = tuple(argv[index_of[array[index] or 0]] for index in range(max(1, _optind.value), len(argv)))
        return Found(tuple(options), operands)


def _text(pointer: int | None) -> str | None:
    return (
        None
        if pointer is None
        else ctypes.string_at(pointer).decode("utf-8", "surrogateescape").replace(_QUESTION, "?")
    )


def _spelled(word: str) -> str:
    return word.replace("?", _QUESTION) if word.startswith("-") and not word.startswith("--") else word


def _is_number(argv: Sequence[str], array: ctypes.Array[ctypes.c_void_p], index_of: Mapping[int, int]) -> bool:
    """Whether the word to be scanned next is a negative number (seq looks before it asks getopt)."""
    index = max(1, _optind.value)
    if index >= len(argv):
        return False
    return bool(re.match(r"-[.0-9]", argv[index_of[array[index] or 0]], re.ASCII))
