"""Learning mode: what a refusal tells about the whitelist, for `pact group show` to propose entries from.

The line stays refused. Only refusals that the whitelist caused are kept, never those of secrets, roles or state.
"""

from __future__ import annotations

import os
import re
import stat
from typing import TYPE_CHECKING

from pact_agent.redaction import words_without_token
from pactsh.policy.decision import SYSTEM_DIRECTORIES, WHITELIST_CODES, Decision, Request
from pactsh.policy.model import Policy

if TYPE_CHECKING:
    from pactsh.model.entry import JsonObject

_NAME = re.compile(r"[a-z0-9][a-z0-9_.+-]{0,63}")
_MOST_WORDS, _MOST_LETTERS = 64, 256


def learned(decision: Decision, request: Request, policy: Policy) -> JsonObject | None:
    """The `learn` part of a refusal's body: name, argv (cut to what a proposal needs), path; None: nothing to learn."""
    if policy.whitelist_mode != "learning" or decision.code not in WHITELIST_CODES or decision.refused is None:
        return None
    argv = request.stages[decision.refused].argv
    name = argv[0] if argv else ""
    words = words_without_token(argv[:_MOST_WORDS])
    return {"name": name[:_MOST_LETTERS], "argv": [word[:_MOST_LETTERS] for word in words], "path": find_program(name)}


def find_program(name: str) -> str | None:
    """Where a program of this name is in the system directories; None when it isn't, or is no plain name."""
    if not _NAME.fullmatch(name):
        return None
    for directory in SYSTEM_DIRECTORIES:
        path = f"{directory}/{name}"
        try:
            info = os.stat(path)
        except OSError:
            continue
        if stat.S_ISREG(info.st_mode) and info.st_mode & 0o111:
            return path
    return None
