"""What a second person is shown before deciding."""

from __future__ import annotations

from typing import Any, cast

import pytest

from pactsh.cli.context import Context
from pactsh.cli.request import details
from pactsh.model.approval import Approval
from pactsh.model.entry import Author

NOBODY = cast("Context", None)  # nothing is asked of it for these


def shown(**operation: Any) -> list[str]:
    approval = Approval("ap-7f3a", "shell", "node:n", "ml", "x", Author("alice@org"), "t", "t", operation=operation)
    return list(details(NOBODY, approval))


def test_what_a_glob_stands_for_is_shown() -> None:
    stages = [{"argv": ["rm", "/tmp/a b", "/tmp/c"]}, {"argv": ["wc", "-l"]}]
    assert shown(line="rm /tmp/* | wc -l", cwd="/", stages=stages) == [
        "runs: rm /tmp/* | wc -l",
        "in: /",
        "that is: rm '/tmp/a b' /tmp/c",
    ]
    assert shown(line="rm x", cwd="/tmp", stages=[{"argv": ["rm", "x"]}]) == ["runs: rm x", "in: /tmp"]


@pytest.mark.parametrize("stages", [None, "x", [None], [{}], [{"argv": "x"}], [{"argv": [7]}]])
def test_an_agent_of_another_kind_may_say_less(stages: object) -> None:
    assert shown(line="rm *", cwd="/", stages=stages) == ["runs: rm *", "in: /"]


def test_values_that_are_committed_or_undone_are_shown() -> None:
    told = shown(method="rollback", params={"to": 7}, expected={"kernel:x": "1", "files:/etc/y": None})
    assert told == ["to: 7", "files:/etc/y = (none)", "kernel:x = 1"]
