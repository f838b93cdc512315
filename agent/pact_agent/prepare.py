"""From a parsed line to a request for decision: expansion, and where each stage will stand.

A line is expanded as a whole before anything runs, with the status taken as 0 and `cd`
followed, so that one refused part refuses all of it. Each pipeline is expanded again
right before it runs; where the result differs it is decided and recorded again.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence

import msgspec

from pact_agent.listing import DirectoryListing
from pactsh import language
from pactsh.policy.decision import StageRequest


class PreparedStage(msgspec.Struct, frozen=True):
    """One stage with its words expanded. `redirects` as `spawnclient.StageSpec` takes them."""

    argv: tuple[str, ...]
    spans: tuple[tuple[int, int], ...]
    from_glob: tuple[bool, ...]
    redirects: tuple[tuple[str | int, ...], ...]
    stdin_path: str | None

    def request(self, pipeline: int) -> StageRequest:
        """What the decider needs to know of it."""
        return StageRequest(
            argv=self.argv,
            spans=self.spans,
            from_glob=self.from_glob,
            stdin_path=self.stdin_path,
            pipeline=pipeline,
        )


class Prepared(msgspec.Struct, frozen=True):
    """A pipeline ready to be decided on: the operator before it, its stages and its directory."""

    op: str
    cwd: str
    stages: tuple[PreparedStage, ...]


def variables(user: str, host: str, node: str, vcluster: str, status: int) -> dict[str, str]:
    """The values of the language's variables (DESIGN.md section 3)."""
    return {
        "?": str(status),
        "HOME": "/",
        "USER": user,
        "HOSTNAME": host,
        "PACT_NODE": node,
        "PACT_VCLUSTER": vcluster,
    }


def needs_file_system(line: language.Line) -> bool:
    """Whether expanding it looks at directories, which may hang on a dead mount: for a glob, or to follow `cd`."""
    stages = [stage for item in line.items for stage in item.pipeline.stages]
    return any(_is_cd(s) or any(isinstance(p, language.Glob) for w in s.words for p in w.parts) for s in stages)


def _is_cd(stage: language.Stage) -> bool:
    first = stage.words[0].parts if stage.words else ()
    return "".join(p.value for p in first if isinstance(p, language.Text)) == "cd"


def prepare_line(
    line: language.Line, values: Mapping[str, str], cwd: str, secrets: Sequence[str]
) -> tuple[Prepared, ...]:
    """Expand every pipeline, with `cd` followed from one to the next. Raises `language.LineError`."""
    prepared: list[Prepared] = []
    for item in line.items:
        pipeline = prepare_pipeline(item, values, cwd, secrets)
        prepared.append(pipeline)
        if len(pipeline.stages) == 1 and pipeline.stages[0].argv[:1] == ("cd",):
            target = cd_target(pipeline.stages[0].argv, cwd)
            if target is not None and DirectoryListing("/", secrets).is_dir(target):
                cwd = target
    return tuple(prepared)


def prepare_pipeline(item: language.Item, values: Mapping[str, str], cwd: str, secrets: Sequence[str]) -> Prepared:
    """Expand one pipeline of a line in directory `cwd`."""
    listing = DirectoryListing(cwd, secrets)
    return Prepared(item.op, cwd, tuple(_prepare_stage(s, values, listing) for s in item.pipeline.stages))


def _prepare_stage(stage: language.Stage, values: Mapping[str, str], listing: DirectoryListing) -> PreparedStage:
    words = language.expand_stage(stage, values, listing)
    steps: list[tuple[str | int, ...]] = []
    stdin_path: str | None = None
    for redirect in stage.redirects:
        if redirect.kind == "in":
            stdin_path = language.expand_redirect(redirect, values, listing)
            steps.append(("open", 0, stdin_path))
        else:
            steps += _STEPS[redirect.kind]
    return PreparedStage(
        argv=tuple(w.value for w in words),
        spans=tuple(w.span for w in words),
        from_glob=tuple(w.from_glob for w in words),
        redirects=tuple(steps),
        stdin_path=stdin_path,
    )


_STEPS: dict[str, list[tuple[str | int, ...]]] = {
    "err-to-out": [("dup", 2, 1)],
    "out-null": [("null", 1)],
    "err-null": [("null", 2)],
    "all-null": [("null", 1), ("dup", 2, 1)],
}


def cd_target(argv: Sequence[str], cwd: str, before: str = "/") -> str | None:
    """Where `cd` leads, logically (`cd -L` of POSIX): None when its operands make no sense."""
    operands = [a for a in argv[1:] if a != "--"]
    if len(operands) > 1:
        return None
    operand = operands[0] if operands else "/"
    if operand == "-":
        return before
    path = posixpath.normpath(posixpath.join(cwd, operand))
    return "/" + path.lstrip("/")
