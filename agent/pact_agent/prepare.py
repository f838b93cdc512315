"""From a parsed line to a request for decision: expansion, and where each stage will stand.

A line is expanded as a whole before anything runs, with the status taken as 0 and `cd`
followed, so that one refused part refuses all of it. Each pipeline is expanded again
right before it runs; where the result differs it is decided and recorded again.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from functools import lru_cache

import msgspec

from pact_agent.listing import DirectoryListing, expansion_ends
from pactsh import language
from pactsh.catalog import Command, load_catalog
from pactsh.catalog.watchargs import NAME, line_start
from pactsh.policy.decision import Input, StageRequest


class PreparedStage(msgspec.Struct, frozen=True):
    """One stage with its words expanded. `redirects` as `spawnclient.StageSpec` takes them.

    `inner`: the line that a `watch` repeats, with spans of the outer line.
    """

    argv: tuple[str, ...]
    spans: tuple[tuple[int, int], ...]
    from_glob: tuple[bool, ...]
    redirects: tuple[tuple[str | int, ...], ...]
    inputs: tuple[Input, ...] = ()
    cwd: str = "/"
    inner: tuple[Prepared, ...] = ()

    def request(self, pipeline: int) -> StageRequest:
        """What the decider needs to know of it."""
        return StageRequest(
            inner=tuple(stage.request(n) for n, item in enumerate(self.inner) for stage in item.stages),
            argv=self.argv,
            spans=self.spans,
            from_glob=self.from_glob,
            inputs=self.inputs,
            cwd=self.cwd,
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
    """Whether expanding it looks at directories, which may hang on a dead mount: for a glob, or to follow `cd`. The
    line within a `watch` is not looked into here."""
    stages = [stage for item in line.items for stage in item.pipeline.stages]
    return any(
        _name(s) in ("cd", NAME) or any(isinstance(p, language.Glob) for w in s.words for p in w.parts) for s in stages
    )


def _name(stage: language.Stage) -> str:
    first = stage.words[0].parts if stage.words else ()
    return "".join(p.value for p in first if isinstance(p, language.Text))


def prepare_line(
    line: language.Line, values: Mapping[str, str], cwd: str, secrets: Sequence[str]
) -> tuple[Prepared, ...]:
    """Expand every pipeline, with `cd` followed from one to the next. Raises `language.LineError`."""
    prepared: list[Prepared] = []
    until = expansion_ends()
    for item in line.items:
        pipeline = prepare_pipeline(item, values, cwd, secrets, until)
        prepared.append(pipeline)
        if len(pipeline.stages) == 1 and pipeline.stages[0].argv[:1] == ("cd",):
            target = cd_target(pipeline.stages[0].argv, cwd)
            if target is not None and DirectoryListing("/", secrets, until).is_dir(target):
                cwd = target
    return tuple(prepared)


def prepare_pipeline(
    item: language.Item, values: Mapping[str, str], cwd: str, secrets: Sequence[str], until: float
) -> Prepared:
    """Expand one pipeline of a line in directory `cwd`; `until` as `DirectoryListing` takes it."""
    listing = DirectoryListing(cwd, secrets, until)
    stages = (_prepare_stage(stage, values, listing) for stage in item.pipeline.stages)
    return Prepared(item.op, cwd, tuple(_with_inner(stage, values, listing) for stage in stages))


@lru_cache(maxsize=1)
def _watch() -> Command:
    return load_catalog()[NAME]


def _with_inner(stage: PreparedStage, values: Mapping[str, str], listing: DirectoryListing) -> PreparedStage:
    """A `watch` with the line that it repeats; whether that may run is decided like any other line.

    Not for a `watch` within a `watch`, which is refused.
    """
    start = line_start(_watch(), stage.argv) if stage.argv[:1] == (NAME,) else len(stage.argv)
    words, spans = stage.argv[start:], stage.spans[start:]
    if not words:
        return stage
    try:
        # One word is a line if it was typed as one; the name of a file that a glob found is a name.
        typed = len(words) == 1 and not stage.from_glob[start]
        line = language.parse(words[0] if typed else language.join(words))
        here = listing.directory
        inner = [
            Prepared(item.op, here, tuple(_prepare_stage(s, values, listing) for s in item.pipeline.stages))
            for item in line.items
        ]
    except language.LineError as error:
        error.span = (spans[0][0], spans[-1][1])
        raise
    globbed = () if typed else stage.from_glob[start:]
    return msgspec.structs.replace(
        stage,
        inner=tuple(
            msgspec.structs.replace(p, stages=tuple(_at(s, spans, typed, globbed) for s in p.stages)) for p in inner
        ),
    )


def _at(
    stage: PreparedStage, spans: tuple[tuple[int, int], ...], typed: bool, globbed: tuple[bool, ...]
) -> PreparedStage:
    """The stage with spans of the outer line: those of its words, or that of the one word it was `typed` in."""
    count = len(stage.argv)
    whole = (spans[0][0], spans[-1][1])
    inputs = tuple(Input(given.path, whole) for given in stage.inputs)
    return msgspec.structs.replace(
        stage,
        spans=spans * count if typed else spans[:count],
        from_glob=stage.from_glob if typed else globbed,
        inputs=inputs,
    )


def _prepare_stage(stage: language.Stage, values: Mapping[str, str], listing: DirectoryListing) -> PreparedStage:
    words = language.expand_stage(stage, values, listing)
    steps: list[tuple[str | int, ...]] = []
    inputs: list[Input] = []
    for redirect in stage.redirects:
        if redirect.kind == "in":
            path = language.expand_redirect(redirect, values, listing)
            inputs.append(Input(path, redirect.target.span if redirect.target is not None else redirect.span))
            steps.append(("open", 0, path))
        else:
            steps += _STEPS[redirect.kind]
    return PreparedStage(
        argv=tuple(w.value for w in words),
        spans=tuple(w.span for w in words),
        from_glob=tuple(w.from_glob for w in words),
        redirects=tuple(steps),
        inputs=tuple(inputs),
        cwd=listing.directory,
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
