"""What each of several nodes has answered."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from pactsh.cli.asknodes import Error, Failed, Waiting, answer_of
from pactsh.cli.fanout import Ended
from pactsh.cli.outputs import Kept


class Answer(msgspec.Struct, frozen=True):
    node: str


def said(stdout: bytes, stderr: bytes = b"") -> Kept:
    async def run() -> Kept:
        kept = Kept()
        await kept.write(1, stdout)
        await kept.write(2, stderr)
        return kept

    return asyncio.run(run())


FORBIDDEN = b'{"error": {"code": 2, "kind": "forbidden", "message": "eve may not", "hint": "h"}}\n'


@pytest.mark.parametrize(
    ("ended", "kept", "answer"),
    [
        (Ended("n1", "ran", 0), said(b'{"node": "n1"}'), Answer("n1")),
        (
            Ended("n1", "ran", 0),
            said(b'{"approval": "ap-7", "state": "pending", "what": "service", "where": "n1"}'),
            Waiting("n1", "ap-7"),
        ),
        (Ended("n1", "ran", 2), said(b"", FORBIDDEN), Failed("n1", Error(2, "forbidden", "eve may not", "h"))),
        (
            Ended("n1", "unreachable", 5, "no route", "", "timeout"),
            said(b""),
            Failed("n1", Error(5, "timeout", "no route")),
        ),
        (Ended("n1", "interrupted", 130), said(b""), Failed("n1", Error(130, "error", "interrupted"))),
        (
            Ended("n1", "truncated", 1, "output over 5 bytes"),
            said(b'{"nod'),
            Failed("n1", Error(1, "error", "output over 5 bytes")),
        ),
    ],
)
def test_answers_errors_and_silence_are_told_apart(ended: Ended, kept: Kept, answer: object) -> None:
    assert answer_of(ended, kept, Answer, "service") == answer


def test_garbage_is_an_error_of_that_node_alone() -> None:
    answer = answer_of(Ended("n1", "ran", 0), said(b"\xff\x00garbage"), Answer, "diff")
    assert isinstance(answer, Failed)
    assert answer.exit_status == 1
    assert "no answer of pact" in answer.error.message
