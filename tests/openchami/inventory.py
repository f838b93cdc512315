"""The nodes, and SMD's answers about them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.openchami.serving import NO_PAGE, Answer, Call, problem

if TYPE_CHECKING:
    from tests.openchami import Openchami


@dataclass
class Node:
    """A node as SMD, PCS and BSS know it; `image` is the kernel it would boot, `address` its system at its BMC."""

    xname: str
    nid: int | None = None
    power: str = "on"
    image: str = "http://s3.example/kernel?X-Amz-Signature=hush"
    address: str = ""
    actions: dict[str, Any] = field(default_factory=dict)
    type: str = "Node"
    locked: bool = False
    manageable: bool = True
    bos_session: str = ""

    def component(self) -> dict[str, Any]:
        """As SMD tells it."""
        told: dict[str, Any] = {
            "ID": self.xname, "Type": self.type, "State": "Ready", "Flag": "OK", "Enabled": True, "Role": "Compute",
            "NetType": "Sling", "Arch": "X86", "Class": "River", "Locked": self.locked,
        }  # fmt: skip
        return told if self.nid is None else told | {"NID": self.nid}


class Smd:
    """What SMD answers; single things, and where Redfish is, only to whom shows a token."""

    def __init__(self, site: Openchami) -> None:
        self._site = site

    def answer(self, call: Call, path: str) -> Answer:
        """`path` is below /hsm/v2."""
        if call.method != "GET":
            return problem(405, "Method Not Allowed", "allow GET")
        if path == "/service/ready":
            return Answer(200, {"code": 0, "message": "HSM is healthy"})
        if path == "/State/Components":
            return Answer(200, {"Components": [node.component() for node in self._found(call)]})
        if path == "/Inventory/EthernetInterfaces":
            return Answer(200, [self._interface(node) for node in self._found(call, "ComponentID")])
        refused = self._site.refused(call)
        if refused:
            return refused
        if path == "/Inventory/ComponentEndpoints":
            return Answer(200, {"ComponentEndpoints": [_endpoint(n) for n in self._found(call) if n.address]})
        prefixes = {"/State/Components/": Node.component, "/Inventory/ComponentEndpoints/": _endpoint}
        for prefix, render in prefixes.items():
            if path.startswith(prefix):
                node = self._site.nodes.get(path.removeprefix(prefix))
                return problem(404, "Not Found", "no such xname.") if node is None else Answer(200, render(node))
        return NO_PAGE

    def _found(self, call: Call, id_key: str = "id") -> Iterator[Node]:
        ids, nids, types = (call.query.get(key, []) for key in (id_key, "nid", "type"))
        for node in list(self._site.nodes.values()):
            by_name = (not ids or node.xname in ids) and (not nids or str(node.nid) in nids)
            if by_name and (not types or node.type in types):
                yield node

    def _interface(self, node: Node) -> dict[str, Any]:
        number = list(self._site.nodes).index(node.xname) + 1
        mac = f"a4bf0138{number:04x}"
        return {
            "ID": mac, "Description": "", "MACAddress": ":".join(mac[i : i + 2] for i in range(0, 12, 2)),
            "LastUpdate": "2025-11-03T10:00:00Z", "ComponentID": node.xname, "Type": node.type,
            "IPAddresses": [{"IPAddress": f"10.1.0.{number}"}],
        }  # fmt: skip


def _endpoint(node: Node) -> dict[str, Any]:
    host, _, path = node.address.partition("/")
    return {
        "ID": node.xname, "Type": node.type, "RedfishType": "ComputerSystem", "RedfishSubtype": "Physical",
        "OdataID": f"/{path}", "RedfishEndpointID": node.xname.partition("n")[0], "Enabled": True,
        "RedfishEndpointFQDN": host.partition(":")[0], "RedfishURL": node.address,
        "RedfishSystemInfo": {"Name": "System", "Actions": node.actions, "EthernetNICInfo": []},
    }  # fmt: skip
