from __future__ import annotations

from typing import Any

import pytest

from pactsh.delegates.openchami.places import places_of
from pactsh.delegates.settings import OpenchamiSettings
from pactsh.errors import UsageError


def bases(smd_url: str, **more: Any) -> list[str]:
    return [service.base for service in places_of(OpenchamiSettings(smd_url, **more))]


@pytest.mark.parametrize("ending", ["", "/", "/hsm/v2", "/hsm/v2/"])
def test_behind_openchamis_gateway_all_is_beside_smd(ending: str) -> None:
    found = bases(f"https://gw:8443{ending}")[:3]
    assert found == ["https://gw:8443/hsm/v2", "https://gw:8443/power-control/v1", "https://gw:8443/boot/v1"]


@pytest.mark.parametrize("ending", ["", "/apis", "/apis/", "/apis/smd", "/apis/smd/hsm/v2"])
def test_on_csm_all_is_below_apis(ending: str) -> None:
    assert bases(f"https://gw{ending}", backend="csm") == [
        "https://gw/apis/smd/hsm/v2",
        "https://gw/apis/power-control/v1",
        "https://gw/apis/bss/boot/v1",
        "https://gw/apis/bos/v2",
    ]


def test_the_address_says_that_it_is_csm_too() -> None:
    assert bases("https://gw/apis/smd", backend="redfish")[0] == "https://gw/apis/smd/hsm/v2"


@pytest.mark.parametrize("ending", ["", "/", "/v1"])
def test_pcs_and_bss_may_be_elsewhere(ending: str) -> None:
    found = bases("http://smd:27779", pcs_url=f"http://pcs:28007{ending}", bss_url="http://bss:27778/boot/v1")
    assert found[:3] == ["http://smd:27779/hsm/v2", "http://pcs:28007/v1", "http://bss:27778/boot/v1"]


@pytest.mark.parametrize(
    "url",
    ["", "gw:8443", "ftp://gw", "https://", "https://gw/?x", "https://u:p@gw", "https://gw:0", "https://gw:x",
     "http://a b", "https://gw\n", "http://[::1", "https://gw\\@evil"],
)  # fmt: skip
def test_what_is_no_address_is_said_so(url: str) -> None:
    with pytest.raises(UsageError, match="openchami_smd_url"):
        places_of(OpenchamiSettings(url))
    with pytest.raises(UsageError, match="openchami_pcs_url"):
        places_of(OpenchamiSettings("https://gw", pcs_url=url))
