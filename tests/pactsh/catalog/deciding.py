"""One line in, one decision out, for the tests of the catalog and of policy."""

from __future__ import annotations

import shlex
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pactsh.catalog import Catalog, load_catalog
from pactsh.model.identity import Identity
from pactsh.policy.decision import Decision, Request, StageRequest, decide
from pactsh.policy.model import Policy

CASES = Path(__file__).parent / "cases"
POLICY = Policy("ml")
OPS = Identity("olga@org", ("pact-ops-ml",), "human", "uid")
VIEWER = Identity("vera@org", ("pact-viewer-ml",), "human", "uid")


@lru_cache(maxsize=1)
def shipped() -> Catalog:
    return load_catalog()


def cases(name: str) -> list[str]:
    return (CASES / name).read_text(encoding="utf-8").splitlines()


def request(*lines: str, action: Literal["shell", "exec"] = "shell", cwd: str = "/var") -> Request:
    """A request of one stage a line, words split as a shell would."""
    stages = []
    for line in lines:
        argv = tuple(shlex.split(line))
        stages.append(StageRequest(argv, tuple((i, i + 1) for i in range(len(argv)))))
    return Request(" | ".join(lines), tuple(stages), action, cwd)


def decided(*lines: str, identity: Identity = OPS, policy: Policy = POLICY, cwd: str = "/var") -> Decision:
    return decide(request(*lines, cwd=cwd), identity, policy, shipped())
