"""What the hardware manager's inventory (SMD) has of a node, where one is configured."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

from pactsh.errors import PactError

if TYPE_CHECKING:
    from pactsh.cli.context import Context
    from pactsh.delegates.openchami.smd import Inventory


class Interface(msgspec.Struct, frozen=True):
    """An Ethernet interface, with its IP addresses."""

    mac: str
    description: str
    addresses: tuple[str, ...]


class Hardware(msgspec.Struct, frozen=True):
    """A node as SMD has it on record, no reading of now; `error`: why it can't be told, with its exit status."""

    xname: str = ""
    bmc: str = ""
    nid: int | None = None
    state: str = ""
    flag: str = ""
    role: str = ""
    arch: str = ""
    enabled: bool = True
    locked: bool = False
    interfaces: tuple[Interface, ...] = ()
    error: str = ""
    status: int = 0


def hardware_of(ctx: Context, node: str) -> Hardware | None:
    """Ask SMD; None where none is configured."""
    if ctx.settings.openchami_smd_url is None:
        return None
    from pactsh.cli.systems import openchami_settings
    from pactsh.delegates.openchami.http import Http, trust
    from pactsh.delegates.openchami.places import places_of
    from pactsh.delegates.openchami.smd import Smd

    settings = openchami_settings(ctx.settings)
    try:
        ca = trust("openchami_ca", settings.ca)
        with Http(ca, timeout_s=ctx.settings.timeout, token=settings.token) as http:
            smd = Smd(http, places_of(settings).smd)
            return _read(smd.inventory(smd.find(settings, node).id))
    except PactError as error:
        return Hardware(error=error.message, status=error.code)


def _read(found: Inventory) -> Hardware:
    one = found.component
    interfaces = tuple(
        Interface(i.mac, i.description, tuple(a.ip for a in i.addresses or () if a.ip)) for i in found.interfaces
    )
    return Hardware(
        xname=found.xname,
        bmc=found.bmc,
        nid=one.nid,
        state=one.state,
        flag=one.flag,
        role="/".join(part for part in (one.role, one.sub_role) if part),
        arch=one.arch,
        enabled=one.enabled,
        locked=one.locked,
        interfaces=interfaces,
    )


def facts(found: Hardware) -> Iterator[tuple[str, str]]:
    """A line each, by name."""
    if found.error:
        yield "Hardware", f"not known: {found.error}"
        return
    nid = "" if found.nid is None else f", NID {found.nid}"
    yield "Hardware", f"{found.xname}{nid}, BMC {found.bmc}"
    marks = [*([] if found.enabled else ["disabled"]), *(["locked"] if found.locked else [])]
    words = [found.state, found.flag if found.flag != "OK" else "", *marks, found.role, found.arch]
    yield "SMD says", ", ".join(word for word in words if word)
    for one in found.interfaces:
        about = " ".join(part for part in (one.mac, " ".join(one.addresses)) if part)
        yield "Interface", f"{about}{f' ({one.description})' if one.description else ''}"
