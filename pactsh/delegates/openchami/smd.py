"""SMD, which knows the nodes: their xnames, numbers, addresses, and where their BMCs are.

Asked are its collections, filtered: they answer without a token too, where single components don't.
"""

from __future__ import annotations

import re

import msgspec

from pactsh.delegates.openchami.complaint import printable
from pactsh.delegates.openchami.http import Http, Service
from pactsh.delegates.openchami.xname import bmc_of, is_xname, parse_xname
from pactsh.delegates.settings import OpenchamiSettings
from pactsh.errors import NotFoundError, PactError

_NUMBER = re.compile(r"\d+", re.ASCII)


class Component(msgspec.Struct, frozen=True, rename="pascal"):
    """A component as SMD has recorded it: its state is no reading of now."""

    id: str = msgspec.field(name="ID")
    type: str = ""
    state: str = ""
    flag: str = ""
    role: str = ""
    sub_role: str = ""
    arch: str = ""
    class_: str = msgspec.field(name="Class", default="")
    nid: int | None = msgspec.field(name="NID", default=None)
    enabled: bool = True
    locked: bool = False


class Address(msgspec.Struct, frozen=True):
    """An IP address, and the network it is of, if SMD knows."""

    ip: str = msgspec.field(name="IPAddress", default="")
    network: str = msgspec.field(name="Network", default="")


class Interface(msgspec.Struct, frozen=True):
    """An Ethernet interface."""

    mac: str = msgspec.field(name="MACAddress", default="")
    component: str = msgspec.field(name="ComponentID", default="")
    description: str = msgspec.field(name="Description", default="")
    addresses: list[Address] | None = msgspec.field(name="IPAddresses", default=None)


class SystemInfo(msgspec.Struct, frozen=True, rename="pascal"):
    """What discovery has kept of the node's system; often little."""

    actions: dict[str, object] | None = None


class Endpoint(msgspec.Struct, frozen=True):
    """Where Redfish has the node: `url` is host and path, without https:// before it."""

    id: str = msgspec.field(name="ID")
    uuid: str = msgspec.field(name="UUID", default="")
    bmc: str = msgspec.field(name="RedfishEndpointID", default="")
    fqdn: str = msgspec.field(name="RedfishEndpointFQDN", default="")
    path: str = msgspec.field(name="OdataID", default="")
    url: str = msgspec.field(name="RedfishURL", default="")
    system: SystemInfo | None = msgspec.field(name="RedfishSystemInfo", default=None)


class Inventory(msgspec.Struct, frozen=True):
    """A node, for people to read."""

    xname: str
    bmc: str
    component: Component
    interfaces: tuple[Interface, ...]


class _Components(msgspec.Struct, frozen=True, rename="pascal"):
    components: list[Component] | None


class _Endpoints(msgspec.Struct, frozen=True, rename="pascal"):
    component_endpoints: list[Endpoint] | None


class Smd:
    """SMD at `service`."""

    def __init__(self, http: Http, service: Service) -> None:
        self._http, self._service = http, service

    def nodes(self) -> list[Component]:
        """All nodes that it knows."""
        return [one for one in self._components({"type": "Node"}) if is_xname(one.id)]

    def find(self, settings: OpenchamiSettings, name: str) -> Component:
        """The node that pact calls `name`: by the table, as an xname, or by the number in the name. Raises
        `NotFoundError` for what maps to none: what is no xname is never sent."""
        given = settings.xnames.get(name)
        if given is not None:
            return self.component(parse_xname(given))
        if is_xname(name):
            return self.component(parse_xname(name))
        if settings.names != "nid":
            raise NotFoundError(
                f"{name}: not known which node of SMD's that is",
                hint='name its xname in openchami_xnames, or set openchami_names = "nid"',
            )
        return self._by_number(name)

    def component(self, xname: str) -> Component:
        """A node; raises `NotFoundError`."""
        found = [one for one in self._components({"id": xname}) if is_xname(one.id) and parse_xname(one.id) == xname]
        if not found:
            raise NotFoundError(f"{xname}: SMD knows no such node", hint="check openchami_xnames: what is its xname?")
        return self._node(found[0])

    def interfaces(self, xname: str) -> tuple[Interface, ...]:
        """Its Ethernet interfaces."""
        reply = self._http.ask(self._service, "GET", "/Inventory/EthernetInterfaces", params={"ComponentID": xname})
        return tuple(one for one in reply.read(list[Interface]) if one.component.lower() == xname)

    def endpoint(self, xname: str) -> Endpoint:
        """Where its BMC is; raises `NotFoundError` where that was never discovered."""
        reply = self._http.ask(self._service, "GET", "/Inventory/ComponentEndpoints", params={"id": xname})
        for one in reply.read(_Endpoints).component_endpoints or ():
            if one.id.lower() == xname:
                return one
        raise NotFoundError(f"{xname}: SMD does not know where its BMC is", hint="discovery (magellan) tells SMD")

    def inventory(self, xname: str) -> Inventory:
        """What there is to know of a node; raises `NotFoundError`."""
        return Inventory(xname, bmc_of(xname), self.component(xname), self.interfaces(xname))

    def _by_number(self, name: str) -> Component:
        """The number may be guessed only if it can't be another one: names of racks have numbers too."""
        numbers = _NUMBER.findall(name.partition(".")[0])
        if len(numbers) != 1 or len(numbers[0]) > 9:
            raise NotFoundError(
                f"{printable(name, 80)}: {'more than one' if numbers else 'no'} number in the name that may be its NID",
                hint="name its xname in openchami_xnames",
            )
        nid = int(numbers[0])
        found = [one for one in self._components({"nid": str(nid), "type": "Node"}) if one.nid == nid]
        if len(found) != 1:
            count = "no node" if not found else f"{len(found)} nodes"
            raise NotFoundError(f"{name}: SMD has {count} with NID {nid}", hint="name its xname in openchami_xnames")
        return self._node(found[0])

    def _components(self, filters: dict[str, str]) -> list[Component]:
        reply = self._http.ask(self._service, "GET", "/State/Components", params=filters)
        return reply.read(_Components).components or []

    def _node(self, found: Component) -> Component:
        if found.type not in {"Node", ""}:
            raise PactError(f"{found.id} is a {printable(found.type, 40)}, no node")
        return msgspec.structs.replace(found, id=parse_xname(found.id))
