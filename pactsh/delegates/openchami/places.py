"""Where the services are, of which only SMD's address has to be given."""

from __future__ import annotations

from typing import NamedTuple

from pactsh.delegates.openchami.http import Service, check_url
from pactsh.delegates.settings import OpenchamiSettings


class Places(NamedTuple):
    """Addresses up to and with their versions; `bos` is there on CSM alone."""

    smd: Service
    pcs: Service
    bss: Service
    bos: Service


def places_of(settings: OpenchamiSettings) -> Places:
    """Where they are; raises `UsageError` for what is no address.

    >>> [service.base for service in places_of(OpenchamiSettings("https://gw:8443"))[:3]]
    ['https://gw:8443/hsm/v2', 'https://gw:8443/power-control/v1', 'https://gw:8443/boot/v1']
    >>> [service.base for service in places_of(OpenchamiSettings("https://gw/apis/smd/hsm/v2"))[1:]]
    ['https://gw/apis/power-control/v1', 'https://gw/apis/bss/boot/v1', 'https://gw/apis/bos/v2']
    """
    gateway = check_url("openchami_smd_url", settings.smd_url).removesuffix("/hsm/v2")
    if settings.backend == "csm" or gateway.endswith(("/apis", "/apis/smd")):
        gateway = gateway.removesuffix("/smd").removesuffix("/apis") + "/apis"
        smd, pcs, bss = f"{gateway}/smd", f"{gateway}/power-control", f"{gateway}/bss"
    else:
        smd, pcs, bss = gateway, f"{gateway}/power-control", gateway
    if settings.pcs_url is not None:
        pcs = check_url("openchami_pcs_url", settings.pcs_url).removesuffix("/v1")
    if settings.bss_url is not None:
        bss = check_url("openchami_bss_url", settings.bss_url).removesuffix("/boot/v1")
    return Places(
        Service("SMD", f"{smd}/hsm/v2", "openchami_smd_url"),
        Service("power control service", f"{pcs}/v1", "openchami_pcs_url"),
        Service("boot script service", f"{bss}/boot/v1", "openchami_bss_url"),
        Service("BOS", f"{gateway}/bos/v2", "openchami_smd_url"),
    )
