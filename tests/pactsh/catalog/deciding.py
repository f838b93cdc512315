"""One line in, one decision out, for the tests of the catalog and of policy."""

from __future__ import annotations

import shlex
from functools import lru_cache
from pathlib import Path
from typing import Literal, NamedTuple

from pactsh.catalog import Catalog, load_catalog
from pactsh.model.identity import Identity
from pactsh.policy.decision import Decision, Request, StageRequest, decide
from pactsh.policy.model import Policy

CASES = Path(__file__).parent / "cases"
POLICY = Policy("ml")
OPS = Identity("olga@org", ("pact-ops-ml",), "human", "uid")
VIEWER = Identity("vera@org", ("pact-viewer-ml",), "human", "uid")


class Case(NamedTuple):
    """A line of a command's case file. `detail` is the dimension of a change or the code of a refusal."""

    file: str
    kind: str
    detail: str
    line: str
    run: str


@lru_cache(maxsize=1)
def shipped() -> Catalog:
    return load_catalog()


def cases(name: str) -> list[str]:
    return (CASES / name).read_text(encoding="utf-8").splitlines()


@lru_cache(maxsize=1)
def command_cases() -> tuple[Case, ...]:
    """All rows of `cases/commands/`: a verdict (`read`, `change DIMENSION`, `refuse CODE`), a tab, a line.

    Behind ` => ` stands what is run where that differs from what is typed.
    """
    rows: list[Case] = []
    for file in sorted((CASES / "commands").glob("*.txt")):
        for text in file.read_text(encoding="utf-8").splitlines():
            verdict, tab, rest = text.partition("\t")
            kind, _, detail = verdict.partition(" ")
            assert tab, f"{file.name}: {text!r} has no tab"
            assert kind in ("read", "change", "refuse"), f"{file.name}: {text!r}"
            line, _, run = rest.partition(" => ")
            rows.append(Case(file.stem, kind, detail, line, run or line))
    return tuple(rows)


def request(*lines: str, action: Literal["shell", "exec"] = "shell", cwd: str = "/var") -> Request:
    """A request of one stage a line, words split as a shell would."""
    stages = []
    for line in lines:
        argv = tuple(shlex.split(line))
        stages.append(StageRequest(argv, tuple((i, i + 1) for i in range(len(argv)))))
    return Request(" | ".join(lines), tuple(stages), action, cwd)


def decided(*lines: str, identity: Identity = OPS, policy: Policy = POLICY, cwd: str = "/var") -> Decision:
    return decide(request(*lines, cwd=cwd), identity, policy, shipped())
