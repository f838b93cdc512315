"""A real OpenID provider on loopback (npm's `oidc-provider`), and people with browsers who sign in there."""

from __future__ import annotations

import fcntl
import json
import select
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from msgspec.structs import replace

from pactsh.auth.oidc.provider import Provider as Issuer
from pactsh.auth.oidc.signin import SignIn

HERE = Path(__file__).parent
LIMIT_S = 60.0
START_S = 30.0
OLDEST_NODE = 20
SECRET = "not for people"
PEOPLE: dict[str, dict[str, Any]] = {
    "alice@org": {"groups": ["hpc-ops"]},
    "bob@org": {"groups": ["hpc-ops"]},
    "root@org": {"groups": ["hpc-admins"]},
    "eve@org": {"groups": ["staff"]},
}
GROUPS = {"hpc-ops": ("pact-ops-ml",), "hpc-admins": ("pact-platform-admin",)}


class Provider:
    """One that runs. `people` may sign in with any password."""

    def __init__(self, directory: Path, *, port: int = 0, **options: Any) -> None:
        self.ca, key = _certificate(directory)
        given: dict[str, Any] = {
            "cert": str(self.ca),
            "key": str(key),
            "port": port,
            "people": PEOPLE,
            "access_s": 3600,
            "resource": "urn:pact-journal",
            "secret": SECRET,
        }
        self._log = directory / "issuer.log"
        words = ["node", str(HERE / "provider.mjs"), json.dumps(given | options)]
        # Seen once: a node that hangs before it runs a line. Another one does not.
        self.issuer = self._start(words) or self._start(words)
        if not self.issuer.startswith("https://"):
            self.close()
            pytest.fail(f"the OpenID provider did not start: {self._log.read_text()}")

    def _start(self, words: list[str]) -> str:
        """Start it, and return the name that it goes by; "" if it does not say one in time."""
        with self._log.open("ab") as log:
            pipe = subprocess.PIPE
            self._process = subprocess.Popen(words, stdin=pipe, stdout=pipe, stderr=log, text=True)
        assert self._process.stdout is not None
        if select.select([self._process.stdout], [], [], START_S)[0]:
            return self._process.stdout.readline().strip()
        self.close()
        return ""

    def tell(self, word: str) -> str:
        """`rotate`: sign with other keys from now on; `block`: answer nobody; `count`: how often somebody asked for the
        keys."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(word + "\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().strip()

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()

    def browser(self) -> Browser:
        """One that trusts it."""
        return Browser(self.ca)

    def known(self) -> Issuer:
        """What `pact login` is told of it."""
        return Issuer(self.issuer, "pact", resource="urn:pact-journal", ca=self.ca.read_text())

    def settings(self, **more: Any) -> dict[str, Any]:
        """An `[[oidc]]` of a journal that trusts it."""
        issuer = {"issuer": self.issuer, "ca": self.ca, "resource": "urn:pact-journal", "groups": GROUPS}
        return {**issuer, "clients": {"ci-bot": ("pact-ops-ml",)}, **more}


class Browser:
    """Follows links and fills in forms; each time it knows nobody."""

    def __init__(self, ca: Path) -> None:
        self._tls = ssl.create_default_context(cafile=str(ca))

    def sign_in(self, url: str, name: str, *, stop_at: str = "") -> str:
        """Open `url`, sign in as `name` and agree to everything; returns the last page, or with `stop_at` the address
        that begins with it, unopened."""
        with httpx2.Client(verify=self._tls, timeout=LIMIT_S, trust_env=False) as client:
            answer = client.get(url)
            for _ in range(20):
                if answer.is_redirect:
                    target = urljoin(str(answer.url), answer.headers["location"])
                    if stop_at and target.startswith(stop_at):
                        return target
                    answer = client.get(target)
                    continue
                form = _Form(answer.text)
                if form.action is None:
                    return answer.text
                person = {"login": name, "password": "x"} if "login" in form.values else {}
                answer = client.post(urljoin(str(answer.url), form.action), data=form.values | person)
        raise AssertionError(f"no end of forms: {answer.text[:2000]}")


class _Form(HTMLParser):
    """The first form of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.action: str | None = None
        self.values: dict[str, str] = {}
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "form" and self.action is None:
            self.action = found.get("action") or ""
        if tag == "input" and (name := found.get("name")):
            self.values.setdefault(name, found.get("value") or "")


def provider(directory: Path, **options: Any) -> Iterator[Provider]:
    """For fixtures: runs until the test is over. Skips where node or npm is not here."""
    if shutil.which("npm") is None or _node_version() < OLDEST_NODE:
        pytest.skip(f"needs npm and node {OLDEST_NODE} or newer for a real OpenID provider")
    _install()
    running = Provider(directory, **options)
    try:
        yield running
    finally:
        running.close()


def _node_version() -> int:
    """Its major version, 0 without one."""
    if shutil.which("node") is None:
        return 0
    told = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout
    return int(told.removeprefix("v").partition(".")[0])


def _install() -> None:
    """Get what package-lock.json names, once; others who want it wait."""
    modules = HERE / "node_modules"
    with (HERE / "package.json").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (modules / ".package-lock.json").exists():
            command = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
            done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, timeout=300, check=False)
            if done.returncode != 0:
                pytest.skip(f"needs npm's oidc-provider, which could not be installed: {done.stderr[-300:]}")


def _certificate(directory: Path) -> tuple[Path, Path]:
    """A certificate for localhost that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    directory.mkdir(parents=True, exist_ok=True)
    paths = directory / "issuer.pem", directory / "issuer.key"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return paths


@contextmanager
def without_answer(running: Provider) -> Iterator[None]:
    """While it answers nobody."""
    running.tell("block")
    try:
        yield
    finally:
        running.tell("go on")


def token_of(op: Provider, name: str, **more: Any) -> str:
    """Sign in as a person, by browser."""
    known = replace(op.known(), **more)
    acting: list[threading.Thread] = []

    def show(url: str) -> None:
        acting.append(threading.Thread(target=op.browser().sign_in, args=(url, name)))
        acting[0].start()

    tokens = SignIn(known).by_browser(show)
    acting[0].join()
    return tokens.token


def service_token(op: Provider) -> str:
    """The token of a program."""
    return SignIn(replace(op.known(), client_id="ci-bot", scopes=()), secret=SECRET).as_service().token
