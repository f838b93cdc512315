from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pactsh.delegates.openchami.bmc import Bmc, bmc_trust
from pactsh.errors import AuthError, PactError, UnreachableError, UsageError
from pactsh.model.secret import Secret
from tests.openchami import Openchami
from tests.openchami import bmc as fake
from tests.openchami.certificate import certificate, fingerprint
from tests.openchami.serving import Answer, Server
from tests.pactsh.delegates.openchami.asking import LIMIT_S, QUICK, by_redfish, fails


def client(site: Openchami, bmc: fake.Bmc, ca: Path | None, **more: Any) -> Bmc:
    return Bmc(bmc.address.partition("/")[0], by_redfish(site, ca, **more), timeout_s=LIMIT_S, pace=QUICK)


def reset(site: Openchami, bmc: fake.Bmc, ca: Path | None, **more: Any) -> None:
    with client(site, bmc, ca, **more) as asked:
        asked.act("POST", fake.RESET, {"ResetType": "ForceRestart"})


def credentials_sent(bmc: fake.Bmc) -> bool:
    """Whether anybody has shown it a password or a token."""
    return any(call.body or {"authorization", "x-auth-token"} & set(call.headers) for call in bmc.calls)


def test_a_session_is_closed_when_all_is_done(site: Openchami, bmc: fake.Bmc, pem: tuple[Path, Path]) -> None:
    reset(site, bmc, pem[0])
    assert bmc.resets == ["ForceRestart"]
    assert bmc.open_sessions == 0
    assert [(call.method, call.path) for call in bmc.calls] == [
        ("GET", "/redfish/v1/"),
        ("POST", fake.SESSIONS),
        ("POST", fake.RESET),
        ("DELETE", f"{fake.SESSIONS}/9"),
    ]
    assert not any("authorization" in call.headers for call in bmc.calls)


def test_a_session_is_closed_after_errors_too(site: Openchami, bmc: fake.Bmc, pem: tuple[Path, Path]) -> None:
    bmc.refuses = "The system is locked."
    assert "The system is locked." in fails(lambda: reset(site, bmc, pem[0])).message
    assert bmc.open_sessions == 0
    with pytest.raises(KeyboardInterrupt), client(site, bmc, pem[0]):
        raise KeyboardInterrupt
    assert bmc.open_sessions == 0


@pytest.mark.parametrize("location", ["https://10.9.8.7" + fake.SESSIONS + "/9", ""])
def test_a_bmc_may_have_another_name_for_itself(
    site: Openchami, bmc: fake.Bmc, pem: tuple[Path, Path], location: str
) -> None:
    bmc.session_location = location
    reset(site, bmc, pem[0])
    assert bmc.open_sessions == 0


def test_a_bmc_that_hides_its_root_has_sessions_all_the_same(
    site: Openchami, bmc: fake.Bmc, pem: tuple[Path, Path]
) -> None:
    bmc.is_root_public = False
    reset(site, bmc, pem[0])
    assert not any("authorization" in call.headers for call in bmc.calls)


def test_a_bmc_without_sessions_gets_the_password(site: Openchami, bmc: fake.Bmc, pem: tuple[Path, Path]) -> None:
    bmc.has_sessions = False
    reset(site, bmc, pem[0])
    assert bmc.resets == ["ForceRestart"]
    assert bmc.calls[-1].headers["authorization"].startswith("Basic ")


def test_a_wrong_password(site: Openchami, bmc: fake.Bmc, pem: tuple[Path, Path]) -> None:
    """It is not sent a second time by other means, and not told, though the BMC does."""
    error = fails(lambda: reset(site, bmc, pem[0], bmc_password=Secret("wr0ng")), AuthError)
    assert "is not the user's password" in error.message
    assert "bmc_password" in error.hint
    assert "wr0ng" not in repr((error.message, error.hint, error.detail))
    assert len(bmc.calls) == 2


@pytest.mark.parametrize("colons", [True, False])
def test_a_fingerprint_is_enough(site: Openchami, bmc: fake.Bmc, pem: tuple[Path, Path], colons: bool) -> None:
    mark = fingerprint(pem[0]) if colons else fingerprint(pem[0]).replace(":", "").lower()
    reset(site, bmc, None, bmc_fingerprint=f"{'00' * 32}, {mark}")
    assert bmc.resets == ["ForceRestart"]


def test_another_fingerprint_gets_nothing(site: Openchami, bmc: fake.Bmc, pem: tuple[Path, Path]) -> None:
    error = fails(lambda: reset(site, bmc, None, bmc_fingerprint="ab" * 32), AuthError)
    assert "can't be trusted: its certificate's SHA-256 is " in error.message
    assert fingerprint(pem[0]).replace(":", "").lower() in error.message
    assert "bmc_fingerprint" in error.hint
    assert bmc.calls == []


def test_a_certificate_that_nobody_vouches_for_gets_nothing(site: Openchami, bmc: fake.Bmc) -> None:
    error = fails(lambda: reset(site, bmc, None), AuthError)
    assert "self-signed certificate" in error.message
    assert bmc.calls == []


def test_a_fingerprint_and_a_ca_have_to_hold_both(
    site: Openchami, bmc: fake.Bmc, pem: tuple[Path, Path], tmp_path: Path
) -> None:
    reset(site, bmc, pem[0], bmc_fingerprint=fingerprint(pem[0]))
    other = certificate(tmp_path)[0]
    fails(lambda: reset(site, bmc, other, bmc_fingerprint=fingerprint(pem[0])), AuthError)
    fails(lambda: reset(site, bmc, pem[0], bmc_fingerprint=fingerprint(other)), AuthError)
    assert bmc.resets == ["ForceRestart"]


def test_a_certificate_of_another_name_gets_nothing(site: Openchami, tmp_path: Path) -> None:
    made = certificate(tmp_path, "127.0.0.9")
    with fake.Bmc(made) as bmc:
        assert "127.0.0.1" in fails(lambda: reset(site, bmc, made[0]), AuthError).message
        assert bmc.calls == []
        reset(site, bmc, None, bmc_fingerprint=fingerprint(made[0]))


@pytest.mark.parametrize("text", ["", "ab", "zz" * 32, "ab" * 32 + ",", "sha1:" + "ab" * 20])
def test_what_is_no_fingerprint(text: str) -> None:
    with pytest.raises(UsageError, match="bmc_fingerprint"):
        bmc_trust(None, text)


@pytest.mark.parametrize(
    "link",
    [
        "https://evil.example/redfish/v1/x",
        "//evil.example/x",
        "http://127.0.0.1/x",
        "https://127.0.0.1:1/x",
        "https://[",
    ],
)
def test_no_link_leads_to_another_host(site: Openchami, bmc: fake.Bmc, pem: tuple[Path, Path], link: str) -> None:
    with client(site, bmc, pem[0]) as asked:
        error = fails(lambda: asked.own(link))
        assert "which is not itself" in error.message
        assert asked.own(f"https://{bmc.address}") == fake.SYSTEM
        assert asked.own(fake.RESET) == fake.RESET


def test_the_port_of_https_may_be_said(site: Openchami, pem: tuple[Path, Path]) -> None:
    asked = Bmc("bmc.example", by_redfish(site, pem[0]), timeout_s=LIMIT_S, pace=QUICK)
    assert asked.own("https://BMC.example:443/redfish/v1/x?y=1") == "/redfish/v1/x?y=1"
    fails(lambda: asked.own("http://bmc.example:443/redfish/v1/x"))


def test_a_redirect_is_not_followed_to_sign_in(site: Openchami, bmc: fake.Bmc, pem: tuple[Path, Path]) -> None:
    away = Server(lambda _call: Answer(302, f"https://{bmc.address}"), pem)
    away.start()
    try:
        host = f"127.0.0.1:{away.server_port}"
        asked = Bmc(host, by_redfish(site, pem[0]), timeout_s=LIMIT_S, pace=QUICK)
        with pytest.raises(PactError, match="sends pact on to"), asked:
            pass
    finally:
        away.end()
    assert bmc.calls == []


def test_a_task_is_followed_to_its_end(site: Openchami, bmc: fake.Bmc, pem: tuple[Path, Path]) -> None:
    bmc.task = [{"TaskState": "Running"}, {"TaskState": "Running"}, {"TaskState": "Completed", "TaskStatus": "OK"}]
    reset(site, bmc, pem[0])
    assert bmc.task == []


@pytest.mark.parametrize(
    ("end", "text"),
    [
        ({"TaskState": "Exception", "Messages": [{"Message": "Power supply failure."}]}, "Power supply failure."),
        ({"TaskState": "Cancelled"}, "Cancelled"),
        ({"TaskState": "Completed", "TaskStatus": "Critical"}, "did not do it"),
        (None, "what came of it is not known"),
    ],
)
def test_a_task_that_fails(
    site: Openchami, bmc: fake.Bmc, pem: tuple[Path, Path], end: dict[str, Any] | None, text: str
) -> None:
    bmc.task = [{"TaskState": "Running"}, *([] if end is None else [end])]
    assert text in fails(lambda: reset(site, bmc, pem[0])).message
    assert bmc.open_sessions == 0


def test_nobody_is_there(site: Openchami, pem: tuple[Path, Path]) -> None:
    with fake.Bmc(pem) as gone:
        asked = client(site, gone, pem[0])
    with pytest.raises(UnreachableError, match=r"BMC at 127\.0\.0\.1:\d+ can't be reached"), asked:
        pass


def test_what_is_no_redfish(site: Openchami, pem: tuple[Path, Path]) -> None:
    with Openchami(certificate=pem) as other:
        asked = Bmc(other.url.removeprefix("https://"), by_redfish(site, pem[0]), timeout_s=LIMIT_S, pace=QUICK)
        with pytest.raises(UnreachableError, match="BMC not reachable at"), asked:
            pass
        assert not any("authorization" in call.headers for call in other.calls)
