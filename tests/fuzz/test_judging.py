"""The whole judgement over the lines of the case files, and over those that found something once."""

from __future__ import annotations

import os
from collections.abc import Iterator

import msgspec
import pytest

from fuzz.judging import OPERATOR, VIEWER, Judge
from fuzz.seeds import case_lines
from fuzz.watched import Finding
from pactsh.catalog.reading import Refusal


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Judge]:
    root = tmp_path_factory.mktemp("judge")
    for directory in (root, *root.parents[:2]):
        os.chmod(directory, 0o755)  # for the bash that belongs to nobody
    judge = Judge(root)
    yield judge
    judge.close()


def test_known_lines_hold(judge: Judge) -> None:
    wrong = []
    for line in case_lines():
        for number, identity in enumerate((OPERATOR, VIEWER)):
            try:
                judge.check(line, identity, judge.policies[0], judge.cwds[0], number)
            except Finding as finding:
                wrong.append(f"{line}: {finding}")
    assert wrong == []
    assert judge.counts["allowed"] > 500
    assert judge.counts["bash"] > 500


@pytest.mark.parametrize("version", range(1, 8))
def test_known_lines_hold_under_other_policies(judge: Judge, version: int) -> None:
    for line in case_lines()[version::3]:
        judge.check(line, OPERATOR, judge.policies[version], judge.cwds[version % len(judge.cwds)], 0)


def test_a_decider_that_allows_more_than_the_catalog_is_found(judge: Judge) -> None:
    sort = judge.catalog["sort"]
    loose = msgspec.structs.replace(
        sort, options=tuple(msgspec.structs.replace(option, deny="") for option in sort.options)
    )
    line, arguments = "sort -o x y", (OPERATOR, judge.policies[0], judge.cwds[0], 0)
    judge.check(line, *arguments)
    strict, judge.catalog = judge.catalog, judge.catalog.changed((), (loose,))
    try:
        with pytest.raises(Refusal, match="-o is not allowed"):
            judge.check(line, *arguments)
    finally:
        judge.catalog = strict
