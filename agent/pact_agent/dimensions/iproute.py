"""What ip(8) says of links, addresses and routes (its JSON), as words `name=value`; and the same told to it."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_interface
from typing import Any

from pact_agent.dimensions import ApplyError

Json = dict[str, Any]

_PROGRAMS = ("/usr/sbin/ip", "/sbin/ip", "/usr/bin/ip", "/bin/ip")
_LIMIT_S = 8.0
_WORD = re.compile(r"[\w.:][\w.:/@,+-]*")
_PEOPLES = frozenset({"boot", "static", "dhcp"})  # protocols of routes that people and network scripts set


def ip(*words: str) -> bytes:
    """Run ip(8); raises `ApplyError` with what it says. The words are arguments, none an option."""
    program = next((path for path in _PROGRAMS if os.access(path, os.X_OK)), _PROGRAMS[0])
    try:
        done = subprocess.run(
            (program, *words), capture_output=True, timeout=_LIMIT_S, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ApplyError(f"ip: {error}") from error
    if done.returncode:
        text = done.stderr.decode(errors="replace").strip().removeprefix("RTNETLINK answers: ")
        raise ApplyError(f"ip {' '.join(words)}: {text or f'ended with {done.returncode}'}")
    return done.stdout


def asked(*words: str) -> list[Json]:
    """What ip(8) shows. Raises `ApplyError`."""
    data = ip("-json", "-details", *words)
    try:
        return [item for item in json.loads(data or b"[]", object_pairs_hook=_first_ones) if item]
    except ValueError as error:
        raise ApplyError(f"ip {' '.join(words)}: {error}") from error


def _first_ones(pairs: list[tuple[str, Any]]) -> Json:
    """Of names that are there twice the first: ip(8) says `dst` of a route, and again of its encapsulation."""
    return dict(reversed(pairs))


def words_of(key: str, value: str) -> dict[str, str]:
    """The words of a value, by name; raises `ApplyError` for one that ip(8) could take for something else.

    >>> words_of("link:a", "state=up mtu=1500")
    {'state': 'up', 'mtu': '1500'}
    """
    found: dict[str, str] = {}
    for word in value.split():
        name, _, text = word.partition("=")
        if text and not _WORD.fullmatch(text):
            raise ApplyError(f"{key}: {word!r} can't be applied")
        found[name] = text
    return found


# -- links


def kind_of(link: Json) -> str:
    """What makes a link that is no device: bridge, vlan, ..."""
    return str(link.get("linkinfo", {}).get("info_kind", ""))


def is_container_end(link: Json) -> bool:
    """One end of a pair whose other one is in another namespace, and without an address: it comes and goes with a
    container. (A node that is a container itself has an address at its end.)"""
    paired = kind_of(link) == "veth" and "link_netnsid" in link
    return paired and all("local" not in item or is_automatic(item) for item in link.get("addr_info", ()))


def link_value(link: Json) -> str:
    """The settings of a link.

    >>> link_value({"flags": ["UP"], "mtu": 1500, "txqlen": 1000, "master": "br0"})
    'state=up mtu=1500 txqueuelen=1000 master=br0'
    """
    flags = link["flags"]
    words = [f"state={'up' if 'UP' in flags else 'down'}", f"mtu={link['mtu']}"]
    words += [f"txqueuelen={link['txqlen']}"] if "txqlen" in link else []
    words += ["promisc=on"] if "PROMISC" in flags else []
    words += ["arp=off"] if "NOARP" in flags else []
    words += [f"master={link['master']}"] if "master" in link else []
    if kind := kind_of(link):
        words.append(f"kind={kind}")
        if kind == "vlan":
            words += [f"parent={link.get('link', '')}", f"id={link['linkinfo'].get('info_data', {}).get('id', '')}"]
    return " ".join(words)


# -- addresses


def is_automatic(address: Json) -> bool:
    """Whether the kernel made it: of the link alone, or from what a router advertised."""
    if address["family"] == "inet":
        return False
    made = address.get("protocol") in {"kernel_ll", "kernel_ra"} or address.get("temporary")
    return bool(made or address.get("dynamic") or address["local"].startswith("fe80:"))


def address_words(link: Json, address: Json) -> list[str]:
    """The settings of an address."""
    words = [f"scope={address['scope']}"]
    words += [f"broadcast={address['broadcast']}"] if "broadcast" in address else []
    words += [f"peer={address['address']}"] if "address" in address else []
    label = address.get("label", link["ifname"])
    words += [f"label={label}"] if label != link["ifname"] else []
    return words + (["route=none"] if address.get("noprefixroute") else [])


def network_of(address: str) -> str | None:
    """The network that is reached through an address; None when it is the address alone.

    >>> network_of("10.1.2.3/16"), network_of("10.1.2.3/32")
    ('10.1.0.0/16', None)
    """
    network = ip_interface(address).network
    return None if network.prefixlen == network.max_prefixlen else str(network)


# -- routes


def routes_of(family: str, routes: Iterable[Json], links: frozenset[str] | None = None) -> Iterator[tuple[str, str]]:
    """Keys and values of what people set; `family` is `-4` or `-6`. With `links` only what leads to these."""
    for route in routes:
        over = {hop.get("dev") for hop in route.get("nexthops", [route])} - {None}
        seen = links is None or over <= links
        if seen and route.get("protocol") in _PEOPLES and route.get("table") != "local":
            yield _route_key(family, route), " ".join(_route_words(route))


def _route_key(family: str, route: Json) -> str:
    to = "::/0" if family == "-6" and route["dst"] == "default" else route["dst"]
    tos = f" tos={route['tos']}" if route.get("tos") else ""
    metric = f" metric={route['metric']}" if route.get("metric") else ""
    table = route.get("table", "main")
    return f"route:{to}{tos}{metric}" + (f" table={table}" if table != "main" else "")


def _route_words(route: Json) -> Iterator[str]:
    if (kind := route.get("type", "unicast")) != "unicast":
        yield f"type={kind}"
    yield from _hop_words(route)
    yield from (f"encap={hop['encap']}" for hop in route.get("nexthops", [route]) if "encap" in hop)
    yield f"proto={route['protocol']}"
    if (scope := route.get("scope", "global")) != "global":
        yield f"scope={scope}"
    if "prefsrc" in route:
        yield f"src={route['prefsrc']}"
    for metrics in route.get("metrics", ()):
        yield from (f"{name}={number}" for name, number in metrics.items() if name in {"mtu", "advmss"})
    for number, hop in enumerate(route.get("nexthops", ())):
        yield f"nexthop{number}=" + ",".join((*_hop_words(hop, ":"), f"weight:{hop.get('weight', 1)}"))


def _hop_words(hop: Json, sign: str = "=") -> Iterator[str]:
    if "gateway" in hop:
        yield f"via{sign}{hop['gateway']}"
    if "dev" in hop:
        yield f"dev{sign}{hop['dev']}"
    if "onlink" in hop.get("flags", ()):
        yield f"onlink{sign}yes"


def route_arguments(to: str, words: Mapping[str, str]) -> list[str]:
    """The same for ip(8)."""
    found = [words.get("type", "unicast"), to]
    found += _hop_arguments(words)
    for name in ("tos", "metric", "table", "proto", "scope", "src", "mtu", "advmss"):
        found += [name, words[name]] if name in words else []
    for name in sorted((name for name in words if name.startswith("nexthop")), key=len):
        hop = dict(part.split(":", 1) for part in words[name].split(",") if ":" in part)
        found += ["nexthop", *_hop_arguments(hop), *(("weight", hop["weight"]) if "weight" in hop else ())]
    return found


def _hop_arguments(words: Mapping[str, str]) -> list[str]:
    found = ["via", words["via"]] if "via" in words else []
    found += ["dev", words["dev"]] if "dev" in words else []
    return found + (["onlink"] if words.get("onlink") else [])
