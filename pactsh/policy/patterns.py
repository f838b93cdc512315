"""Regular expressions that a policy may hold: those whose matching takes no longer than it looks. Pure.

`re` tries every way in which the parts of a pattern can share a word: a choice in a repetition without bound makes
that exponential in the word's length, repetitions in a row a power of it (R. Cox, "Regular Expression Matching
Can Be Simple And Fast", 2007). The agent has one thread for everybody, so the ways are counted before a pattern
is taken, and there is an upper limit.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from re import _constants, _parser  # type: ignore[attr-defined]  # the only way to the parsed form

_LONGEST = 500
_WORD = 1024  # characters that a value with a pattern has at most, as `pactsh.catalog.kinds` sees to
_MOST_WAYS = 2**22  # some tenths of a second

_REPEATS = (_constants.MAX_REPEAT, _constants.MIN_REPEAT, getattr(_constants, "POSSESSIVE_REPEAT", None))
_ATOMIC = getattr(_constants, "ATOMIC_GROUP", None)
_ODD = (_constants.ASSERT, _constants.ASSERT_NOT, _constants.GROUPREF, _constants.GROUPREF_EXISTS)

Items = Iterable[tuple[object, object]]


class _OddError(Exception):
    """What has no place in a policy's pattern."""


def pattern_fault(pattern: str) -> str:
    """Why a policy may not hold this pattern, or ""."""
    if len(pattern) > _LONGEST:
        return f"a policy's pattern has at most {_LONGEST} characters"
    try:
        ways = _ways(_parser.parse(pattern))
    except _OddError:
        return "look-around, back-references and conditions are not for a policy's pattern"
    except (re.error, ValueError, OverflowError, RecursionError):
        return "not a regular expression"
    if ways > _MOST_WAYS:
        return (
            "its repetitions and choices can share a word in too many ways, which may take for ever; "
            'for the items of a list write each = ","'
        )
    return ""


def _ways(items: Items) -> int:
    """In how many ways these parts can match the longest word, at most; beyond the limit only that it is beyond."""
    ways = 1
    for operator, argument in items:
        ways = min(ways * _ways_of(operator, argument), _MOST_WAYS + 1)
    return ways


def _ways_of(operator: object, argument: object) -> int:
    if operator in _ODD:
        raise _OddError
    if operator in _REPEATS:
        assert isinstance(argument, tuple)
        low, high, body = argument
        times = min(int(high), _WORD)
        return int(_ways(body) ** times) * (times - min(int(low), times) + 1)
    if operator is _constants.BRANCH:
        assert isinstance(argument, tuple)
        return sum(_ways(part) for part in argument[1])
    if operator is _constants.SUBPATTERN:
        assert isinstance(argument, tuple)
        return _ways(argument[-1])
    if operator is _ATOMIC:
        return _ways(argument)  # type: ignore[arg-type]
    return 1
