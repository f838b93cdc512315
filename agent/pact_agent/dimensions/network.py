"""Links, their addresses, and routes, as ip(8) shows and sets them; rtnetlink(7) says when they change.

Keys are `link:NAME`, `address:LINK:ADDRESS/PREFIX` and `route:DESTINATION`, the latter with ` metric=N` and ` table=T`
where there are such. Values are words: `state=up mtu=1500 txqueuelen=1000`. Left out is what is nobody's setting: the
ends of containers, what routers advertise, what routing daemons learn. The kernel's own route to the network of an
address is part of that address: `route=absent` where somebody took it away. What DHCP set is marked `dynamic`.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
from collections.abc import Callable, Iterator, Mapping

from pact_agent.dimensions import ApplyError
from pact_agent.dimensions import iproute as show
from pact_agent.dimensions.iproute import Json, ip
from pactsh.model.delta import MADE_LINKS

# <linux/rtnetlink.h>: RTMGRP_LINK, RTMGRP_IPV4_IFADDR, _IPV4_ROUTE, _IPV6_IFADDR, _IPV6_ROUTE.
_GROUPS = 0x1 | 0x10 | 0x40 | 0x100 | 0x400
_DEFAULTS = {"mtu": "", "txqueuelen": "", "promisc": "off", "arp": "on"}
_NAME = r"[\w.][^\s/:]{0,14}"
_KEY = re.compile(
    rf"link:(?P<link>{_NAME})"
    rf"|address:(?P<on>{_NAME}):(?P<address>[0-9a-fA-F.:]+/\d{{1,3}})"
    r"|route:(?P<to>\w[\w.:/]*|::/0)(?: tos=(?P<tos>\w+))?(?: metric=(?P<metric>\d+))?(?: table=(?P<table>\w+))?"
)


class Network:
    """The dimension. Of this process's network namespace."""

    name = "network"
    interval_s = 0.0
    lasting = False

    def __init__(self) -> None:
        self._indexes: dict[str, int] = {}  # of devices, by every name they had: one that was renamed is found again
        self._lent: set[str] = set()  # DHCP's addresses that were put back: the kernel does not know that of them

    def snapshot(self) -> dict[str, str]:
        """All links, addresses and routes that somebody set. Raises `ApplyError` when ip(8) does not answer."""
        links = [link for link in show.asked("address", "show") if not show.is_container_end(link)]
        routes = {family: show.asked(family, "route", "show", "table", "all") for family in ("-4", "-6")}
        self._indexes |= {link["ifname"]: link["ifindex"] for link in links if not show.kind_of(link)}
        reached = {(r.get("dev"), r["dst"]) for some in routes.values() for r in some if r.get("protocol") == "kernel"}
        found: dict[str, str] = {}
        for link in links:
            found[f"link:{link['ifname']}"] = show.link_value(link)
            found.update(self._addresses(link, reached))
        names = frozenset(link["ifname"] for link in links)
        for family, some in routes.items():
            found.update(show.routes_of(family, some, names))
        return found

    def _addresses(self, link: Json, reached: set[tuple[object, object]]) -> Iterator[tuple[str, str]]:
        for item in link.get("addr_info", ()):
            if "local" not in item or show.is_automatic(item):
                continue
            address = f"{item['local']}/{item['prefixlen']}"
            key = f"address:{link['ifname']}:{address}"
            words = show.address_words(link, item)
            network = show.network_of(address)
            if network and _has_route(link, item) and (link["ifname"], network) not in reached:
                words.append("route=absent")
            if item.get("dynamic") or key in self._lent:
                words.append("dynamic")
            yield key, " ".join(words)

    def apply(self, key: str, value: str | None) -> None:
        """Set a link, an address or a route, or take it away. Raises `ApplyError`."""
        found = _KEY.fullmatch(key)
        if found is None:
            raise ApplyError(f"{key!r} is no link, address or route")
        wanted = None if value is None else show.words_of(key, value)
        if found["link"]:
            self._set_link(found["link"], wanted)
        elif found["on"]:
            self._set_address(key, found["on"], found["address"], wanted)
        else:
            which = {name: found[name] for name in ("tos", "metric", "table") if found[name]}
            _set_route(key, found["to"], which, wanted)

    def _set_link(self, name: str, wanted: Mapping[str, str] | None) -> None:
        there = _link(name)
        if wanted is None:
            if there is not None and not show.kind_of(there):
                raise ApplyError(f"{name} is a device: it can't be taken away")
            if there is not None:
                ip("link", "delete", "dev", name)
            return
        if there is None:
            self._make_link(name, wanted)
            there = _link(name)
        present = show.words_of(name, show.link_value(there)) if there else {}
        if (master := wanted.get("master")) != present.get("master"):
            ip("link", "set", "dev", name, *(("master", master) if master else ("nomaster",)))
        words: list[str] = []
        for word, default in _DEFAULTS.items():
            value = wanted.get(word, default)
            words += [word, value] if value and value != present.get(word, default) else []
        if words:
            ip("link", "set", "dev", name, *words)
        if (state := wanted.get("state")) in {"up", "down"} and state != present.get("state"):
            ip("link", "set", "dev", name, state)

    def _make_link(self, name: str, wanted: Mapping[str, str]) -> None:
        """A link that is not there: a device that has another name by now, or of a kind that can be made."""
        kind = wanted.get("kind", "")
        if not kind and (index := self._indexes.get(name)) is not None:
            now = next((link["ifname"] for link in show.asked("link", "show") if link["ifindex"] == index), None)
            if now is None:
                raise ApplyError(f"{name}: the device has gone")
            ip("link", "set", "dev", now, "down")
            ip("link", "set", "dev", now, "name", name)
            return
        if kind not in MADE_LINKS:
            raise ApplyError(f"{name}: a link{f' of kind {kind}' if kind else ''} is not made by pact")
        if kind == "vlan":
            parent, number = wanted.get("parent", ""), wanted.get("id", "")
            ip("link", "add", "link", parent, "name", name, "type", kind, "id", number)
            return
        ip("link", "add", "name", name, "type", kind)

    def _set_address(self, key: str, link: str, address: str, wanted: Mapping[str, str] | None) -> None:
        known = _link(link)
        if wanted is None:
            there = dict(self._addresses(known, set())).get(key) if known is not None else None
            if there is not None:
                ip("address", "delete", *_ends(address, show.words_of(key, there)), "dev", link)
            self._lent.discard(key)
            return
        peer, words = wanted.get("peer"), _ends(address, wanted)
        for name in ("broadcast", "label", "scope"):
            words += [name, wanted[name]] if name in wanted else []
        words += ["noprefixroute"] if wanted.get("route") == "none" else []
        ip("address", "replace", *words, "dev", link)
        if known is not None and not peer and "route" not in wanted and wanted.get("scope") != "host":
            _reach(known, address)
        if "dynamic" in wanted:
            self._lent.add(key)

    def watch(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Wake when the kernel tells of a link, an address or a route."""
        loop = asyncio.get_running_loop()
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        told = socket.socket(socket.AF_NETLINK, kind, socket.NETLINK_ROUTE)
        told.bind((0, _GROUPS))

        def read() -> None:
            with contextlib.suppress(OSError):  # nothing left, or more than it could hold: either is a reason to look
                while told.recv(1 << 16):
                    pass
            wake()

        def end() -> None:
            loop.remove_reader(told)
            told.close()

        loop.add_reader(told, read)
        return end


def _ends(address: str, words: Mapping[str, str]) -> list[str]:
    """An address, or both ends of a link between two."""
    local, _, length = address.partition("/")
    return [local, "peer", f"{words['peer']}/{length}"] if "peer" in words else [address]


def _link(name: str) -> Json | None:
    """As ip(8) shows it, with its addresses; None when there is none of that name."""
    return next((link for link in show.asked("address", "show") if link["ifname"] == name), None)


def _has_route(link: Json, address: Json) -> bool:
    """Whether the kernel makes a route to the network of that address."""
    apart = address.get("noprefixroute") or "address" in address or address["scope"] == "host"
    return "UP" in link["flags"] and not apart


def _reach(link: Json, address: str) -> None:
    """Put the kernel's route to the network of an address back, where somebody took it away."""
    network, name = show.network_of(address), link["ifname"]
    if network is None or "UP" not in link["flags"]:
        return
    family, about = "-4", ["scope", "link", "src", address.partition("/")[0]]
    if ":" in network:
        family, about = "-6", ["metric", "256"]
    if not show.asked(family, "route", "show", "exact", network, "dev", name):
        ip(family, "route", "add", network, "dev", name, "proto", "kernel", *about)


def _set_route(key: str, to: str, which: dict[str, str], wanted: Mapping[str, str] | None) -> None:
    """`which` are the service (tos), the metric and the table, where the key has them."""
    family = "-6" if ":" in to else "-4"
    if wanted is not None and "encap" in wanted:
        raise ApplyError(f"{key}: a route with an encapsulation is not made by pact")
    if wanted is not None:
        ip(family, "route", "replace", *show.route_arguments(to, {**which, **wanted}))
        return
    there = show.asked(family, "route", "show", "table", "all")
    if key in dict(show.routes_of(family, there)):
        ip(family, "route", "delete", to, *(word for pair in which.items() for word in pair))
