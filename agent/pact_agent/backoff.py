"""How long to wait before trying again: short first, then doubling to a limit, never in step with others."""

from __future__ import annotations

import random
from dataclasses import dataclass, field


@dataclass(slots=True)
class Backoff:
    """Delays in seconds: `first_s` once, then from `base_s` doubling to `limit_s`, each times 0.5 to 1.

    A thousand agents that lose the journal together must not come back together.

    >>> b = Backoff(rng=random.Random(1))
    >>> b.next() <= 0.2, 0.5 <= b.next() <= 1, 1 <= b.next() <= 2
    (True, True, True)
    """

    first_s: float = 0.2
    base_s: float = 1.0
    limit_s: float = 60.0
    rng: random.Random = field(default_factory=random.Random)
    _tries: int = 0

    def next(self) -> float:
        """The delay before the next try."""
        doubled = self.base_s * 2.0 ** min(self._tries - 1, 30)
        delay = self.first_s if self._tries == 0 else min(doubled, self.limit_s)
        self._tries += 1
        return delay * self.rng.uniform(0.5, 1.0)

    def reset(self) -> None:
        """It worked: the next delay is the first one again."""
        self._tries = 0
