from __future__ import annotations

from typing import Any

import pytest

from pactsh.shell.judge import Judge
from pactsh.shell.toolbar import Message
from pactsh.shell.wire import Frame


def decision(**fields: Any) -> Frame:
    return Frame({"op": "decision", "verdict": "allow", "status": 0, "span": None, **fields}, ())


def refusal(reason: str, span: list[int] | None) -> Frame:
    return decision(verdict="refuse", status=6, reason=reason, span=span)


class Asked(list[str]):
    def __call__(self, line: str) -> bool:
        self.append(line)
        return True


@pytest.fixture
def asked() -> Asked:
    return Asked()


@pytest.fixture
def judge(asked: Asked) -> Judge:
    return Judge({"ls", "rm"}, asked)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("ls", None),
        ("", None),
        ('echo "not yet closed', None),
        ("ls |", None),
        ("echo $(id)", "refused"),
        ("ls > file", "refused"),
        ("| ls", "malformed"),
        ("ls\nls &", "refused"),
    ],
)
def test_what_the_parser_knows(judge: Judge, text: str, what: str | None) -> None:
    message = judge.message(text)
    assert (None if message is None else message.what) == what


def test_the_agents_answer_belongs_to_its_line(judge: Judge) -> None:
    judge.ask("rm -rf /")
    assert judge.message("rm -rf /") is None
    judge.answered(refusal("rm is not on the whitelist", [0, 2]))
    assert judge.message("rm -rf /") == Message("refused", "rm is not on the whitelist")
    assert judge.message("rm -rf /x") is None


def test_a_word_still_being_typed_is_no_mistake(judge: Judge) -> None:
    judge.ask("di")
    judge.answered(refusal("di is not on the whitelist", [0, 2]))
    assert judge.message("di") is None


def test_the_policys_commands_are_learned(judge: Judge) -> None:
    assert judge.is_allowed("rm")
    assert not judge.is_allowed("nvidia-smi")
    judge.ask("ls; rm x")
    judge.answered(refusal("not here", [4, 6]))
    judge.ask("nvidia-smi | ls")
    judge.answered(decision())
    assert not judge.is_allowed("rm")
    assert judge.is_allowed("nvidia-smi")
    assert judge.is_allowed("ls")


def test_one_question_at_a_time_and_only_the_newest_waits(judge: Judge, asked: Asked) -> None:
    for text in ("ls", "ls ", "ls a", "ls ab"):
        judge.ask(text)
    assert asked == ["ls"]
    judge.answered(decision())
    assert asked == ["ls", "ls ab"]
    judge.answered(refusal("no", [0, 2]))
    assert judge.message("ls ab") == Message("refused", "no")
    judge.ask("ls ab")
    assert len(asked) == 2  # answered already


def test_nothing_is_asked_that_the_parser_can_answer(judge: Judge, asked: Asked) -> None:
    for text in ("", "   ", "echo $(id)", "ls\nls", "x" * 5000):
        judge.ask(text)
    assert asked == []


def test_a_lost_connection_is_forgotten(judge: Judge, asked: Asked) -> None:
    judge.ask("ls")
    judge.reset()
    judge.answered(refusal("late", [0, 2]))
    assert judge.message("ls") is None
    judge.ask("ls")
    assert asked == ["ls", "ls"]
