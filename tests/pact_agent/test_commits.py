"""What a commit takes. (Its way through the node's life is in test_lifecycle.)"""

from __future__ import annotations

import pytest
from pact_agent.commits import check_length

from pactsh.errors import UsageError
from pactsh.model.delta import Change, Delta


def delta(count: int) -> Delta:
    return Delta("x", tuple(Change("files", f"/etc/{n:05}", None, "v" * 150) for n in range(count)), "a", "t", "m")


def test_one_entry_holds_it_or_it_is_refused() -> None:
    check_length(delta(3000))
    with pytest.raises(UsageError, match="6000 changes are too many for one entry"):
        check_length(delta(6000))
