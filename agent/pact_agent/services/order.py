"""In which order services start, and which go along with another. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from pact_agent.services.definition import Definition


def start_order(known: Mapping[str, Definition]) -> tuple[str, ...]:
    """All of them, each behind those it waits for; by name where it does not matter. Those in a cycle are left out.

    >>> start_order({"a": Definition(("/a",), after=("b",)), "b": Definition(("/b",)), "c": Definition(("/c",))})
    ('b', 'a', 'c')
    """
    order: dict[str, None] = {}
    stuck = cycles(known)

    def place(name: str) -> None:
        if name in order or name in stuck or name not in known:
            return
        for other in sorted(before(known[name])):
            place(other)
        order[name] = None

    for name in sorted(known):
        place(name)
    return tuple(order)


def before(definition: Definition) -> frozenset[str]:
    """What has to be up before it is started."""
    return frozenset({*definition.after, *definition.requires})


def cycles(known: Mapping[str, Definition]) -> dict[str, str]:
    """The services that wait for each other in a circle, or for one that does, each with the circle.

    >>> cycles({"a": Definition(("/a",), after=("b",)), "b": Definition(("/b",), requires=("a",))})
    {'a': 'a -> b -> a', 'b': 'a -> b -> a'}
    """
    found: dict[str, str] = {}
    clear: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            circle = path[path.index(name) :]
            first = circle.index(min(circle))
            told = " -> ".join((*circle[first:], *circle[:first], circle[first]))
            found.update(dict.fromkeys(circle, told))
            return
        if name in clear or name not in known:
            return
        for other in sorted(before(known[name])):
            visit(other, (*path, name))
            if other in found:
                found.setdefault(name, found[other])
        clear.add(name)

    for name in sorted(known):
        visit(name, ())
    return found


def needed(known: Mapping[str, Definition], name: str) -> tuple[str, ...]:
    """What it can't be without, and it itself, in the order in which they start."""
    wanted = _closure(name, lambda one: known[one].requires if one in known else ())
    return tuple(one for one in start_order(known) if one in wanted)


def dependants(known: Mapping[str, Definition], name: str) -> tuple[str, ...]:
    """Those that can't be without it, in the order in which they stop.

    >>> dependants({"a": Definition(("/a",), requires=("b",)), "b": Definition(("/b",))}, "b")
    ('a',)
    """
    users = {one: [other for other, of in known.items() if one in of.requires] for one in known}
    wanted = _closure(name, lambda one: users.get(one, ())) - {name}
    return tuple(one for one in reversed(start_order(known)) if one in wanted)


def _closure(name: str, following: Callable[[str], Iterable[str]]) -> set[str]:
    found, left = {name}, [name]
    while left:
        more = following(left.pop())
        fresh = [one for one in more if one not in found]
        found.update(fresh)
        left += fresh
    return found
