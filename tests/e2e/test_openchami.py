"""The hardware manager for real: OpenCHAMI's own SMD and BSS, and sushy's Redfish; power-control can't be had as a
module, tests/openchami has its stand-in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pactsh.delegates.answer import Answer
from pactsh.delegates.deeds import Systems, perform
from pactsh.delegates.openchami.http import Http, trust
from pactsh.delegates.openchami.places import places_of
from pactsh.delegates.openchami.smd import Smd
from pactsh.delegates.settings import OpenchamiSettings
from pactsh.errors import NotFoundError, PactError
from pactsh.model.secret import Secret
from tests.e2e.openchami import Real, openchami
from tests.openchami.bmc import PASSWORD, USER
from tests.openchami.certificate import certificate, fingerprint
from tests.openchami.emulator import emulator

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

BMC, NODE = "x1000c0s0b0", "x1000c0s0b0n0"
OTHER_BMC, OTHER = "x1000c0s1b0", "x1000c0s1b0n0"
KERNEL = "http://images.example.org/vmlinuz-6.1"


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory, pem: tuple[Path, Path]) -> Iterator[Real]:
    """SMD with one node, whose Redfish is the emulator's, as a discovery would have written it."""
    directory = tmp_path_factory.mktemp("openchami")
    with openchami(directory, pem) as found, emulator(directory / "redfish", pem) as system:
        host, _, path = system.partition("/")
        inventory: dict[str, Any] = {
            "ID": BMC, "FQDN": host, "SchemaVersion": 1, "RediscoverOnUpdate": False,
            "Systems": [
                {
                    "uri": f"https://{host}/{path}", "uuid": path.rpartition("/")[2], "system_type": "Physical",
                    "power_state": "On", "name": "node",
                    "ethernet_interfaces": [{"mac": "02:00:00:00:00:2a", "ip": "10.0.0.42", "description": "eth0"}],
                }
            ],
            "Managers": [],
        }  # fmt: skip
        other = inventory | {"ID": OTHER_BMC, "FQDN": host.replace("127.0.0.1", "localhost")}
        other["Systems"] = [inventory["Systems"][0] | {"uuid": "00000000-0000-0000-0000-000000000000"}]
        for one in (inventory, other):
            made = found.smd("POST", "/Inventory/RedfishEndpoints", one)
            assert made.status_code < 300, made.text
        # SMD numbers the nodes of each BMC from 1, so two have the same number until somebody says otherwise.
        assert found.smd("PATCH", f"/State/Components/{OTHER}/NID", {"NID": 2}).status_code < 300
        yield found


def settings(real: Real, pem: tuple[Path, Path], **more: object) -> OpenchamiSettings:
    fields: dict[str, object] = {
        "smd_url": real.smd_url, "bss_url": real.bss_url, "backend": "redfish", "names": "nid", "ca": real.ca,
        "bmc_user": USER, "bmc_password": Secret(PASSWORD), "bmc_fingerprint": fingerprint(pem[0]),
    }  # fmt: skip
    return OpenchamiSettings(**(fields | more))  # type: ignore[arg-type]  # as they are named


def done(given: OpenchamiSettings, action: str, node: str, **facts: object) -> Answer:
    return perform(Systems(openchami=given), action, node, dict(facts), user="", timeout_s=20)  # type: ignore[arg-type]


def test_smd_knows_the_node_by_its_number_and_by_its_xname(real: Real, pem: tuple[Path, Path]) -> None:
    given = settings(real, pem)
    with Http(trust("openchami_ca", given.ca), timeout_s=10) as http:
        smd = Smd(http, places_of(given).smd)
        assert {smd.find(given, name).id for name in ("node001", "nid000001", NODE)} == {NODE}
        found = smd.inventory(NODE)
        assert (found.bmc, found.component.nid) == (BMC, 1)
        for nobody in ("node777", "x9c0s0b0n0"):
            with pytest.raises(NotFoundError):
                smd.find(given, nobody)


def test_a_node_is_restarted_by_the_bmc_that_smd_names(real: Real, pem: tuple[Path, Path]) -> None:
    answer = done(settings(real, pem), "reboot", "node001", force=True)
    assert answer.text == f"Rebooted: node001 ({NODE}) ForceRestart (via Redfish)"


def test_another_system_than_smd_means_is_not_touched(real: Real, pem: tuple[Path, Path]) -> None:
    with pytest.raises(PactError, match="no systems with the UUID 00000000"):
        done(settings(real, pem, names="xname"), "reboot", OTHER)


def test_a_bmc_with_another_certificate_gets_no_password(real: Real, pem: tuple[Path, Path]) -> None:
    with pytest.raises(PactError, match="its certificate's SHA-256 is"):
        done(settings(real, pem, bmc_fingerprint="ab" * 32), "reboot", "node001")


def test_a_reimage_boots_what_bss_has_for_the_node(real: Real, pem: tuple[Path, Path]) -> None:
    given = settings(real, pem)
    with pytest.raises(PactError, match="has no image for it"):
        done(given, "reimage", "node001")
    # Over PostgreSQL, BSS says yes to an entry for a role or for `Default`, and keeps none: so it is the node's own.
    own = {"hosts": [NODE], "kernel": KERNEL, "initrd": "http://images.example.org/initrd", "params": "quiet"}
    assert real.bss("PUT", "/bootparameters", own).status_code < 300
    answer = done(given, "reimage", "node001")
    assert answer.text == f"Reimaged: node001 ({NODE}) boots {KERNEL} (via Redfish)"
    assert answer.details["boot"] == "Pxe"


def test_without_power_control_behind_the_gateway_nothing_is_done(real: Real, pem: tuple[Path, Path]) -> None:
    with pytest.raises(PactError) as caught:
        done(settings(real, pem, backend="pcs"), "reboot", "node001")
    assert "power control" in caught.value.message, caught.value.message
