from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pactsh.delegates.deeds import Systems, perform
from pactsh.delegates.openchami.power import Power, power_of
from pactsh.errors import UsageError
from pactsh.model.secret import Secret
from tests.openchami import Openchami
from tests.openchami.bmc import Bmc
from tests.pactsh.delegates.openchami.asking import LIMIT_S, by_redfish, fails, settings


def test_what_is_configured_is_what_acts(site: Openchami, bmc: Bmc, pem: tuple[Path, Path]) -> None:
    """By the door that a decided deed takes, at its own pace."""
    for given, words in ((settings(site), "PCS"), (by_redfish(site, pem[0]), "Redfish")):
        answer = perform(
            Systems(openchami=given), "reboot", "node042", {"force": True}, user="alice@org", timeout_s=LIMIT_S
        )
        assert words in answer.text
    assert bmc.resets == ["ForceRestart"]


@pytest.mark.parametrize("backend", ["pcs", "redfish", "csm"])
def test_each_is_of_one_shape(site: Openchami, backend: Any) -> None:
    power: Power = power_of(settings(site, backend=backend), timeout_s=LIMIT_S)
    assert callable(power.reboot)
    assert callable(power.reimage)


@pytest.mark.parametrize("backend", ["pcs", "redfish", "csm"])
def test_settings_that_can_not_be_used_are_said_before_anybody_is_asked(site: Openchami, backend: Any) -> None:
    error = fails(lambda: power_of(settings(site, backend=backend, smd_url="gw"), timeout_s=LIMIT_S), UsageError)
    assert "openchami_smd_url" in error.message


@pytest.mark.parametrize(
    "more",
    [
        {"bmc_user": None},
        {"bmc_password": None},
        {"bmc_fingerprint": "12:34"},
        {"bmc_ca": Path("/nowhere.pem")},
        {"ca": Path("/nowhere.pem")},
    ],
)
def test_a_bmc_is_not_asked_without_what_it_takes(site: Openchami, bmc: Bmc, more: dict[str, Any]) -> None:
    given = by_redfish(site, None, **more)
    error = fails(lambda: power_of(given, timeout_s=LIMIT_S).reboot("node042", False, lambda _text: None), UsageError)
    assert next(iter(more)) in error.message + error.hint
    assert bmc.calls == []


def test_secrets_do_not_show(site: Openchami) -> None:
    shown = repr(by_redfish(site, None, token=Secret("hush")))
    assert "hush" not in shown
    assert "s3cret" not in shown
