from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import httpx2
import pytest

from pactsh.delegates.openchami.redfish import steps
from pactsh.delegates.openchami.waiting import Pace
from pactsh.errors import AuthError, ConflictError, NotFoundError, UnreachableError
from tests.openchami import Openchami
from tests.openchami.bmc import PASSWORD, RESET, SYSTEM, USER, Bmc
from tests.openchami.certificate import fingerprint
from tests.openchami.emulator import emulator
from tests.pactsh.delegates.openchami.asking import by_redfish, fails, reboot, reimage
from tests.pactsh.delegates.openchami.conftest import NODE

Pem = tuple[Path, Path]


@pytest.mark.parametrize(
    ("allowed", "is_on", "force", "made_of"),
    [
        ("On ForceOff GracefulRestart ForceRestart PowerCycle", True, False, "GracefulRestart"),
        ("On ForceOff ForceRestart PowerCycle", True, False, "ForceRestart"),
        ("On ForceOff PowerCycle", True, False, "PowerCycle"),
        ("On ForceOff", True, False, "ForceOff On"),
        ("ForceOn ForceOff", True, False, "ForceOff ForceOn"),
        ("On ForceOff GracefulRestart ForceRestart PowerCycle", True, True, "ForceRestart"),
        ("On ForceOff GracefulRestart PowerCycle", True, True, "PowerCycle"),
        ("On ForceOff GracefulRestart", True, True, "ForceOff On"),
        ("On ForceOff GracefulRestart", False, True, "On"),
        ("ForceOn ForceRestart", False, False, "ForceOn"),
        ("ForceRestart", False, False, ""),
        ("On GracefulRestart", True, True, ""),
        ("ForceOff", True, False, ""),
        ("Nmi PushPowerButton GracefulShutdown", True, True, ""),
        ("", True, False, ""),
    ],
)
def test_a_restart_is_made_of_what_is_offered(allowed: str, is_on: bool, force: bool, made_of: str) -> None:
    assert " ".join(steps(tuple(allowed.split()), is_on=is_on, force=force)) == made_of


def test_a_node_is_restarted_by_its_bmc(site: Openchami, bmc: Bmc, pem: Pem) -> None:
    answer = reboot(by_redfish(site, pem[0]))
    assert answer.text == f"Rebooted: node042 ({NODE}) GracefulRestart (via Redfish)"
    assert answer.details == {"xname": NODE, "bmc": bmc.address.partition("/")[0], "resets": ["GracefulRestart"]}
    assert bmc.open_sessions == 0


def test_by_force_it_waits_until_the_power_is_on(site: Openchami, bmc: Bmc, pem: Pem) -> None:
    told: list[str] = []
    reboot(by_redfish(site, pem[0]), force=True, tick=told.append)
    assert told == [f"{NODE}: ForceRestart", f"{NODE}: its power is on"]
    assert (bmc.resets, bmc.power, bmc.pending) == (["ForceRestart"], "On", [])


def test_off_and_on_again_waits_in_between(site: Openchami, bmc: Bmc, pem: Pem) -> None:
    bmc.allowed = ["On", "ForceOff"]
    answer = reboot(by_redfish(site, pem[0]))
    assert answer.text == f"Rebooted: node042 ({NODE}) ForceOff then On (via Redfish)"
    off = [call.body for call in bmc.calls].index({"ResetType": "ForceOff"})
    on = [call.body for call in bmc.calls].index({"ResetType": "On"})
    assert [call.path for call in bmc.calls[off + 1 : on]] == [SYSTEM, SYSTEM]


@pytest.mark.parametrize("pending", [["Off"], ["PoweringOff", "PoweringOff", "Off"]])
def test_a_node_that_is_off_is_switched_on(site: Openchami, bmc: Bmc, pem: Pem, pending: list[str]) -> None:
    bmc.pending = pending
    answer = reboot(by_redfish(site, pem[0]))
    assert answer.text == f"Rebooted: node042 ({NODE}) was off, switched on (via Redfish)"
    assert bmc.resets == ["On"]


def test_a_bmc_that_does_not_tell_of_its_power(site: Openchami, bmc: Bmc, pem: Pem) -> None:
    bmc.power = None
    reboot(by_redfish(site, pem[0]))
    assert bmc.resets == ["GracefulRestart"]


def test_what_is_allowed_may_be_said_elsewhere(site: Openchami, bmc: Bmc, pem: Pem) -> None:
    bmc.allowed, bmc.in_action_info = ["ForceRestart"], True
    reboot(by_redfish(site, pem[0]))
    assert bmc.resets == ["ForceRestart"]


@pytest.mark.parametrize("allowed", [None, [], ["Nmi"]])
def test_nothing_is_tried_that_is_not_offered(site: Openchami, bmc: Bmc, pem: Pem, allowed: list[str] | None) -> None:
    bmc.allowed = allowed
    assert "its BMC offers no way to restart it" in fails(lambda: reboot(by_redfish(site, pem[0]))).message
    assert bmc.resets == []


def test_smd_knows_the_action_where_the_system_does_not_say(site: Openchami, bmc: Bmc, pem: Pem) -> None:
    bmc.hides_actions = True
    error = fails(lambda: reboot(by_redfish(site, pem[0])))
    assert "offers no reset of it" in error.message
    kinds = {"target": RESET, "ResetType@Redfish.AllowableValues": ["ForceRestart"]}
    site.nodes[NODE].actions = {"#ComputerSystem.Reset": kinds}
    reboot(by_redfish(site, pem[0]))
    assert bmc.resets == ["ForceRestart"]


def test_an_action_on_another_host_is_not_asked_for(site: Openchami, bmc: Bmc, pem: Pem) -> None:
    """It would show the session's token there."""
    with Bmc(pem) as other:
        bmc.target = f"https://{other.address.partition('/')[0]}{RESET}"
        error = fails(lambda: reboot(by_redfish(site, pem[0])))
        assert "which is not itself" in error.message
        assert other.calls == []
    assert bmc.open_sessions == 0


def test_a_bmc_says_why_it_does_not(site: Openchami, bmc: Bmc, pem: Pem) -> None:
    bmc.refuses = "The system is locked."
    error = fails(lambda: reboot(by_redfish(site, pem[0])))
    assert error.message == f"BMC at {bmc.address.partition('/')[0]}: The system is locked."


def test_a_node_that_does_not_come_on(site: Openchami, bmc: Bmc, pem: Pem) -> None:
    bmc.stays = "Off"
    given, pace = by_redfish(site, pem[0]), Pace(limit_s=0.3, first_s=0.01)
    error = fails(lambda: reboot(given, pace=pace), UnreachableError)
    assert "that its power is on is not over after 0.3 s" in error.message
    assert bmc.open_sessions == 0


def test_what_is_locked_is_left_alone(site: Openchami, bmc: Bmc, pem: Pem) -> None:
    site.nodes[NODE].locked = True
    error = fails(lambda: reboot(by_redfish(site, pem[0])), ConflictError)
    assert error.message == f"node042 ({NODE}) is locked in SMD"
    assert bmc.calls == []


def test_a_node_whose_bmc_smd_does_not_know(site: Openchami, pem: Pem) -> None:
    assert "does not know where its BMC is" in fails(lambda: reboot(by_redfish(site, pem[0])), NotFoundError).message


@pytest.mark.parametrize(
    "address",
    [
        "10.0.0.1/admin?x=1",
        "u:p@10.0.0.1/redfish/v1",
        "http://10.0.0.1/redfish/v1",
        "10.0.0.1/ipmi",
        "/redfish/v1",
    ],
)
def test_an_address_that_is_none(site: Openchami, pem: Pem, address: str) -> None:
    site.nodes[NODE].address = address
    assert f"{NODE}: SMD has " in fails(lambda: reboot(by_redfish(site, pem[0]))).message


@pytest.mark.parametrize(
    ("targets", "boot"),
    [
        (["None", "Hdd", "UefiHttp", "Pxe"], {"BootSourceOverrideTarget": "Pxe"}),
        (["UefiHttp"], {"BootSourceOverrideTarget": "UefiHttp", "BootSourceOverrideMode": "UEFI"}),
        (None, {"BootSourceOverrideTarget": "Pxe"}),
    ],
)
def test_a_reimage_boots_from_the_network_once(
    site: Openchami, bmc: Bmc, pem: Pem, targets: list[str] | None, boot: dict[str, str]
) -> None:
    bmc.targets = targets
    answer = reimage(by_redfish(site, pem[0]))
    assert answer.text == f"Reimaged: node042 ({NODE}) boots http://s3.example/kernel (via Redfish)"
    assert bmc.boot == {"BootSourceOverrideEnabled": "Once", **boot}
    assert bmc.resets == ["ForceRestart"]
    assert "hush" not in repr(answer)


def test_a_bmc_that_can_not_boot_from_the_network(site: Openchami, bmc: Bmc, pem: Pem) -> None:
    bmc.targets = ["None", "Hdd"]
    assert "can't have it boot from the network" in fails(lambda: reimage(by_redfish(site, pem[0]))).message
    assert bmc.resets == []


def test_a_reimage_without_an_image_asks_no_bmc(site: Openchami, bmc: Bmc, pem: Pem) -> None:
    site.nodes[NODE].image = ""
    assert "has no image for it" in fails(lambda: reimage(by_redfish(site, pem[0]))).message
    assert bmc.calls == []


def test_what_was_read_is_what_is_changed(site: Openchami, bmc: Bmc, pem: Pem) -> None:
    bmc.etag = '"1"'
    reimage(by_redfish(site, pem[0]))
    assert [call.headers.get("if-match") for call in bmc.asked("PATCH")] == ['"1"']


def test_who_was_slower_looks_again_once(site: Openchami, bmc: Bmc, pem: Pem) -> None:
    """Some BMCs send a weak tag and take only a strong one."""
    bmc.etag, bmc.stale = '"1"', 1
    reimage(by_redfish(site, pem[0]))
    assert [call.headers.get("if-match") for call in bmc.asked("PATCH")] == ['"1"', '"2"']
    bmc.etag, bmc.stale = '"1"', 9
    error = fails(lambda: reimage(by_redfish(site, pem[0])))
    assert "Precondition Failed" in error.message
    assert bmc.resets == ["ForceRestart"]


@pytest.mark.e2e
def test_the_emulator_of_openstack_is_restarted_and_reimaged(site: Openchami, pem: Pem, tmp_path: Path) -> None:
    """A Redfish that was written by others. It knows no sessions, and its power takes a while."""
    pace = Pace(limit_s=60.0, first_s=0.05, most_s=0.5)
    with emulator(tmp_path, pem) as address:
        site.nodes[NODE].address = address
        given: dict[str, Any] = {"bmc_fingerprint": fingerprint(pem[0])}
        answer = reboot(by_redfish(site, None, **given), pace=pace)
        assert answer.details["resets"] == ["GracefulRestart"]
        answer = reimage(by_redfish(site, None, **given), pace=pace)
        assert answer.details["resets"] == ["ForceRestart"]
        with httpx2.Client(
            verify=ssl.create_default_context(cafile=pem[0]), auth=(USER, PASSWORD), trust_env=False
        ) as client:
            system = client.get(f"https://{address}").json()
        assert (system["PowerState"], system["Boot"]["BootSourceOverrideTarget"]) == ("On", "Pxe")
        error = fails(lambda: reboot(by_redfish(site, pem[0], bmc_user="eve")), AuthError)
        assert "BMC at 127.0.0.1" in error.message
