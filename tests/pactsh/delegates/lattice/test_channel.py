"""What the connection does with the other end's TLS, tokens, delays and nonsense, and what it says of them."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest

from pactsh.delegates.lattice.channel import METHODS, Channel
from pactsh.delegates.lattice.client import Lattice
from pactsh.delegates.settings import LatticeSettings
from pactsh.errors import AuthError, PactError, UnreachableError, UsageError
from pactsh.model.secret import Secret
from tests.lattice import LatticeServer
from tests.lattice.certificates import Certificates

Code = grpc.StatusCode


Listen = Callable[[Callable[[socket.socket], None]], str]


def healthy(settings: LatticeSettings, *, user: str = "alice", timeout_s: float = 10) -> str:
    with Lattice(settings, user=user, timeout_s=timeout_s) as lattice:
        return lattice.health().status


def refused(settings: LatticeSettings, *, timeout_s: float = 10) -> PactError:
    with pytest.raises(PactError) as caught:
        healthy(settings, timeout_s=timeout_s)
    return caught.value


# -- TLS


def test_its_own_ca(ours: Certificates) -> None:
    with LatticeServer(tls=ours.server()) as server:
        assert healthy(LatticeSettings(f"https://{server.endpoint}", ca=ours.ca)) == "healthy"
        assert healthy(LatticeSettings(server.endpoint, ca=ours.ca)) == "healthy", "with a CA, loopback means TLS too"


def test_without_a_ca_it_is_the_systems(ours: Certificates, monkeypatch: pytest.MonkeyPatch) -> None:
    with LatticeServer(tls=ours.server()) as server:
        settings = LatticeSettings(f"https://{server.endpoint}")
        monkeypatch.setenv("SSL_CERT_FILE", str(ours.ca))
        assert healthy(settings) == "healthy"
        monkeypatch.delenv("SSL_CERT_FILE")
        error = refused(settings)
    assert isinstance(error, AuthError)
    assert "not signed by any CA that this system trusts" in error.message
    assert "lattice_ca" in error.hint


def test_another_ca(ours: Certificates, theirs: Certificates) -> None:
    with LatticeServer(tls=theirs.server()) as server:
        error = refused(LatticeSettings(f"https://{server.endpoint}", ca=ours.ca))
        assert server.calls == [], "no token goes to whom is not trusted"
    assert isinstance(error, AuthError)
    assert error.message.startswith(f"lattice at {server.endpoint} can't be trusted: its certificate is not signed by")


def test_a_certificate_of_another_host(ours: Certificates) -> None:
    with LatticeServer(tls=ours.server("lattice.example.org")) as server:
        error = refused(LatticeSettings(f"https://{server.endpoint}", ca=ours.ca))
    assert isinstance(error, AuthError)
    assert error.message == f"lattice at {server.endpoint} can't be trusted: its certificate is another host's"
    assert "lattice_endpoint" in error.hint


def test_a_certificate_of_ours_is_demanded(ours: Certificates, theirs: Certificates) -> None:
    with LatticeServer(tls=ours.server(), client_ca=ours.ca.read_bytes()) as server:
        endpoint = f"https://{server.endpoint}"
        cert, key = ours.client()
        assert healthy(LatticeSettings(endpoint, ca=ours.ca, cert=cert, key=key)) == "healthy"
        missing = refused(LatticeSettings(endpoint, ca=ours.ca))
        cert, key = theirs.client()
        another = refused(LatticeSettings(endpoint, ca=ours.ca, cert=cert, key=key))
    assert missing.message == another.message == f"lattice at {server.endpoint} ends the connection at once"
    assert "may want a certificate of ours: set lattice_cert and lattice_key" in missing.hint
    assert "may not accept the certificate" in another.hint


def test_tls_with_a_plain_one(server: LatticeServer, ours: Certificates) -> None:
    error = refused(LatticeSettings(f"https://{server.endpoint}", ca=ours.ca))
    assert error.message == f"lattice at {server.endpoint} does not speak TLS"
    assert f"http://{server.endpoint}" in error.hint


@pytest.mark.parametrize("scheme", ["http://", ""])
def test_plain_with_one_that_speaks_tls(ours: Certificates, scheme: str) -> None:
    with LatticeServer(tls=ours.server()) as server:
        error = refused(LatticeSettings(f"{scheme}{server.endpoint}"))
    assert isinstance(error, UnreachableError)
    assert f"it may speak TLS: set lattice_endpoint to https://{server.endpoint}, and lattice_ca" in error.hint


def test_files_that_are_none(ours: Certificates, theirs: Certificates, tmp_path: Path) -> None:
    junk = tmp_path / "junk"
    junk.write_text("junk\n")
    cert, key = ours.client()
    _, other_key = theirs.client()
    cases: list[tuple[dict[str, Path], str]] = [
        ({"ca": junk}, f"lattice_ca: {junk}: holds no certificates (PEM)"),
        ({"ca": tmp_path / "none"}, f"lattice_ca: {tmp_path / 'none'}: No such file or directory"),
        ({"cert": cert}, "lattice_cert and lattice_key belong together"),
        ({"key": key}, "lattice_cert and lattice_key belong together"),
        ({"cert": cert, "key": other_key}, f"lattice_cert and lattice_key: {cert} and {other_key} are no certificate"),
        ({"cert": junk, "key": key}, f"lattice_cert and lattice_key: {junk} and {key} are no certificate and its key"),
    ]
    for files, expected in cases:
        error = refused(
            LatticeSettings("https://127.0.0.1:50051", ca=files.get("ca"), cert=files.get("cert"), key=files.get("key"))
        )
        assert isinstance(error, UsageError)
        assert error.message.startswith(expected)


def test_settings_are_called_what_they_are_called_where_they_are_set(tmp_path: Path) -> None:
    settings = LatticeSettings("https://127.0.0.1:50051", ca=tmp_path / "none", prefix="[lattice] ")
    assert refused(settings).message.startswith("[lattice] ca: ")


# -- where it is


@pytest.mark.parametrize(
    ("endpoint", "ca", "is_tls"),
    [
        ("lattice.example.org:50051", None, True),
        ("http://lattice.example.org:50051", None, False),
        ("https://lattice.example.org:50051/", None, True),
        ("10.0.0.1:50051", None, True),
        ("localhost:50051", None, False),
        ("127.0.0.1:50051", None, False),
        ("127.8.8.8:50051", None, False),
        ("[::1]:50051", None, False),
        ("https://[::1]:50051", None, True),
        ("localhost:50051", Path("/ca"), True),
        ("http://localhost:50051", Path("/ca"), False),
        ("localhost.example.org:50051", None, True),
        ("127.0.0.1.example.org:50051", None, True),
    ],
)
def test_without_a_scheme_it_is_tls_but_on_loopback(endpoint: str, ca: Path | None, is_tls: bool) -> None:
    assert Channel(LatticeSettings(endpoint, ca=ca), user="", timeout_s=1).is_tls is is_tls


@pytest.mark.parametrize("endpoint", ["", "h", "h:", ":1", "h:0", "h:65536", "h:99999", "http://h:1/x", "unix:/run/l"])
def test_no_endpoints(endpoint: str) -> None:
    with pytest.raises(UsageError, match=r"^lattice_endpoint .*: expected HOST:PORT, http"):
        Channel(LatticeSettings(endpoint), user="", timeout_s=1)


def test_nobody_is_there() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
        error = refused(LatticeSettings(address))
    assert isinstance(error, UnreachableError)
    assert error.message == f"lattice at {address} can't be reached: Connection refused"
    assert error.hint == "check lattice_endpoint"


def test_a_name_that_is_none() -> None:
    error = refused(LatticeSettings("http://no-such-host.invalid:50051"))
    assert isinstance(error, UnreachableError)
    assert error.message.startswith("lattice at no-such-host.invalid:50051 can't be reached: ")


# -- what is no lattice


def junk(connection: socket.socket) -> None:
    connection.sendall(b"\x00\xff junk \r\n" * 100)
    while connection.recv(4096):
        pass


def http_1(connection: socket.socket) -> None:
    connection.recv(4096)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    connection.close()


def ssh(connection: socket.socket) -> None:
    connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
    while connection.recv(4096):
        pass


@pytest.mark.parametrize("serve", [junk, http_1, ssh])
def test_what_speaks_something_else(listening: Listen, serve: Callable[[socket.socket], None]) -> None:
    address = listening(serve)
    plain = refused(LatticeSettings(f"http://{address}"))
    assert isinstance(plain, UnreachableError)
    assert plain.message == f"lattice at {address} does not speak gRPC"
    assert "50051" in plain.hint
    tls = refused(LatticeSettings(f"https://{address}"))
    assert tls.message == f"lattice at {address} does not speak TLS"


def test_what_hangs_up(listening: Listen) -> None:
    address = listening(lambda connection: connection.close())
    for scheme in ("http", "https"):
        error = refused(LatticeSettings(f"{scheme}://{address}"))
        assert isinstance(error, UnreachableError)
        assert error.message == f"lattice at {address} ends the connection at once"


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_what_accepts_and_says_nothing(listening: Listen, scheme: str) -> None:
    address = listening(lambda connection: None)
    error = refused(LatticeSettings(f"{scheme}://{address}"), timeout_s=0.5)
    assert isinstance(error, UnreachableError)
    assert error.message == f"lattice at {address} did not answer within 0.5 s"


def test_another_service_over_grpc(server: LatticeServer) -> None:
    server.fail["NodeService/Health"] = (Code.UNIMPLEMENTED, "Method not found!")
    error = refused(LatticeSettings(server.endpoint))
    assert error.message == f"lattice at {server.endpoint} does not know NodeService/Health"
    assert "gRPC port" in error.hint


@pytest.mark.parametrize("raw", [b"\xff\xff\xff", b"\x0a\xff", b"\x0a\x01", b"junk"])
def test_a_reply_that_is_no_message(server: LatticeServer, raw: bytes) -> None:
    server.raw["NodeService/Health"] = raw
    error = refused(LatticeSettings(server.endpoint))
    assert error.message.endswith("answers NodeService/Health with what is no message of lattice's")


def test_a_reply_that_is_too_large(server: LatticeServer) -> None:
    server.raw["NodeService/Health"] = b"\x0a\x80\x80\x80\x28" + bytes(80 << 20)
    error = refused(LatticeSettings(server.endpoint))
    assert error.message.endswith("sends more for NodeService/Health than the 64 MiB that are taken")


# -- who asks


def test_the_token_and_the_person_go_along(ours: Certificates) -> None:
    with LatticeServer(token="t0k3n", tls=ours.server()) as server:
        settings = LatticeSettings(f"https://{server.endpoint}", Secret("t0k3n"), ca=ours.ca)
        assert healthy(settings, user="alice@example.org") == "healthy"
    (_, sent), *_ = server.calls
    assert (sent["authorization"], sent["x-lattice-user"]) == ("Bearer t0k3n", "alice@example.org")
    assert "x-lattice-tenant" not in sent


def test_without_a_person_none_is_named(server: LatticeServer) -> None:
    healthy(LatticeSettings(server.endpoint), user="")
    assert not {"x-lattice-user", "authorization"} & server.calls[0][1].keys()


def test_a_name_that_metadata_can_t_carry_goes_encoded(server: LatticeServer) -> None:
    assert healthy(LatticeSettings(server.endpoint), user="jürgen@example.org") == "healthy"
    assert healthy(LatticeSettings(server.endpoint), user="a\nb") == "healthy"
    assert [sent["x-lattice-user"] for _, sent in server.calls] == ["j%C3%BCrgen@example.org", "a%0Ab"]


def test_a_token_is_wanted(server: LatticeServer) -> None:
    server.token = "t0k3n"
    none = refused(LatticeSettings(server.endpoint))
    assert isinstance(none, AuthError)
    assert none.message.startswith(f"lattice at {server.endpoint} wants a token: ")
    assert none.hint == "set PACT_LATTICE_TOKEN, or lattice_token"
    wrong = refused(LatticeSettings(server.endpoint, Secret("wr0ng")))
    assert isinstance(wrong, AuthError)
    assert wrong.message.startswith(f"lattice at {server.endpoint} refuses the token: ")
    assert "wr0ng" not in wrong.message + wrong.hint


@pytest.mark.parametrize("token", ["", "two words", "line\n", "tök"])
def test_what_can_be_no_token_is_not_sent(server: LatticeServer, token: str) -> None:
    error = refused(LatticeSettings(server.endpoint, Secret(token)))
    assert isinstance(error, AuthError)
    assert error.message.startswith("lattice's token ")
    assert server.calls == []


# -- how often, how long


def test_a_read_is_asked_again_when_lattice_is_not_available(server: LatticeServer, lattice: Lattice) -> None:
    server.fail_once["NodeService/Health"] = (Code.UNAVAILABLE, "starting")
    assert lattice.health().status == "healthy"
    assert server.called() == ["Health", "Health"]


def test_a_read_is_asked_three_times_at_most(server: LatticeServer, lattice: Lattice) -> None:
    server.fail["NodeService/Health"] = (Code.UNAVAILABLE, "no quorum")
    with pytest.raises(UnreachableError, match=r"can't do that now: no quorum$"):
        lattice.health()
    assert server.called() == ["Health"] * 3


ACTS: list[tuple[str, Callable[[Lattice], object]]] = [
    ("AllocationService/Cancel", lambda lattice: lattice.cancel_job("x", owner="alice")),
    ("AllocationService/CancelDag", lambda lattice: lattice.cancel_dag("x")),
    ("NodeService/DrainNode", lambda lattice: lattice.drain("n1", "why")),
    ("NodeService/UndrainNode", lambda lattice: lattice.undrain("n1")),
    ("NodeService/DisableNode", lambda lattice: lattice.disable("n1", "why")),
    ("NodeService/EnableNode", lambda lattice: lattice.enable("n1")),
    ("AdminService/CreateBackup", lambda lattice: lattice.create_backup("/b")),
    ("AdminService/RestoreBackup", lambda lattice: lattice.restore_backup("/b")),
]


@pytest.mark.parametrize(("method", "act"), ACTS)
@pytest.mark.parametrize("code", [Code.UNAVAILABLE, Code.INTERNAL, Code.ABORTED, Code.DEADLINE_EXCEEDED])
def test_an_act_is_never_repeated(
    server: LatticeServer, lattice: Lattice, method: str, act: Callable[[Lattice], object], code: Code
) -> None:
    server.fail[method] = (code, "not now")
    with pytest.raises(PactError):
        act(lattice)
    assert [name for name, _ in server.calls] == [method]


def test_every_method_of_ours_that_is_no_read_is_tried_above() -> None:
    reads = ("List", "Get", "Query", "Lookup", "Health", "BackupVerify")
    seeding = {"AllocationService/Submit", "NodeService/RegisterNode", "AdminService/CreateTenant"}
    acts = {name for name in METHODS if not name.split("/")[1].startswith(reads)}
    assert acts - seeding == {method for method, _ in ACTS}


@pytest.mark.parametrize(("method", "act"), ACTS)
def test_an_act_without_an_answer_may_have_been_done(
    server: LatticeServer, method: str, act: Callable[[Lattice], object]
) -> None:
    server.delay_s = 1
    with (
        Lattice(LatticeSettings(server.endpoint), user="alice", timeout_s=0.2) as lattice,
        pytest.raises(UnreachableError, match=r"did not answer within 0.2 s; whether it was done is not known$"),
    ):
        act(lattice)


def test_an_act_whose_connection_is_lost_may_have_been_done(server: LatticeServer, lattice: Lattice) -> None:
    server.delay_s = 1

    def end_when_called() -> None:
        while not server.calls:
            time.sleep(0.01)
        server.stop()

    ending = threading.Thread(target=end_when_called)
    ending.start()
    with pytest.raises(UnreachableError, match=r"was lost: .*; whether it was done is not known$") as caught:
        lattice.drain("n1", "why")
    ending.join()
    assert "look before you repeat it" in caught.value.hint
    assert server.called() == ["DrainNode"]


def test_it_has_to_be_open(server: LatticeServer) -> None:
    with pytest.raises(PactError, match="not open"):
        Lattice(LatticeSettings(server.endpoint)).health()
