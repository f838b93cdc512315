"""JSON objects from callers: taken when they are one, refused by name when not."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from pactsh.errors import UsageError
from pactsh.journal.documents import parse_object
from tests.pactsh.journal.site import running

ODD = {
    "nothing": (b"", "missing"),
    "too long": (b'{"a": "' + b"x" * 100 + b'"}', "more than 100 bytes"),
    "no JSON": (b"nonsense", "not JSON"),
    "cut short": (b'{"a":', "not JSON"),
    "no text": (b'{"a": "\xff"}', "not JSON"),
    "deep": (b'{"a":' * 19 + b"x" * 5, "not JSON"),
    "no number": (b'{"a": NaN}', "not JSON"),
    "infinity": (b'{"a": -Infinity}', "not JSON"),
    "list": (b"[]", "expected an object"),
    "null": (b"null", "expected an object"),
}


@pytest.mark.parametrize("case", ODD)
def test_what_is_no_object_is_refused_by_its_name(case: str) -> None:
    data, why = ODD[case]
    with pytest.raises(UsageError, match=f"^operation: {why}$"):
        parse_object(data, "operation", 100)


def test_one_deeper_than_the_stack_is_refused() -> None:
    with pytest.raises(UsageError, match="not JSON"):
        parse_object(b'{"a":' * 100_000, "operation", 1 << 20)


def test_no_node_reports_what_is_not_json(tmp_path: Path) -> None:
    """What it reports is handed on as it came, to readers that know no NaN."""

    async def go() -> None:
        async with running(tmp_path) as site, site.agent() as agent:
            with pytest.raises(UsageError, match="report refused: details: not JSON"):
                await agent.report_node(vcluster="ml", details=b'{"load": NaN}')

    asyncio.run(go())
