"""The one decider: a line, an identity and a policy in, a frozen `Decision` out.

Running, explaining, completing and dry runs all call `decide`. It is pure, never raises,
and refuses whatever it does not know; the first refused part refuses the whole line.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, replace
from typing import Literal

from pactsh.catalog.kinds import secret_objection, shown
from pactsh.catalog.loader import Catalog
from pactsh.catalog.match import match
from pactsh.catalog.reading import Refusal
from pactsh.catalog.schema import Command, Grants
from pactsh.errors import PactError
from pactsh.model.identity import Identity
from pactsh.policy.model import Policy
from pactsh.policy.overlay import effective
from pactsh.policy.rbac import ADMIN, CHANGE_COMMANDS, highest_class, may, role_in
from pactsh.policy.runners import BYPASS

Span = tuple[int, int]
_ACTS = frozenset(
    {"approve", "blacklist", "commit", "emergency", "extend", "restart", "rollback", "start", "stop"}
)  # verbs of pact that do more than show
SECRET_ARGUMENT = "secret-argument"  # noqa: S105  the code of a refusal, no secret
"""The code of a refusal whose line must not be recorded from its span on."""
WHITELIST_CODES = frozenset(
    {
        "unknown-command",
        "unknown-option",
        "unknown-subcommand",
        "denied",
        "bad-value",
        "denied-value",
        "extra-operand",
        "missing-option",
        "misplaced-option",
    }
)
"""Codes that say what the whitelist lacks: what learning mode collects, and what `bypass` is there for."""

_BARE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")
SYSTEM_DIRECTORIES = ("/usr/sbin", "/usr/bin", "/sbin", "/bin")

_INSTEAD = {
    "vi": "view it with 'less FILE'",
    "vim": "view it with 'less FILE'",
    "more": "use 'less'",
    "sed": "use 'grep' or 'cut'",
    "awk": "use 'cut', 'sort' or 'column'",
    "tee": "the line is journaled already",
    "xargs": "name the operands",
    "dir": "use 'ls'",
    "ll": "use 'ls -l'",
    "sudo": "the line runs with the rights it needs",
    "su": "the line runs with the rights it needs",
    "bash": "give the command itself: pact runs it without a shell",
    "sh": "give the command itself: pact runs it without a shell",
    "ssh": "use 'pact shell NODE'",
    "ifconfig": "use 'ip addr'",
    "netstat": "use 'ss'",
    "route": "use 'ip route'",
    "arp": "use 'ip neigh'",
    "service": "use 'systemctl'",
    "man": "use 'help COMMAND'",
}


@dataclass(frozen=True, slots=True)
class Input:
    """A file that a `<` opens. Of several on one stage the last is read, but all are opened."""

    path: str
    span: Span | None = None


@dataclass(frozen=True, slots=True)
class StageRequest:
    """One stage after expansion. `spans` are the words' places in the line (code points).

    `from_glob[i]` is true where argv[i] came out of a glob. `pipeline` numbers the pipelines. `cwd` is where the
    stage will stand, which a `cd` before it may have changed; "" for the session's directory.
    """

    argv: tuple[str, ...]
    spans: tuple[Span, ...] = ()
    inputs: tuple[Input, ...] = ()
    pipeline: int = 0
    from_glob: tuple[bool, ...] = ()
    inner: tuple[StageRequest, ...] = ()
    cwd: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    """A parsed, expanded line and how it came in; `cwd` is the session's directory."""

    line: str
    stages: tuple[StageRequest, ...]
    action: Literal["shell", "exec"]
    cwd: str = "/"


@dataclass(frozen=True, slots=True)
class Program:
    """Which binary to run (the first of `paths` that exists) and what the sandbox leaves it."""

    paths: tuple[str, ...]
    grants: Grants


@dataclass(frozen=True, slots=True)
class StageDecision:
    """An allowed stage. `argv` is what to run: shortened options in full, safety options added.

    `bypass`: a platform admin's command that is on no whitelist, and that nothing contains. `inner`: what a
    `watch` repeats. `fed`: places in `argv` of files that are decompressed (`feed`) into the program's stdin.
    """

    argv: tuple[str, ...]
    name: str
    builtin: bool
    class_: Literal["read", "change"]
    dimension: str | None
    program: Program | None
    bypass: bool = False
    inner: tuple[StageDecision, ...] = ()
    feed: str = ""
    fed: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer. `status` is 0, or 2, 3, 6 as in the exit-code table; `span` the offending word.

    `refused` is the index of the stage that a refusal is about, where it is about one.
    """

    verdict: Literal["allow", "refuse"]
    status: int
    code: str
    rule: str
    reason: str
    hint: str
    span: Span | None
    stages: tuple[StageDecision, ...]
    refused: int | None = None

    @property
    def class_(self) -> Literal["read", "change"]:
        """The highest class of the stages."""
        return "change" if any(stage.class_ == "change" for stage in self.stages) else "read"

    @property
    def dimension(self) -> str | None:
        """The first dimension a stage changes."""
        return next((stage.dimension for stage in self.stages if stage.dimension), None)


def decide(request: Request, identity: Identity, policy: Policy, catalog: Catalog) -> Decision:
    """Whether the line may run, as whom, and with what. Pure; never raises."""
    if not may(identity, request.action, policy):
        return _no_role(request, identity, policy)
    if any(stage.argv[:1] == (BYPASS,) for stage in request.stages):
        return _bypassing(request, identity, policy, catalog)
    commands = effective(catalog, policy.commands)
    highest = highest_class(identity, request.action, policy)
    stages: list[StageDecision] = []
    for index, stage in enumerate(request.stages):
        answer = _stage(stage, stage.cwd or request.cwd, commands, policy)
        if stage.inner and isinstance(answer, StageDecision):
            answer = _repeated(stage, answer, request, commands, policy)
        if isinstance(answer, Decision):
            return replace(_with_way_out(answer, request, identity, policy), refused=index)
        if answer.class_ == CHANGE_COMMANDS and highest != CHANGE_COMMANDS:
            role = role_in(identity, request.action, policy)
            return _refused(
                2,
                "role-class",
                f"rbac:{role}",
                f"this form of {answer.name} changes the node ({answer.dimension}); {role} may only read",
                "ask someone with an operations role",
                _span(stage, 0),
            )
        stages.append(answer)
    return Decision("allow", 0, "allowed", "catalog", "", "", None, tuple(stages))


def _repeated(
    stage: StageRequest, watch: StageDecision, request: Request, catalog: Catalog, policy: Policy
) -> StageDecision | Decision:
    """A `watch` with what it repeats: lines of class `read`, decided as if each had been typed."""
    if sum(1 for other in request.stages if other.pipeline == stage.pipeline) > 1:
        reason = "watch shows what it repeats on the terminal and stands in no pipeline"
        return _refused(6, "watch-alone", "watch", reason, "watch 'COMMAND | COMMAND' repeats both", _span(stage, 0))
    inner: list[StageDecision] = []
    for repeated in stage.inner:
        answer = _stage(repeated, repeated.cwd or request.cwd, catalog, policy)
        if isinstance(answer, Decision):
            return answer
        asks = answer.name == "pact" and not _ACTS & set(answer.argv)
        if answer.class_ == CHANGE_COMMANDS or (answer.builtin and not asks):
            reason = f"watch repeats commands that only read; this form of {answer.name} is none"
            return _refused(6, "watch-change", "watch", reason, f"run {answer.name} by itself", _span(repeated, 0))
        inner.append(answer)
    return replace(watch, inner=tuple(inner))


def _no_role(request: Request, identity: Identity, policy: Policy) -> Decision:
    role = role_in(identity, request.action, policy)
    what = {"shell": "open a shell", "exec": "run commands"}.get(request.action, "do this")
    who = f"the role {role} may not" if role else f"{identity.principal} has no role that may"
    return _refused(
        2,
        "role-denied",
        f"rbac:{role or 'none'}",
        f"{who} {what} on vCluster {policy.vcluster}",
        "see 'pact whoami'",
        None,
    )


def _bypassing(request: Request, identity: Identity, policy: Policy, catalog: Catalog) -> Decision:
    """A line with the word `bypass`: one command outside the whitelist, for platform admins, through `pact exec`."""
    at = next(index for index, stage in enumerate(request.stages) if stage.argv[:1] == (BYPASS,))
    stage = request.stages[at]
    word = _span(stage, 0)
    if ADMIN not in identity.roles:
        role = role_in(identity, request.action, policy)
        reason = f"only {ADMIN} may run a command outside the whitelist"
        return _refused(2, "role-bypass", f"rbac:{role}", reason, "ask a platform admin", word)
    if request.action != "exec":
        reason = "a session stays within the whitelist"
        return _refused(6, "bypass-shell", BYPASS, reason, "from outside: pact exec --bypass NODE -- COMMAND", word)
    if not policy.bypass_allowed:
        reason = f"the policy of vCluster {policy.vcluster} forbids commands outside the whitelist"
        hint = f"pact group set-policy {policy.vcluster} --set bypass_allowed=true"
        return _refused(3, "bypass-forbidden", f"policy:{policy.vcluster}", reason, hint, word)
    if len(request.stages) != 1:
        return _refused(6, "bypass-line", BYPASS, "bypass takes a line of its own", "run the rest separately", word)
    name = stage.argv[1] if len(stage.argv) > 1 else ""
    if not name:
        return _refused(6, "bypass-name", BYPASS, "bypass needs a command", "bypass COMMAND [ARGUMENT]...", word)
    if not _BARE_NAME.fullmatch(name) or (len(stage.from_glob) > 1 and stage.from_glob[1]):
        reason = f"{shown(name)}: bypass takes the bare name of a program in a system directory"
        return _refused(6, "bypass-name", BYPASS, reason, "no path, no pattern", _span(stage, 1))
    if name == BYPASS or _is_builtin(name, catalog):
        return _refused(
            6, "bypass-name", BYPASS, f"{name} is the shell's own word", "leave bypass out", _span(stage, 1)
        )
    refused = _inputs(stage, stage.cwd or request.cwd)
    if refused is not None:
        return refused
    paths = tuple(f"{directory}/{name}" for directory in SYSTEM_DIRECTORIES)
    program = Program(paths, Grants())
    decided = StageDecision(stage.argv[1:], name, False, "change", None, program, bypass=True)
    return Decision("allow", 0, BYPASS, BYPASS, "", "", None, (decided,))


def _is_builtin(name: str, catalog: Catalog) -> bool:
    try:
        command = catalog.get(name)
    except PactError:  # the name of a broken file is not free for another use
        return True
    return command is not None and command.builtin


def _with_way_out(answer: Decision, request: Request, identity: Identity, policy: Policy) -> Decision:
    """The refusal with a word on `--bypass`, for those who may and where it would help."""
    may_bypass = ADMIN in identity.roles and request.action == "exec" and policy.bypass_allowed
    if not may_bypass or len(request.stages) != 1 or answer.code not in WHITELIST_CODES:
        return answer
    hint = "pact exec --bypass runs it outside the whitelist, marked as such in the journal"
    return replace(answer, hint=f"{answer.hint}; {hint}" if answer.hint else hint)


def _stage(stage: StageRequest, cwd: str, catalog: Catalog, policy: Policy) -> StageDecision | Decision:
    name = stage.argv[0] if stage.argv else ""
    try:
        command = catalog.get(name)
    except PactError as error:
        return _refused(
            6, "catalog-error", f"catalog/{name}.toml", error.message, "tell the platform admins", _span(stage, 0)
        )
    if command is None:
        return _unknown(name, catalog, policy, _span(stage, 0))
    for index, word in enumerate(stage.argv):
        if index < len(stage.from_glob) and stage.from_glob[index] and (index == 0 or word.startswith("-")):
            reason = f"the glob matched {shown(word)}, which {name} would take for an option"
            return _refused(6, "glob-option", "glob", reason, "write ./ in front of the pattern", _span(stage, index))
    if command.builtin and name == "pact":
        for index, word in enumerate(stage.argv):
            given = word.partition("=")[0]
            if len(given) > 2 and "--token".startswith(given):
                reason = "a token on the line would stay in the journal for ever; from there on it is not recorded"
                hint = "pact knows who you are here: leave --token out"
                return _refused(6, SECRET_ARGUMENT, "builtin:pact", reason, hint, _span(stage, index))
    refused = _inputs(stage, cwd)
    if refused is not None:
        return refused
    try:
        found = match(command, stage.argv, cwd)
    except Refusal as refusal:
        span = _span(stage, refusal.word)
        return _refused(6, refusal.code, refusal.rule, str(refusal), refusal.hint, span)
    return StageDecision(
        argv=found.argv,
        name=command.name,
        builtin=command.builtin,
        class_="change" if found.dimension else "read",
        dimension=found.dimension or None,
        program=_program(command, found.grants),
        feed=command.feed,
        fed=found.fed,
    )


def _inputs(stage: StageRequest, cwd: str) -> Decision | None:
    """The refusal of a file that a redirect would open, or None."""
    for given in stage.inputs:
        objection = secret_objection(given.path, cwd)
        if objection:
            return _refused(6, objection.code, "redirect", objection.reason, objection.hint, given.span)
    return None


def _program(command: Command, grants: Grants) -> Program | None:
    return None if command.builtin else Program(command.paths, grants)


def _unknown(name: str, catalog: Catalog, policy: Policy, span: Span | None) -> Decision:
    if name in policy.commands.remove:
        reason = f"{name} was taken off the whitelist of vCluster {policy.vcluster}"
        return _refused(6, "removed-command", f"policy:{policy.vcluster}", reason, "see 'help'", span)
    if "/" in name:
        return _refused(
            6, "path-command", "catalog", f"{shown(name)}: commands are called by name, not by path", "see 'help'", span
        )
    # A slip of the finger leaves one end of a word as it was; comparing with all names would take too long.
    ends = (name[:1], name[-1:])
    near = [o for o in catalog if abs(len(o) - len(name)) <= 2 and (o[0] == ends[0] or o[-1] == ends[1])]
    close = difflib.get_close_matches(name, near, n=1, cutoff=0.7)
    hint = _INSTEAD.get(name) or (f"did you mean '{close[0]}'?" if close else "see 'help'")
    label = name if name.isascii() and name.isalnum() else shown(name)
    return _refused(6, "unknown-command", "catalog", f"{label} is not on the whitelist", hint, span)


def _span(stage: StageRequest, index: int) -> Span | None:
    return stage.spans[index] if 0 <= index < len(stage.spans) else None


def _refused(status: int, code: str, rule: str, reason: str, hint: str, span: Span | None) -> Decision:
    return Decision("refuse", status, code, rule, reason, hint, span, ())
