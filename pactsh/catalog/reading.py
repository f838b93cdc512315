"""One command line being read against its catalog entry: what it uses and what that means.

The grammars (`getopt`, `tree`, `ps`) drive a `Reading`; it collects class, dimension and
grants, checks values, and raises `Refusal` at the first word the catalog does not allow.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from pactsh.catalog.kinds import KINDS, Places, judge, matches, shown
from pactsh.catalog.schema import Effect, Form, Grants, Operand, Sub


class Refusal(Exception):  # noqa: N818 - an answer, not a failure
    """A word the catalog does not allow. `word` is its index in argv, `rule` what it ran into."""

    def __init__(self, code: str, reason: str, *, rule: str, hint: str = "", word: int = 0) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.rule = rule
        self.hint = hint
        self.word = word


@dataclass(slots=True)
class Reading:
    """The state of reading `words` (argv) of the command `name` in the directory `cwd`.

    `out` is the argv to run: `words` with shortened spellings written in full; None drops one. `files` are
    the operands whose contents are read.
    """

    name: str
    words: tuple[str, ...]
    cwd: str
    out: list[str | None] = field(default_factory=list)
    used: set[str] = field(default_factory=set)
    dimension: str = ""
    grants: Grants = field(default_factory=Grants)
    walked: bool = False
    opened: bool = False
    demands: list[tuple[tuple[str, ...], str, int]] = field(default_factory=list)
    files: list[int] = field(default_factory=list)

    def refuse(self, code: str, reason: str, *, rule: str = "", hint: str = "", word: int = 0) -> Refusal:
        """The refusal to raise; `rule` is the part after the catalog file's name."""
        return Refusal(code, reason, rule=f"catalog/{self.name}.toml:{rule}", hint=hint, word=word)

    def unknown(self, code: str, what: str, word: int, known: Iterable[str]) -> Refusal:
        """The refusal of a word that the catalog does not name, with the closest one as a hint."""
        text = self.words[word]
        close = difflib.get_close_matches(text.partition("=")[0][:80], list(known), n=1, cutoff=0.75)
        hint = f"did you mean '{close[0]}'?" if close else f"see 'help {self.name}'"
        return self.refuse(code, f"{what} {shown(text)} of {self.name} is not on the whitelist", hint=hint, word=word)

    def use(self, effect: Effect, label: str, word: int) -> None:
        """Take note of a form that is used; raises `Refusal` when it is denied."""
        if effect.deny:
            what = label if label.partition(" ")[0] == self.name else f"{self.name} {label}"
            reason = f"{what} is not allowed: it {effect.deny}"
            raise self.refuse("denied", reason, rule=label, hint=effect.hint, word=word)
        if effect.change and not self.dimension:
            self.dimension = effect.change
        self.grants = self.grants.merged(effect.grants)
        if effect.requires:
            self.demands.append((effect.requires, label, word))

    def check(self, kind: str, place: Places, value: str, *, rule: str, word: int) -> None:
        """Judge a value at its place; raises `Refusal` naming what is wrong with it."""
        self.opened = self.opened or bool(KINDS[kind].opens)
        objection = judge(kind, place, value, self.cwd, walked=self.walked)
        if objection:
            raise self.refuse(objection.code, objection.reason, rule=rule, hint=objection.hint, word=word)

    def operands(self, slots: Sequence[Operand], indices: Sequence[int], extra: str) -> None:
        """Deal the operands at `indices` out to the places of the catalog, in order."""
        present = [s for s in slots if not self.used.intersection(s.unless)]
        taken = 0
        for position, slot in enumerate(present):
            reserved = sum(1 for later in present[position + 1 :] if later.count in ("1", "+"))
            share = _share(slot.count, len(indices) - taken - reserved)
            if share < 0:
                if self.used & {"--help", "--version"}:
                    return  # the program prints that and ends
                raise self.refuse(
                    "missing-operand", f"{self.name} needs a {KINDS[slot.kind].noun}", hint=f"see 'help {self.name}'"
                )
            for index in indices[taken : taken + share]:
                self._operand(slot, index)
            taken += share
            if slot.with_next and share and taken == len(indices):
                raise self.refuse("missing-operand", slot.why or "one operand more is needed", hint=slot.hint)
        if taken < len(indices):
            text = shown(self.words[indices[taken]])
            raise self.refuse(
                "extra-operand",
                f"{text} is one operand too many" + (f": {extra}" if extra else ""),
                rule="operands",
                hint=f"see 'help {self.name}'",
                word=indices[taken],
            )

    def _operand(self, slot: Operand, index: int) -> None:
        value = self.words[index]
        place: Operand | Form = slot
        for form in slot.forms:
            if matches(form.match, value):
                place = form
                break
        else:
            if slot.forms:
                raise self.refuse(
                    "bad-value",
                    slot.why or f"{shown(value)} is not a form of {self.name} on the whitelist",
                    rule="operands",
                    hint=slot.hint,
                    word=index,
                )
        if place.kind == "file":
            self.files.append(index)
        self.use(place, shown(value) if place.deny else place.kind, index)
        self.check(place.kind, place, value, rule=place.kind, word=index)

    def finish(self) -> None:
        """Check what only the whole line shows: options that need others, walks without a start."""
        for needed, label, word in self.demands:
            if not self.used.intersection(needed):
                raise self.refuse(
                    "missing-option",
                    f"{label} is only allowed together with {' or '.join(needed)}",
                    rule=label,
                    hint=f"see 'help {self.name}'",
                    word=word,
                )
        if self.walked and not self.opened:
            self.check("file", Form(), ".", rule="file", word=0)

    def find(self, subs: Sequence[Sub], index: int, *, abbreviate: bool) -> Sub | None:
        """The subcommand that word `index` names, its full name put into `out`; None if unknown."""
        word = self.words[index]
        for sub in subs:
            if word in sub.spellings:
                self.out[index] = sub.spellings[0] if abbreviate else word
                return sub
        if not (abbreviate and word):
            return None
        near = [s for s in subs if any(name.startswith(word) for name in s.spellings)]
        if len(near) > 1:
            names = ", ".join(s.spellings[0] for s in near)
            raise self.refuse("ambiguous", f"{shown(word)} is ambiguous: {names}", hint="write it in full", word=index)
        if near:
            self.out[index] = near[0].spellings[0]
            return near[0]
        return None


def _share(count: str, left: int) -> int:
    """How many of the `left` words a place takes; negative when it needs one that isn't there."""
    if count == "1":
        return 1 if left >= 1 else -1
    if count == "?":
        return min(1, max(0, left))
    return left if left >= 1 else (-1 if count == "+" else 0)
