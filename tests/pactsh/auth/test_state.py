"""Where things are kept between runs, and under which name."""

from pathlib import Path

import pytest

from pactsh.auth.state import binding_of, state_directory
from pactsh.errors import UsageError


def test_where_it_lies() -> None:
    assert state_directory({"XDG_STATE_HOME": "/s", "HOME": "/h"}) == Path("/s/pact")
    assert state_directory({"XDG_STATE_HOME": "relative", "HOME": "/h"}) == Path("/h/.local/state/pact")
    assert state_directory({"HOME": "/h"}) == Path("/h/.local/state/pact")
    with pytest.raises(UsageError):
        state_directory({})


def test_a_binding_is_of_both_and_shows_neither() -> None:
    bindings = {binding_of(endpoint, token) for endpoint in ("a:1", "b:1") for token in ("t1", "t2")}
    assert len(bindings) == 4
    assert not any("t1" in binding or "a:1" in binding for binding in bindings)
