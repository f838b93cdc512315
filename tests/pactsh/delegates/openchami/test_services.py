from __future__ import annotations

import pytest

from pactsh.errors import NotFoundError, PactError, UnreachableError
from tests.openchami import Openchami
from tests.pactsh.delegates.openchami.asking import fails, reboot, reimage, settings
from tests.pactsh.delegates.openchami.conftest import NODE


def operations(site: Openchami) -> list[str]:
    return [call.body["operation"] for call in site.asked("POST")]


@pytest.mark.parametrize(("force", "operation"), [(False, "soft-restart"), (True, "hard-restart")])
def test_a_node_is_restarted_gently_or_not(site: Openchami, force: bool, operation: str) -> None:
    answer = reboot(settings(site), force=force)
    assert answer.text == f"Rebooted: node042 ({NODE}) {operation} (via OpenCHAMI PCS)"
    assert operations(site) == [operation]
    assert answer.details["xname"] == NODE
    assert answer.details["said"] == f"Transition confirmed, {operation.title()}"


@pytest.mark.parametrize("force", [False, True])
def test_a_node_that_is_off_is_switched_on(site: Openchami, force: bool) -> None:
    site.nodes[NODE].power = "off"
    assert (
        reboot(settings(site), force=force).text
        == f"Rebooted: node042 ({NODE}) was off, switched on (via OpenCHAMI PCS)"
    )
    assert operations(site) == ["on"]
    assert site.nodes[NODE].power == "on"


def test_nothing_is_done_where_it_is_not_known_whether_it_is_on(site: Openchami) -> None:
    site.nodes[NODE].manageable = False
    assert "PCS does not know whether its power is on" in fails(lambda: reboot(settings(site))).message
    assert operations(site) == []


def test_a_node_that_nobody_knows_is_not_asked_for(site: Openchami) -> None:
    fails(lambda: reboot(settings(site), "node777"), NotFoundError)
    fails(lambda: reimage(settings(site), "x1c0s0b0n0"), NotFoundError)
    assert operations(site) == []


@pytest.mark.parametrize(("power", "operation"), [("on", "hard-restart"), ("off", "init")])
def test_a_reimage_is_never_gentle(site: Openchami, power: str, operation: str) -> None:
    site.nodes[NODE].power = power
    told: list[str] = []
    answer = reimage(settings(site), NODE, tick=told.append)
    assert answer.text == f"Reimaged: {NODE} boots http://s3.example/kernel (via OpenCHAMI PCS)"
    assert told[0] == f"{NODE}: boots http://s3.example/kernel"
    assert operations(site) == [operation]
    assert answer.details["initrd"] == "http://s3.example/initrd"
    assert "hush" not in repr(answer)


def test_without_an_image_a_reimage_stops(site: Openchami) -> None:
    site.nodes[NODE].image = ""
    assert "has no image for it" in fails(lambda: reimage(settings(site))).message
    assert operations(site) == []


def test_csm_restarts_by_pcs_below_apis(csm: Openchami) -> None:
    assert reboot(settings(csm)).text == f"Rebooted: node042 ({NODE}) soft-restart (via CSM PCS)"
    assert {call.path for call in csm.asked("POST")} == {"/apis/power-control/v1/transitions"}


def test_csm_reimages_by_bos(csm: Openchami) -> None:
    answer = reimage(settings(csm, bos_template="compute-1.6"))
    assert answer.text == f"Reimaged: node042 ({NODE}) boots template compute-1.6 (via CSM BOS)"
    [order] = csm.asked("POST")
    assert order.body == {"operation": "reboot", "template_name": "compute-1.6", "limit": NODE}


def test_csm_reimages_with_the_template_that_the_node_has(csm: Openchami) -> None:
    csm.bos.add("old", "compute-1.6")
    csm.nodes[NODE].bos_session = "old"
    assert reimage(settings(csm)).details["template"] == "compute-1.6"


def test_csm_has_to_know_a_template(csm: Openchami) -> None:
    assert fails(lambda: reimage(settings(csm)), NotFoundError).hint == "set bos_template"
    assert csm.asked("POST") == []


def test_a_gateway_without_pcs_never_means_done(site: Openchami) -> None:
    site.trouble["pcs"] = "html404"
    for deed in (lambda: reboot(settings(site)), lambda: reimage(settings(site))):
        assert "power control service not reachable" in fails(deed, UnreachableError).message


def test_a_service_that_is_slow_is_given_up(site: Openchami) -> None:
    site.trouble["pcs"] = "slow"
    error = fails(lambda: reboot(settings(site), timeout_s=0.3), UnreachableError)
    assert "did not answer within 0.3 s" in error.message


@pytest.mark.parametrize("service", ["smd", "pcs", "bss"])
@pytest.mark.parametrize("how", ["garbage", "list", "cut", "echo", "redirect", "problem500", "html503"])
def test_whatever_a_service_does_it_is_an_error_that_says_who(site: Openchami, service: str, how: str) -> None:
    site.trouble[service] = how
    name = {"smd": "SMD", "pcs": "power control service", "bss": "boot script service"}[service]
    with pytest.raises(PactError, match=name) as caught:
        reimage(settings(site))
    assert site.token not in repr((caught.value.message, caught.value.hint, caught.value.detail))
    assert operations(site) == [] or service == "pcs"
