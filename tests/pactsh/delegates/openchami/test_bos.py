from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pactsh.delegates.openchami.bos import Bos
from pactsh.delegates.openchami.http import Http, trust
from pactsh.delegates.openchami.places import places_of
from pactsh.delegates.openchami.waiting import Pace
from pactsh.errors import NotFoundError, UnreachableError
from tests.openchami import Openchami
from tests.openchami.serving import Answer, Server
from tests.pactsh.delegates.openchami.asking import LIMIT_S, QUICK, fails, settings
from tests.pactsh.delegates.openchami.conftest import NODE


@contextmanager
def bos(site: Openchami, *, pace: Pace = QUICK, url: str | None = None) -> Iterator[Bos]:
    given = settings(site, **({} if url is None else {"smd_url": url}))
    with Http(trust("openchami_ca", None), timeout_s=LIMIT_S, token=given.token) as http:
        yield Bos(http, places_of(given).bos, pace)


def boot(site: Openchami, *, template: str = "compute-1.6", pace: Pace = QUICK) -> list[str]:
    """Boot it; returns what was told meanwhile, but for the session's name."""
    told: list[str] = []
    with bos(site, pace=pace) as asked:
        asked.reboot(NODE, template, told.append)
    assert told[0].startswith(f"{NODE}: session ")
    return told[1:]


def test_a_session_is_followed_phase_by_phase(csm: Openchami) -> None:
    assert boot(csm) == [f"{NODE}: {phase}" for phase in ("powering off", "powering on", "complete")]
    [begun] = csm.asked("POST")
    assert begun.path == "/apis/bos/v2/sessions"
    assert begun.body == {"operation": "reboot", "template_name": "compute-1.6", "limit": NODE}


def test_a_session_that_is_complete_may_have_failed(csm: Openchami) -> None:
    csm.bos_error = "Failed to boot, retry limit reached"
    error = fails(lambda: boot(csm))
    assert error.message == f"reimage of {NODE} failed: Failed to boot, retry limit reached"


def test_a_session_of_no_node_did_nothing(csm: Openchami) -> None:
    del csm.nodes[NODE]
    error = fails(lambda: boot(csm))
    assert "BOS's session has no node" in error.message
    assert "bos_template" in error.hint


def test_a_template_that_bos_does_not_know(csm: Openchami) -> None:
    assert "Session Template nope is invalid" in fails(lambda: boot(csm, template="nope")).message


def test_the_template_is_that_of_the_nodes_last_session(csm: Openchami) -> None:
    csm.bos.add("old", "compute-1.5")
    csm.nodes[NODE].bos_session = "old"
    with bos(csm) as asked:
        assert asked.template_of(NODE) == "compute-1.5"


@pytest.mark.parametrize("session", ["", "gone", "../x"])
def test_where_bos_knows_no_template_it_has_to_be_set(csm: Openchami, session: str) -> None:
    csm.nodes[NODE].bos_session = session
    with bos(csm) as asked:
        error = fails(lambda: asked.template_of(NODE), NotFoundError)
    assert error.hint == "set bos_template"
    assert not any(".." in call.path for call in csm.calls)


def test_a_gateway_that_hiccups_meanwhile_is_no_failure(csm: Openchami) -> None:
    csm.flaky = QUICK.lost - 1
    assert boot(csm)[-1] == f"{NODE}: complete"


def test_waiting_has_an_end(csm: Openchami) -> None:
    csm.never_ends = True
    error = fails(lambda: boot(csm, pace=Pace(limit_s=0.2, first_s=0.01)), UnreachableError)
    assert "is not over after 0.2 s" in error.message
    assert f"{csm.url}/apis/bos/v2/sessions/" in error.hint


@pytest.mark.parametrize(
    "status",
    [
        {"status": "complete", "managed_components_count": 1, "percent_successful": 50},
        {"status": "complete", "managed_components_count": 1},
        {"status": "complete", "managed_components_count": 1, "percent_failed": 1, "percent_successful": 100},
    ],
)
def test_only_what_succeeded_as_a_whole_has(csm: Openchami, status: dict[str, object]) -> None:
    server = Server(lambda call: Answer(200, status if call.path.endswith("status") else {"name": "s1"}))
    server.start()
    try:
        with bos(csm, url=f"http://127.0.0.1:{server.server_port}") as asked:
            fails(lambda: asked.reboot(NODE, "t", lambda _text: None))
    finally:
        server.end()


def test_a_name_that_is_none_is_not_made_a_path(csm: Openchami) -> None:
    server = Server(lambda _call: Answer(201, {"name": "../../../x"}))
    server.start()
    try:
        with bos(csm, url=f"http://127.0.0.1:{server.server_port}") as asked:
            assert "which is no name" in fails(lambda: asked.reboot(NODE, "t", lambda _text: None)).message
    finally:
        server.end()
