"""The process that evaluates modules for `Embedded`: the engine is a C++ library, and a journal must outlive it.

A JSON object a line on stdin, one on stdout for each: first `{"modules": {name: text}}`, answered by `{}`, then
`{"input": …}`, answered by `{"value": …}`. An error is `{"error": text}`. It ends with its stdin.
"""

from __future__ import annotations

import json
import os
import re
import sys
from typing import NamedTuple

import regopy

from pactsh.errors import UsageError
from pactsh.policy.rego.modules import check_modules

_QUERY = "data.pact.authz"
_FAULT = re.compile(r"\(error\s+\d+:([^|()]+)\|(\d+)\|\d+\s*\(errormsg\s+\d+:(.*?)\)\s*\(errorast", re.DOTALL)


class EvaluationError(Exception):
    """What could not be loaded or evaluated, in words."""


class Loaded(NamedTuple):
    """Modules, and the query over them compiled once: ten times as fast as one that is compiled each time."""

    engine: regopy.Interpreter
    query: regopy.Bundle


def load(modules: dict[str, str]) -> Loaded:
    """Take over these modules. Raises `EvaluationError`."""
    engine = regopy.Interpreter()
    try:
        check_modules(modules, engine.is_builtin)
        for name, text in modules.items():
            engine.add_module(name, text)
        loaded = Loaded(engine, engine.build(_QUERY))
    except UsageError as error:
        raise EvaluationError(error.message) from error
    except regopy.RegoError as error:
        raise EvaluationError(_told(str(error), modules)) from error
    evaluate(loaded, {"action": "exec", "identity": {}, "scope": {}, "command": None})
    return loaded


def _told(text: str, modules: dict[str, str]) -> str:
    """The first fault in the library's error, with the line it is on."""
    found = _FAULT.search(text)
    if found is None or found[1] not in modules:
        return " ".join(text.split())[:500]
    before = modules[found[1]].encode()[: int(found[2])]
    return f"{found[1]}:{before.count(10) + 1}: {' '.join(found[3].split())}"


def evaluate(loaded: Loaded, given: object) -> object:
    """The package's value for an input, None when it is undefined. Raises `EvaluationError`."""
    try:
        loaded.engine.set_input(given)
        output = loaded.engine.query_bundle(loaded.query)
    except ValueError as error:  # JSONDecodeError: the binding can't read the library's error
        raise EvaluationError("an error in a rule") from error
    text = str(output)
    if text == "undefined":
        return None
    if not output.ok():
        raise EvaluationError("rules that contradict each other")
    try:
        return json.loads(text)["expressions"][0]
    except (ValueError, LookupError) as error:
        raise EvaluationError("an error in a rule") from error


def main() -> None:
    """Answer until stdin ends. What the library prints about errors is in its exceptions as well."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    regopy.set_default_log_level("None")
    loaded: Loaded | None = None
    for line in sys.stdin:
        asked = json.loads(line)
        answer: dict[str, object] = {}
        try:
            if loaded is None:
                loaded = load(asked["modules"])
            else:
                answer["value"] = evaluate(loaded, asked["input"])
        except (EvaluationError, regopy.RegoError) as error:
            answer["error"] = str(error)[:1000]
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
