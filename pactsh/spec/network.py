"""What a spec may say of links, addresses and routes. Pure.

Keys and words are those that a node shows, spelled as it shows them: another spelling of the same (`FD00::1`) would
never be found there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from ipaddress import ip_address, ip_network
from typing import NamedTuple

from pactsh.spec.spelling import Problem, shortened, words_of

_KEY = re.compile(
    r"link:(?P<link>[^\s/:]+)"
    r"|address:(?P<on>[^\s/:]+):(?P<address>[^\s/]+)/(?P<length>0|[1-9]\d{0,2})"
    r"|route:(?P<to>\S+?)(?: metric=(?P<metric>\S+))?(?: table=(?P<table>\S+))?",
    re.ASCII,
)
_HOP = re.compile(r"nexthop(0|[1-9]\d?)")
_TABLE = re.compile(r"(?!(?:main|local|unspec|all|default|0|253|254|255)$)\w{1,16}", re.ASCII)


class Word(NamedTuple):
    """What may stand after `name=`, and that in words."""

    is_good: Callable[[str], bool]
    says: str


def _number(low: int, high: int) -> Word:
    def is_good(text: str) -> bool:
        return bool(re.fullmatch(r"0|[1-9][0-9]{0,9}", text)) and low <= int(text) <= high

    return Word(is_good, f"a number from {low} to {high}")


def _one_of(*choices: str) -> Word:
    return Word(choices.__contains__, " or ".join(choices))


def _form(pattern: str, says: str) -> Word:
    return Word(lambda text: re.fullmatch(pattern, text, re.ASCII) is not None, says)


def _is_link(text: str) -> bool:
    """As the kernel has it (dev_valid_name), and no option or other word for ip(8)."""
    plain = re.fullmatch(r"[\w.][^\s/:]*", text) is not None and text.isprintable()
    return plain and text not in {".", ".."} and len(text.encode("utf-8", "replace")) <= 15


def _is_address(text: str) -> bool:
    return _address(text) == text


_LINK = Word(lambda text: _is_link(text) and bool(re.fullmatch(r"[\w.@,+-]+", text)), "the name of a link")
_ADDRESS = Word(_is_address, "an address, in its shortest form")
_METRIC = _number(1, (1 << 32) - 1)
# Off and on are what a node does not show: they are so where nothing else is said.
_LINK_WORDS = {
    "state": _one_of("up", "down"),
    "mtu": _number(68, (1 << 31) - 1),
    "txqueuelen": _number(0, (1 << 32) - 1),
    "promisc": _one_of("on"),
    "arp": _one_of("off"),
    "master": _LINK,
    "kind": _form(r"[a-z][\w-]{0,15}", "a kind, such as vlan"),
    "parent": _LINK,
    "id": _number(0, 4095),
}
_SCOPE = _form(r"link|host|site|\d{1,3}", "link, host, site or a number")
_ADDRESS_WORDS = {
    "scope": _form(r"global|link|host|site|\d{1,3}", "global, link, host, site or a number"),
    "broadcast": _ADDRESS,
    "peer": _ADDRESS,
    "label": _form(r"[\w.:-]{1,15}", "a label"),
    "route": _one_of("none"),
}
_ROUTE_WORDS = {
    "type": _one_of("blackhole", "unreachable", "prohibit", "throw"),
    "via": _ADDRESS,
    "dev": _LINK,
    "onlink": _one_of("yes"),
    "proto": _one_of("boot", "static"),
    "scope": _SCOPE,
    "src": _ADDRESS,
    "mtu": _number(68, (1 << 31) - 1),
    "advmss": _number(1, 65535),
}
_HOP_WORDS = {"via": _ADDRESS, "dev": _LINK, "onlink": _one_of("yes"), "weight": _number(1, 256)}
_LEADS = frozenset({"via", "dev", "type", "nexthop0"})


def network_problem(key: str, value: str) -> Problem | None:
    """What is wrong with one link, address or route; None where nothing is.

    >>> network_problem("address:ib0:FD00::1/64", "scope=global").text
    'write fd00::1'
    """
    found = _KEY.fullmatch(key)
    if found is None:
        return Problem("expected a link's name, address:LINK:ADDRESS/PREFIX or route:DESTINATION")
    words = words_of(value)
    if not words:
        return Problem("expected words such as state=up")
    if found["link"]:
        return _link_name(found["link"]) or _words_problem(words, _LINK_WORDS)
    if found["on"]:
        problem = _link_name(found["on"]) or _address_problem(found["address"], int(found["length"]))
        return problem or _words_problem(words, _ADDRESS_WORDS)
    return _route_problem(found["to"], found["metric"], found["table"], words)


def _link_name(name: str) -> Problem | None:
    return None if _is_link(name) else Problem(f"{shortened(name)!r}: expected the name of a link, of up to 15 bytes")


def _words_problem(words: Mapping[str, str], known: Mapping[str, Word]) -> Problem | None:
    for name, text in words.items():
        word = known.get(name)
        if word is None:
            return Problem(f"{shortened(name)!r}: expected words such as {', '.join(f'{n}=…' for n in known)}")
        if not word.is_good(text):
            return Problem(f"{name}={shortened(text)}: expected {name}={word.says}")
    return None


def _address(text: str) -> str | None:
    """The shortest form of an address, None for what is none. One with a zone (`%eth0`) is none here."""
    try:
        return None if "%" in text else str(ip_address(text))
    except ValueError:
        return None


def _address_problem(text: str, length: int) -> Problem | None:
    shown = _address(text)
    if shown is None or length > (128 if ":" in shown else 32):
        return Problem(f"{shortened(text)}/{length}: expected ADDRESS/PREFIX, such as 10.0.0.1/24")
    return None if shown == text else Problem(f"write {shown}")


def _route_problem(to: str, metric: str | None, table: str | None, words: Mapping[str, str]) -> Problem | None:
    shown = _destination(to)
    if shown is None:
        return Problem(f"{shortened(to)}: expected default, ::/0, or a network such as 10.1.0.0/16")
    if shown != to:
        return Problem(f"write route:{shown}")
    if metric is not None and not _METRIC.is_good(metric):
        return Problem(f"metric={shortened(metric)}: expected {_METRIC.says}")
    if table is not None and not _TABLE.fullmatch(table):
        return Problem(f"table={shortened(table)}: expected another table than the main one, which goes without saying")
    hops = {name: text for name, text in words.items() if _HOP.fullmatch(name)}
    rest = {name: text for name, text in words.items() if name not in hops}
    if problem := _words_problem(rest, _ROUTE_WORDS):
        return problem
    for name, text in hops.items():
        parts = [part.partition(":") for part in text.split(",")]
        if _words_problem({part: is_ for part, _, is_ in parts}, _HOP_WORDS):
            return Problem(f"{name}={shortened(text)}: expected {name}=via:ADDRESS,dev:LINK,weight:NUMBER")
    if _LEADS.isdisjoint(words):
        return Problem("expected where it leads: via=ADDRESS, dev=LINK or both")
    if any((":" in words[name]) != (":" in to) for name in ("via", "src") if name in words):
        return Problem("IPv4 and IPv6 do not go together")
    return None


def _destination(text: str) -> str | None:
    """As a node shows it: a host without `/32`, everything as `default`, or `::/0`; None for what is none."""
    if text == "default":
        return text
    try:
        network = ip_network(text)
    except ValueError:
        return None
    if str(network) == "0.0.0.0/0":
        return "default"
    return str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network)
