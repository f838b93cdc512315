"""One line from its text to its decisions, as the agent does it, and everything that must hold of an allowed one.

What is checked, and how independently, stands in `oracles` and `wording`; bash must make the same argv of a
line (`bash`).
"""

from __future__ import annotations

import os
import time
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from pact_agent.prepare import Prepared, PreparedStage, prepare_line

from fuzz import oracles
from fuzz.bash import RESERVED, Bash, BashEndedError
from fuzz.policies import policies
from fuzz.watched import Finding, watch
from fuzz.wording import check_fed, check_options
from pactsh.catalog import load_catalog
from pactsh.catalog.schema import Command
from pactsh.language import Glob, Line, LineError, Text, Variable, Word, parse
from pactsh.model.identity import Identity
from pactsh.policy.decision import Decision, Request, Span, StageDecision, decide
from pactsh.policy.model import Policy
from pactsh.policy.overlay import extended
from tests.pactsh.language.bash_oracle import expected, make_tree, values

OPERATOR = Identity("olga@org", ("pact-ops-ml",), "human", "uid")
VIEWER = Identity("vera@org", ("pact-viewer-ml",), "human", "uid")
ADMIN = Identity("anna@org", ("pact-platform-admin",), "human", "uid")
Action = Literal["shell", "exec"]
SLOW_S = 0.05
# Not every line is shown to bash: one in so many of those that are refused, and of those with several commands,
# for each of which bash starts a process.
_REFUSED_TO_BASH = 8
_PIPES_TO_BASH = 4
_STEPS = (("dup", 2, 1), ("null", 1), ("null", 2))


class Judge:
    """Judges lines that stand in a directory `root` of awkward names, or elsewhere; `counts` says what was done.

    It decides by `catalog`, and holds what is decided against that of the package.
    """

    def __init__(self, root: Path) -> None:
        self.tree = Path(os.path.realpath(root)) / "tree"
        self.tree.mkdir()
        make_tree(self.tree)
        os.remove(self.tree / "new\nline")  # bash would write such a name in two pieces
        self.catalog = self._expected = load_catalog().complete()
        self.policies = policies(self.catalog)
        self.cwds = (str(self.tree), "/", "/etc", "/proc/1", "/var/log", "/home/a")
        self.counts: Counter[str] = Counter()
        self._values = tuple(values(self.tree, number) for number in (0, 1))
        self._bashes = tuple(Bash(self.tree, variables, self.catalog) for variables in self._values)
        self._commands: dict[int, dict[str, Command]] = {}

    def close(self) -> None:
        """End what was started."""
        for bash in self._bashes:
            bash.close()

    def check(
        self, text: str, identity: Identity, policy: Policy, cwd: str, number: int, action: Action = "shell"
    ) -> None:
        """One line from its text to its decisions, and what must hold of them."""
        try:
            line = parse(text)
        except LineError as error:
            _check_span(error.span, text)
            return
        self.counts["parsed"] += 1
        if self._wanders(line, cwd):
            return
        try:
            prepared = prepare_line(line, {**self._values[number], "?": "0"}, cwd, ())
        except LineError as error:
            _check_span(error.span, text)
            return
        decision = self._judged(text, prepared, identity, policy, cwd, action)
        if decision.verdict == "allow" and prepared:
            self.counts["allowed"] += 1
            oracles.check_text(text, sum(len(item.stages) for item in prepared))
            if any(stage.bypass for stage in decision.stages):
                _check_bypass(prepared, decision, identity, policy, action)
            else:
                self._check_stages(prepared, decision, identity, policy)
        elif zlib.crc32(text.encode()) % _REFUSED_TO_BASH:
            return
        self._check_bash(line, text, number)

    def _known_to(self, policy: Policy) -> Mapping[str, Command]:
        """The commands there may be: the catalog's, and what the policy adds to them."""
        known = self._commands.get(policy.version)
        if known is None:
            known = self._commands[policy.version] = dict(self._expected) | {
                command.name: command for command in policy.commands.add
            }
            for extension in policy.commands.extend:
                known[extension.command] = extended(known[extension.command], extension)
        return known

    def _judged(
        self,
        text: str,
        prepared: Sequence[Prepared],
        identity: Identity,
        policy: Policy,
        cwd: str,
        action: Action,
    ) -> Decision:
        """The decision about a line, asked for as the agent's executor does: twice the same, and soon."""
        stages = tuple(stage.request(number) for number, item in enumerate(prepared) for stage in item.stages)
        request = Request(text, stages, action, cwd)
        began = time.thread_time()
        decision = decide(request, identity, policy, self.catalog)
        spent = time.thread_time() - began
        again = decide(request, identity, policy, self.catalog)
        if again != decision:
            raise Finding(f"decided {decision!r}, then {again!r}")
        if spent > SLOW_S and all(self._cost(request, identity, policy) > SLOW_S for _ in range(3)):
            raise Finding(f"deciding takes {spent * 1000:.0f} ms")
        _check_span(decision.span, text)
        return decision

    def _cost(self, request: Request, identity: Identity, policy: Policy) -> float:
        began = time.thread_time()
        decide(request, identity, policy, self.catalog)
        return time.thread_time() - began

    def _check_stages(
        self, prepared: Sequence[Prepared], decision: Decision, identity: Identity, policy: Policy
    ) -> None:
        """Every allowed stage against every oracle, where it will stand."""
        commands = self._known_to(policy)
        placed = [(stage, item.cwd) for item in prepared for stage in item.stages]
        if len(decision.stages) != len(placed):
            raise Finding(f"{len(placed)} stages, {len(decision.stages)} decided")
        for (wanted, cwd), stage in zip(placed, decision.stages, strict=True):
            if identity is VIEWER and stage.class_ != "read":
                raise Finding(f"a viewer changes: {stage.argv!r}")
            self._check_stage(wanted, stage, cwd, policy, commands)
            repeated = [inner for line in wanted.inner for inner in line.stages]
            if len(repeated) != len(stage.inner):
                raise Finding(f"{len(repeated)} stages within {stage.argv!r}, {len(stage.inner)} decided")
            for wanted_inner, inner in zip(repeated, stage.inner, strict=True):
                if inner.class_ != "read" or (inner.builtin and inner.name != "pact"):
                    raise Finding(f"{stage.name} repeats {inner.argv!r}")
                self._check_stage(wanted_inner, inner, cwd, policy, commands)

    def _check_stage(
        self, prepared: PreparedStage, stage: StageDecision, cwd: str, policy: Policy, commands: Mapping[str, Command]
    ) -> None:
        self.counts["stages"] += 1
        name = prepared.argv[0]
        command = commands.get(name)
        if command is None or stage.name != name or stage.argv[0] != name or stage.bypass:
            raise Finding(f"{prepared.argv!r} runs {stage.argv!r}")
        oracles.check_rights(stage, command)
        watched = watch(command, prepared.argv, cwd)
        check_options(command, stage.argv, watched)
        check_fed(command, stage, watched)
        oracles.check_paths(watched, cwd)
        oracles.check_overlay(policy.commands, stage, watched)
        for index, word in enumerate(prepared.argv):
            if prepared.from_glob[index] and word.startswith("-"):
                raise Finding(f"{word!r} was not typed: {prepared.argv!r}")
        for step in prepared.redirects:
            _check_step(step, cwd)

    def _check_bash(self, line: Line, text: str, number: int) -> None:
        """bash runs the same commands with the same words, whether they succeed or fail."""
        stages = [stage for item in line.items for stage in item.pipeline.stages]
        if not stages or any(stage.words[0].literal in RESERVED for stage in stages):
            return
        targets = [r.target for stage in stages for r in stage.redirects if r.target is not None]
        if any(_leaves(target) for target in targets) or any(
            _leaves(w) for s in stages for w in s.words if _has_glob(w)
        ):
            return  # other users see other files there
        if len(stages) > 1 and zlib.crc32(text.encode()) % _PIPES_TO_BASH:
            return
        try:
            theirs = self._bashes[number].runs(text)
        except BashEndedError as error:
            raise Finding(f"bash: {error}") from error
        if theirs is None:
            return
        self.counts["bash"] += 1
        for status in (0, 1):
            ours = expected(line, self.tree, self._values[number], status)
            if ours is not None and ours != theirs[status]:
                raise Finding(f"bash runs {theirs[status]!r}, we run {ours!r}")

    def _wanders(self, line: Line, cwd: str) -> bool:
        """Whether a pattern leads to directories that are large or that others change."""
        words = [word for item in line.items for stage in item.pipeline.stages for word in stage.words]
        words += [r.target for i in line.items for s in i.pipeline.stages for r in s.redirects if r.target is not None]
        patterns = [word for word in words if _has_glob(word)]
        if not patterns:
            return False
        moves = any(stage.words[0].literal == "cd" for item in line.items for stage in item.pipeline.stages)
        return moves or cwd != self.cwds[0] or any(_leaves(word) for word in patterns)


def _check_bypass(
    prepared: Sequence[Prepared], decision: Decision, identity: Identity, policy: Policy, action: Action
) -> None:
    """A command outside the whitelist: an admin's, alone, from outside a session, and a bare name."""
    if identity is not ADMIN or action != "exec" or not policy.bypass_allowed or len(decision.stages) != 1:
        raise Finding(f"bypassed: {decision.stages!r}")
    item = prepared[0]
    argv, stage = item.stages[0].argv, decision.stages[0]
    paths = tuple(f"{directory}/{stage.name}" for directory in ("/usr/sbin", "/usr/bin", "/sbin", "/bin"))
    bare = "/" not in stage.name and stage.name.isascii() and not stage.name.startswith(("-", "."))
    if argv[0] != "bypass" or argv[1:] != stage.argv or not bare or stage.builtin or stage.class_ != "change":
        raise Finding(f"{argv!r} runs {stage!r}")
    if stage.program is None or stage.program.paths != paths or item.stages[0].from_glob[1]:
        raise Finding(f"{argv!r} runs {stage!r}")
    for step in item.stages[0].redirects:
        _check_step(step, item.cwd)


def _check_span(span: Span | None, text: str) -> None:
    if span is not None and not 0 <= span[0] < span[1] <= len(text):
        raise Finding(f"a span outside the line: {span}")


def _check_step(step: tuple[str | int, ...], cwd: str) -> None:
    """One redirection as it is carried out: every file that is opened counts, not the last alone."""
    if step[:2] == ("open", 0) and len(step) == 3:
        if why := oracles.secret(str(step[2]), cwd, contents=True):
            raise Finding(f"input from {step[2]!r}, {why}")
    elif step not in _STEPS:
        raise Finding(f"redirection {step!r}")


def _has_glob(word: Word) -> bool:
    return any(isinstance(part, Glob | Variable) for part in word.parts)


def _leaves(word: Word) -> bool:
    typed = "".join(part.value if isinstance(part, Text | Glob) else "$" for part in word.parts)
    return typed.startswith("/") or ".." in typed or "$" in typed[:1]
