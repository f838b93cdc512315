"""What our reader took for what in a line, learned by watching it.

So that it can be compared place by place with what glibc says (`wording`) and what the paths are (`oracles`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from pactsh.catalog.kinds import Places
from pactsh.catalog.match import READERS
from pactsh.catalog.reading import Reading
from pactsh.catalog.schema import Command, Effect, Option, Sub


class Finding(AssertionError):  # noqa: N818  (not an error of this program)
    """Something that must never be."""


@dataclass
class Watched(Reading):
    """A `Reading` that writes down the options, values and operands it judged."""

    options: list[tuple[Option, str | None]] = field(default_factory=list, init=False)
    values: list[tuple[str, Places, str]] = field(default_factory=list, init=False)
    operand_words: list[str] = field(default_factory=list, init=False)
    subs: list[Sub] = field(default_factory=list, init=False)

    def use(self, effect: Effect, label: str, word: int) -> None:
        """Note an option or a subcommand."""
        if isinstance(effect, Option):
            self.options.append((effect, None))
        elif isinstance(effect, Sub):
            self.subs.append(effect)
        super().use(effect, label, word)

    def check(self, kind: str, place: Places, value: str, *, rule: str, word: int) -> None:
        """Note a value and where it stands."""
        self.values.append((kind, place, value))
        if isinstance(place, Option):
            self.options[-1] = (place, value)
        elif word:
            self.operand_words.append(value)
        super().check(kind, place, value, rule=rule, word=word)


def watch(command: Command, argv: tuple[str, ...], cwd: str) -> Watched:
    """Read an allowed argv again, watching; raises `Refusal` if it is refused now."""
    reading = Watched(command.name, argv, cwd, out=list(argv), walked=command.walks)
    reading.use(command, command.name, 0)
    READERS[command.grammar](reading, command)
    reading.finish()
    return reading
