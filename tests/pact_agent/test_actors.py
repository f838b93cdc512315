"""Whose change it is: by the commands that run, and those that ended a moment ago."""

from __future__ import annotations

from pact_agent.actors import Actors

from pactsh.model.delta import Change
from tests.pact_agent.recording import FakeClock

STOPPED = Change("services", "chrony.service", "state=running", "state=stopped")
SETTING = Change("kernel", "vm.swappiness", "60", "10")


def test_it_is_theirs_whose_commands_run() -> None:
    actors = Actors(FakeClock())
    assert actors.author_of(SETTING) == ""
    with actors.acting("alice@org", "kernel"), actors.acting("bob@org", "services"):
        assert (actors.author_of(SETTING), actors.author_of(STOPPED)) == ("alice@org", "bob@org")
        assert actors.author_of(Change("files", "/etc/x", None, "x")) == "alice@org, bob@org"
    with actors.acting("eve@org", None):
        assert actors.author_of(Change("files", "/etc/x", None, "x")) == "eve@org"


def test_a_moment_later_what_is_of_the_commands_kind_still_is() -> None:
    clock = FakeClock()
    actors = Actors(clock)
    with actors.acting("alice@org", "services"):
        clock.pass_s(60)
    clock.pass_s(2)
    assert (actors.author_of(STOPPED), actors.author_of(SETTING)) == ("alice@org", "")
    with actors.acting("bob@org", "kernel"):
        assert actors.author_of(STOPPED) == "bob@org", "who runs something now comes first"
    clock.pass_s(4)
    assert actors.author_of(STOPPED) == ""
