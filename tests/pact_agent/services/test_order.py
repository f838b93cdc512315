"""The order in which services start and stop."""

from __future__ import annotations

import pytest
from pact_agent.services.definition import Definition
from pact_agent.services.order import cycles, dependants, needed, start_order


def known(**links: str) -> dict[str, Definition]:
    """`a="b !c"`: a comes after b, and requires c."""
    made: dict[str, Definition] = {}
    for name, text in links.items():
        words = text.split()
        requires = tuple(word[1:] for word in words if word.startswith("!"))
        made[name] = Definition(("/x",), after=tuple(w for w in words if not w.startswith("!")), requires=requires)
    return made


@pytest.mark.parametrize(
    ("links", "order"),
    [
        ({}, ""),
        ({"b": "", "a": ""}, "a b"),
        ({"a": "b", "b": "!c", "c": ""}, "c b a"),
        ({"a": "nowhere", "b": ""}, "a b"),
        ({"a": "!b", "b": "!a", "c": "", "d": "!a"}, "c"),
        ({"a": "a", "b": ""}, "b"),
    ],
)
def test_each_starts_behind_those_it_waits_for(links: dict[str, str], order: str) -> None:
    assert " ".join(start_order(known(**links))) == order


@pytest.mark.parametrize(
    ("links", "told"),
    [
        ({"a": "b", "b": "a"}, {"a": "a -> b -> a", "b": "a -> b -> a"}),
        ({"z": "x", "x": "!y", "y": "z"}, dict.fromkeys("xyz", "x -> y -> z -> x")),
        ({"a": "a"}, {"a": "a -> a"}),
        ({"user": "!b", "b": "c", "c": "b", "free": ""}, dict.fromkeys(("user", "b", "c"), "b -> c -> b")),
        ({"a": "b", "b": "c", "c": ""}, {}),
    ],
)
def test_a_circle_is_told_with_all_that_are_in_it(links: dict[str, str], told: dict[str, str]) -> None:
    assert cycles(known(**links)) == told


def test_what_goes_along_with_another() -> None:
    services = known(db="", cache="", web="!db cache", mon="!web", other="")
    assert needed(services, "mon") == ("db", "web", "mon")
    assert dependants(services, "db") == ("mon", "web")
    assert (needed(services, "other"), dependants(services, "other")) == (("other",), ())
    assert dependants(services, "cache") == (), "what is only waited for may go"
