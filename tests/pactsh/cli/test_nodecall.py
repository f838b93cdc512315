"""What a node's own `pact` answers, and what is no answer of its."""

from __future__ import annotations

import json

import msgspec
import pytest

from pactsh.cli.nodecall import pending_in, read_answer
from pactsh.errors import ForbiddenError, PactError


class Answer(msgspec.Struct, frozen=True):
    node: str


def test_an_answer_and_an_error() -> None:
    assert read_answer("diag: n1", Answer, 0, '{"node": "n1"}\n', "") == Answer("n1")
    error = {"code": 2, "kind": "forbidden", "message": "eve may not", "hint": ""}
    with pytest.raises(ForbiddenError, match=r"^eve may not$"):
        read_answer("diag: n1", Answer, 2, "", "a notice\n" + json.dumps({"error": error}))


@pytest.mark.parametrize(
    ("status", "stdout", "stderr", "why"),
    [
        (0, "", "", "it ended with 0, and no answer of pact"),
        (0, "garbage\x00", "", "no answer of pact"),
        (0, "[" * 100_000, "", "no answer of pact"),
        (0, '{"node": 5}', "", "no answer of pact"),
        (0, "[]", "", "no answer of pact"),
        (1, "", "bash: pact: not found\n", "bash: pact: not found"),
        (1, "", "[]", r"\[\]"),
        (1, "", '{"error": {"kind": "x"}}', "error"),
        (127, "", "", "it ended with 127"),
        (1, "", "x" * 100_000, "x{2000}$"),
    ],
)
def test_garbage_is_an_error_that_names_the_node(status: int, stdout: str, stderr: str, why: str) -> None:
    with pytest.raises(PactError, match=f"^diag: n1: .*{why}") as caught:
        read_answer("diag: n1", Answer, status, stdout, stderr)
    assert caught.value.code == 1


@pytest.mark.parametrize(
    ("said", "id_"),
    [
        (b'{"approval": "ap-12", "state": "pending", "what": "commit", "where": "n1"}\n', "ap-12"),
        (b'{"approval": "ap-12", "state": "approved"}', ""),
        (b'{"node": "n1"}', ""),
        (b"\xff{", ""),
        (b"", ""),
    ],
)
def test_a_verb_that_waits_for_a_second_person_is_told_by_its_answer(said: bytes, id_: str) -> None:
    assert pending_in(said) == id_
