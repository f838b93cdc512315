"""What is kept between runs of `pact`, with a real authority behind it."""

import asyncio
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pactsh.auth.ca import Authority
from pactsh.auth.credentials import Credentials, SshCredentials
from pactsh.auth.state import binding_of
from pactsh.errors import AuthError, UsageError
from pactsh.model.identity import Identity

NOW = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)
ALICE = Identity("alice@org", ("pact-ops-ml",), "human", "token")
BINDING = binding_of("localhost:9443", "token-a")


class Signing:
    """The journal's answer without the wire: the real authority signs."""

    def __init__(self, directory: Path, *, identity: Identity = ALICE, lifetime_s: int = 3600) -> None:
        self.authority = Authority.create(directory)
        self.identity = identity
        self.lifetime_s = lifetime_s
        self.now = NOW
        self.asked: list[str] = []

    async def sign_user(self, public_key: str, /) -> str:
        self.asked.append(public_key)
        await asyncio.sleep(0)
        return self.authority.sign_ssh_user(
            public_key, self.identity, lifetime_s=self.lifetime_s, serial=len(self.asked), now=self.now
        )


def ensure(directory: Path, signing: Signing, now: datetime = NOW, binding: str = BINDING) -> SshCredentials:
    return asyncio.run(Credentials(directory).ensure_ssh_certificate(signing, now, binding=binding))


@pytest.fixture
def signing(tmp_path: Path) -> Signing:
    return Signing(tmp_path / "ca")


def test_a_certificate_is_reused_until_ten_minutes_before_its_end(tmp_path: Path, signing: Signing) -> None:
    first = ensure(tmp_path / "pact", signing)
    assert (first.principal, first.expires_at) == ("alice@org", NOW + timedelta(hours=1))
    line, key = first.certificate.read_text(), first.key.read_bytes()
    assert ensure(tmp_path / "pact", signing, NOW + timedelta(minutes=49)) == first
    assert len(signing.asked) == 1
    signing.now = NOW + timedelta(minutes=51)
    renewed = ensure(tmp_path / "pact", signing, signing.now)
    assert renewed.expires_at == signing.now + timedelta(hours=1)
    assert renewed.certificate.read_text() != line
    assert renewed.key.read_bytes() == key  # an ssh that has just read the key must go on working


def test_a_short_certificate_is_not_asked_for_at_every_run(tmp_path: Path, signing: Signing) -> None:
    signing.lifetime_s = 300
    ensure(tmp_path / "pact", signing)
    ensure(tmp_path / "pact", signing, NOW + timedelta(seconds=100))
    assert len(signing.asked) == 1
    signing.now = NOW + timedelta(seconds=150)
    assert ensure(tmp_path / "pact", signing, signing.now).expires_at == NOW + timedelta(seconds=450)


def test_an_expired_certificate_takes_its_key_along(tmp_path: Path, signing: Signing) -> None:
    key = ensure(tmp_path / "pact", signing).key.read_bytes()
    signing.now = NOW + timedelta(hours=2)
    assert ensure(tmp_path / "pact", signing, signing.now).key.read_bytes() != key


def test_openssh_accepts_key_and_certificate_together(tmp_path: Path, signing: Signing) -> None:
    made = ensure(tmp_path / "pact", signing)
    assert made.certificate.name == made.key.name + "-cert.pub"  # where ssh(1) looks by itself
    derived = subprocess.run(["ssh-keygen", "-y", "-f", made.key], check=True, capture_output=True, text=True)
    assert derived.stdout.split()[1] == made.key.with_suffix(".pub").read_text().split()[1]
    shown = subprocess.run(["ssh-keygen", "-L", "-f", made.certificate], check=True, capture_output=True, text=True)
    assert "role=pact-ops-ml" in shown.stdout


def test_another_login_gets_another_certificate(tmp_path: Path, signing: Signing) -> None:
    ensure(tmp_path / "pact", signing)
    signing.identity = Identity("bob@org", (), "human", "token")
    other = ensure(tmp_path / "pact", signing, binding=binding_of("localhost:9443", "token-b"))
    assert other.principal == "bob@org"
    third = ensure(tmp_path / "pact", signing, binding=binding_of("elsewhere:9443", "token-b"))
    assert third.principal == "bob@org"
    assert len(signing.asked) == 3
    assert "token" not in third.certificate.read_text()


def test_of_concurrent_runs_one_asks(tmp_path: Path, signing: Signing) -> None:
    async def many() -> list[SshCredentials]:
        runs = (Credentials(tmp_path / "pact").ensure_ssh_certificate(signing, NOW, binding=BINDING) for _ in range(16))
        return await asyncio.gather(*runs)

    assert len(set(asyncio.run(many()))) == 1
    assert len(signing.asked) == 1


def test_a_lock_of_a_killed_process_is_free(tmp_path: Path, signing: Signing) -> None:
    ssh = tmp_path / "pact" / "ssh" / BINDING
    for directory in (ssh.parents[1], ssh.parent, ssh):
        directory.mkdir(mode=0o700)
    program = (
        "import fcntl,os,sys;f=open(sys.argv[1],'w');fcntl.flock(f,2);print('held',flush=True);os.kill(os.getpid(),9)"
    )
    subprocess.run([sys.executable, "-c", program, ssh / "lock"], check=False, stdout=subprocess.DEVNULL)
    assert ensure(tmp_path / "pact", signing).principal == "alice@org"


def test_all_is_private(tmp_path: Path, signing: Signing) -> None:
    old = os.umask(0)
    try:
        ensure(tmp_path / "state" / "pact", signing)
    finally:
        os.umask(old)
    for path in (tmp_path / "state").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path


@pytest.mark.parametrize(
    "name", [f"ssh/{BINDING}/id_ed25519", f"ssh/{BINDING}/id_ed25519-cert.pub", f"ssh/{BINDING}", "ssh", ""]
)
def test_what_others_may_read_is_refused(tmp_path: Path, signing: Signing, name: str) -> None:
    ensure(tmp_path / "pact", signing)
    path = tmp_path / "pact" / name
    path.chmod(path.stat().st_mode | 0o040)
    with pytest.raises(UsageError, match="others may read it"):
        ensure(tmp_path / "pact", signing)


@pytest.mark.parametrize("name", ["id_ed25519", "id_ed25519-cert.pub"])
@pytest.mark.parametrize("content", [b"", b"garbage", b"\xff\xff \xff x"])
def test_damage_is_repaired_by_renewing(tmp_path: Path, signing: Signing, name: str, content: bytes) -> None:
    ensure(tmp_path / "pact", signing)
    (tmp_path / "pact" / "ssh" / BINDING / name).write_bytes(content)
    again = ensure(tmp_path / "pact", signing)
    assert len(signing.asked) == 2
    subprocess.run(["ssh-keygen", "-y", "-f", again.key], check=True, capture_output=True)


def test_an_answer_that_is_not_our_certificate_is_refused(tmp_path: Path, signing: Signing) -> None:
    class Answering:
        def __init__(self, answer: str) -> None:
            self.answer = answer

        async def sign_user(self, _public_key: str, /) -> str:
            return self.answer

    ensure(tmp_path / "other", signing)
    foreign = (tmp_path / "other" / "ssh" / BINDING / "id_ed25519-cert.pub").read_text()
    public = (tmp_path / "other" / "ssh" / BINDING / "id_ed25519.pub").read_text()
    host = signing.authority.sign_ssh_host(public, ["node042"])
    for answer in ("", "garbage", public, foreign, host, "é"):
        with pytest.raises(AuthError):
            asyncio.run(Credentials(tmp_path / "pact").ensure_ssh_certificate(Answering(answer), NOW, binding=BINDING))
        assert not (tmp_path / "pact" / "ssh" / BINDING / "id_ed25519-cert.pub").exists()


@pytest.mark.parametrize("skew", [timedelta(hours=-2), timedelta(hours=2)])
def test_a_wrong_clock_is_called_that(tmp_path: Path, signing: Signing, skew: timedelta) -> None:
    with pytest.raises(AuthError, match="clock says") as caught:
        ensure(tmp_path / "pact", signing, NOW + skew)
    assert "clock" in caught.value.hint


def test_what_is_kept_is_forgotten(tmp_path: Path, signing: Signing) -> None:
    credentials = Credentials(tmp_path / "pact")
    ensure(tmp_path / "pact", signing)
    credentials.forget()
    credentials.forget()
    assert [path.name for path in (tmp_path / "pact" / "ssh").glob("*/*")] == []
