"""What the tests of OpenCHAMI ask with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pactsh.delegates.answer import Answer
from pactsh.delegates.openchami.power import power_of
from pactsh.delegates.openchami.waiting import Pace
from pactsh.delegates.settings import OpenchamiSettings
from pactsh.errors import PactError
from pactsh.model.secret import Secret
from tests.openchami import Openchami
from tests.openchami.bmc import PASSWORD, USER

NODE = "x1000c0s0b0n0"
QUICK = Pace(limit_s=30.0, first_s=0.001, most_s=0.01, lost=4)
LIMIT_S = 10.0


def settings(site: Openchami, **more: Any) -> OpenchamiSettings:
    """How a site is reached."""
    token = Secret(site.token) if site.token else None
    given = {"smd_url": site.url, "token": token, "backend": "csm" if site.csm else "pcs", "names": "nid"}
    return OpenchamiSettings(**given | more)


def by_redfish(site: Openchami, bmc_ca: Path | None, /, **more: Any) -> OpenchamiSettings:
    """How it is reached where BMCs switch power."""
    bmc = {"bmc_user": USER, "bmc_password": Secret(PASSWORD), "bmc_ca": bmc_ca}
    return settings(site, **{"backend": "redfish", **bmc, **more})


def reboot(given: OpenchamiSettings, node: str = "node042", *, force: bool = False, **more: Any) -> Answer:
    """Reboot a node; `tick` and `pace` may be given."""
    tick = more.pop("tick", lambda _text: None)
    return power_of(given, timeout_s=more.pop("timeout_s", LIMIT_S), pace=more.pop("pace", QUICK)).reboot(
        node, force, tick
    )


def reimage(given: OpenchamiSettings, node: str = "node042", **more: Any) -> Answer:
    """Reimage a node; `tick` and `pace` may be given."""
    tick = more.pop("tick", lambda _text: None)
    return power_of(given, timeout_s=LIMIT_S, pace=more.pop("pace", QUICK)).reimage(node, tick)


def fails(deed: Callable[[], object], kind: type[PactError] = PactError) -> PactError:
    """The error that it ends in, of exactly that class."""
    with pytest.raises(PactError) as caught:
        deed()
    assert type(caught.value) is kind, caught.value.message
    return caught.value
