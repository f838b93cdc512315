"""`pact login` and `pact logout`, typed by a person, at a real OpenID provider and a real journal."""

from __future__ import annotations

import json
import re
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.oidc.issuer import GROUPS, SECRET, Provider, provider
from tests.pactsh.cli.conftest import RunningJournal, serving
from tests.pactsh.cli.program import PACT, clean_environment, run_pact

LIMIT_S = 60.0
SERVICE = {"PACT_CLIENT_ID": "ci-bot", "PACT_CLIENT_SECRET": SECRET}


@pytest.fixture(scope="module")
def op(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    yield from provider(tmp_path_factory.mktemp("op"))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, op: Provider) -> Iterator[RunningJournal]:
    with trusting(tmp_path_factory.mktemp("j"), op) as journal:
        yield journal


@contextmanager
def trusting(place: Path, *ops: Provider, **more: object) -> Iterator[RunningJournal]:
    """A journal that trusts these."""
    lines: list[str] = []
    for op in ops:
        lines += ["[[oidc]]", f'issuer = "{op.issuer}"', f'ca = "{op.ca}"', 'resource = "urn:pact-journal"']
        lines += [f"{name} = {json.dumps(value)}" for name, value in more.items()]
        lines += [f'domain = "{op.ca.parent.name}"'] if len(ops) > 1 else []
        lines += ["[oidc.groups]", *(f"{name} = {json.dumps(roles)}" for name, roles in GROUPS.items())]
        lines += ["[oidc.clients]", 'ci-bot = ["pact-viewer-ml"]'] if len(ops) == 1 else []
    config = place / "journal.toml"
    config.write_text("\n".join(lines) + "\n")
    with serving(place, config) as journal:
        yield journal


def env_of(journal: RunningJournal, **more: str) -> dict[str, str]:
    return {"PACT_ENDPOINT": journal.endpoint, "PACT_CA": str(journal.ca), **more}


def browser(place: Path, op: Provider, name: str) -> str:
    """What BROWSER says: a program that signs in as `name`."""
    root = Path(__file__).parents[3]
    program = place / f"browser-{name}"
    program.write_text(
        f"#!{sys.executable}\nimport sys\nfrom pathlib import Path\nsys.path.insert(0, {str(root)!r})\n"
        f"from tests.oidc.issuer import Browser\nBrowser(Path({str(op.ca)!r})).sign_in(sys.argv[1], {name!r})\n"
    )
    program.chmod(0o755)
    return f"{program} %s"


def signed_in(home: Path, op: Provider, journal: RunningJournal, *words: str) -> dict[str, str]:
    """Sign in as alice by browser; the environment from then on."""
    env = env_of(journal)
    done = run_pact(home, "login", *words, env=env | {"BROWSER": browser(home, op, "alice@org")})
    assert done.returncode == 0, done.stderr
    return env


def waiting(home: Path, journal: RunningJournal, *words: str) -> subprocess.Popen[str]:
    """A `pact` that somebody is looking at."""
    pipe, env = subprocess.PIPE, clean_environment(home, env_of(journal))
    return subprocess.Popen([PACT, *words], env=env, stdout=pipe, stderr=pipe, text=True)


def kept(home: Path) -> Path:
    (path,) = (home / ".local/state/pact/logins").glob("*.json")
    return path


def ages(home: Path) -> None:
    """Have the sign-in's token end soon."""
    login = msgspec.json.decode(kept(home).read_bytes())
    login["expires_at"] = time.time() + 5
    kept(home).write_bytes(msgspec.json.encode(login))


def test_sign_in_act_sign_out(tmp_path: Path, op: Provider, site: RunningJournal) -> None:
    env = env_of(site)
    refused = run_pact(tmp_path, "log", env=env)
    assert (refused.returncode, refused.stderr.splitlines()[1]) == (2, "hint: pact login, or set PACT_TOKEN")
    done = run_pact(tmp_path, "login", env=env | {"BROWSER": browser(tmp_path, op, "alice@org")})
    assert (done.returncode, done.stdout) == (0, "Signed in as alice@org (pact-ops-ml)\n"), done.stderr
    assert "Your browser shows https://localhost" in done.stderr
    who = run_pact(tmp_path, "whoami", env=env).stdout
    assert who.startswith("alice@org (pact-ops-ml)\nhuman, by token, verified by journal ")
    for path in (tmp_path / ".local/state/pact").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) in {0o600, 0o700}, path
    out = run_pact(tmp_path, "logout", env=env)
    assert (out.returncode, out.stdout.splitlines()[0]) == (0, f"Revoked at {op.issuer}"), out.stderr
    assert run_pact(tmp_path, "whoami", env=env).returncode == 2


def test_without_a_screen_the_address_is_shown(tmp_path: Path, op: Provider, site: RunningJournal) -> None:
    with waiting(tmp_path, site, "login", "--output", "json") as process:
        assert process.stderr is not None
        shown = process.stderr.readline()
        assert shown.startswith("Open in a browser on this machine: https://localhost")
        assert "--device-code" in process.stderr.readline()
        op.browser().sign_in(shown.split()[-1], "root@org")
        out, err = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 0, err
    assert json.loads(out) == {
        "principal": "root@org",
        "roles": ["pact-platform-admin"],
        "kind": "human",
        "issuer": op.issuer,
        "journal": site.endpoint,
        "renews": True,
    }


def test_on_another_device(tmp_path: Path, op: Provider, site: RunningJournal) -> None:
    with waiting(tmp_path, site, "login", "--device-code") as process:
        assert process.stderr is not None
        shown = re.fullmatch(r"On any device open (\S+) and enter the code (\S+)\n", process.stderr.readline())
        assert shown is not None
        whole = process.stderr.readline().split()[-1]
        assert whole.startswith(shown[1])
        assert shown[2] in whole
        op.browser().sign_in(whole, "bob@org")
        out, err = process.communicate(timeout=LIMIT_S)
    assert (process.returncode, out) == (0, "Signed in as bob@org (pact-ops-ml)\n"), err


def test_interrupted_it_leaves_nothing(tmp_path: Path, site: RunningJournal) -> None:
    with subprocess.Popen(
        [PACT, "login"],
        env=clean_environment(tmp_path, env_of(site)),
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        process.stderr.readline()
        process.send_signal(2)
        process.communicate(timeout=LIMIT_S)
    assert process.returncode == 130
    assert not list(tmp_path.rglob("logins/*.json"))


def test_a_service(tmp_path: Path, site: RunningJournal) -> None:
    env = env_of(site)
    done = run_pact(tmp_path, "login", "--service-account", env=env | SERVICE)
    assert (done.returncode, done.stdout) == (0, "Signed in as service:ci-bot (pact-viewer-ml)\n"), done.stderr
    assert SECRET not in kept(tmp_path).read_text()
    assert run_pact(tmp_path, "whoami", env=env).stdout.splitlines()[1].startswith("service, by token")
    ages(tmp_path)
    ended = run_pact(tmp_path, "log", env=env)
    assert (ended.returncode, "the sign-in of ci-bot has ended" in ended.stderr) == (2, True)
    assert run_pact(tmp_path, "log", env=env | SERVICE).returncode == 0
    assert run_pact(tmp_path, "log", env=env).returncode == 0, "it has a new one"


def test_its_secret_may_be_in_a_file(tmp_path: Path, site: RunningJournal) -> None:
    path = tmp_path / "secret"
    path.write_text(SECRET + "\n")
    env = env_of(site, PACT_CLIENT_ID="ci-bot", PACT_CLIENT_SECRET_FILE=str(path))
    path.chmod(0o644)
    refused = run_pact(tmp_path, "login", "--service-account", env=env)
    assert (refused.returncode, str(path) in refused.stderr) == (1, True)
    path.chmod(0o600)
    assert run_pact(tmp_path, "login", "--service-account", env=env).returncode == 0


def test_a_wrong_secret_is_refused_and_not_shown(tmp_path: Path, site: RunningJournal) -> None:
    env = env_of(site, PACT_CLIENT_ID="ci-bot", PACT_CLIENT_SECRET="gu3ssed-and-wrong")
    done = run_pact(tmp_path, "login", "--service-account", env=env)
    assert (done.returncode, "refused" in done.stderr) == (2, True)
    assert "gu3ssed" not in done.stdout + done.stderr


def test_who_has_no_role_is_not_signed_in(tmp_path: Path, op: Provider, site: RunningJournal) -> None:
    done = run_pact(tmp_path, "login", env=env_of(site, BROWSER=browser(tmp_path, op, "eve@org")))
    assert (done.returncode, "eve@org has no role that pact knows" in done.stderr) == (2, True)
    assert not list(tmp_path.rglob("logins/*.json"))


def test_tokens_follow_each_other_however_many_ask(tmp_path: Path, op: Provider, site: RunningJournal) -> None:
    """Refresh tokens are good for one use here: of several that ask at once, one may use it."""
    env = signed_in(tmp_path, op, site)
    certificates = set((tmp_path / ".local/state/pact/ssh").iterdir())
    for _ in range(2):
        before = kept(tmp_path).read_bytes()
        ages(tmp_path)
        with ThreadPoolExecutor(4) as pool:
            results = list(pool.map(lambda _: run_pact(tmp_path, "log", env=env).returncode, range(4)))
        assert results == [0, 0, 0, 0]
        assert kept(tmp_path).read_bytes() != before
    assert run_pact(tmp_path, "whoami", env=env).returncode == 0
    assert set((tmp_path / ".local/state/pact/ssh").iterdir()) == certificates, "of the sign-in, not of each token"


def test_a_sign_in_that_the_issuer_has_ended_says_so(tmp_path: Path, op: Provider, site: RunningJournal) -> None:
    env = signed_in(tmp_path, op, site)
    login = msgspec.json.decode(kept(tmp_path).read_bytes())
    kept(tmp_path).write_bytes(msgspec.json.encode(login | {"refresh_token": "x" * 43, "expires_at": 0}))
    done = run_pact(tmp_path, "log", env=env)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (2, "hint: pact login")


def test_what_one_journal_takes_is_not_shown_to_another(tmp_path: Path, op: Provider, site: RunningJournal) -> None:
    env = signed_in(tmp_path, op, site)
    with trusting(tmp_path, op) as other:
        assert run_pact(tmp_path, "log", env=env_of(other)).returncode == 2
    assert run_pact(tmp_path, "log", env=env).returncode == 0


def test_others_may_not_read_it(tmp_path: Path, op: Provider, site: RunningJournal) -> None:
    env = signed_in(tmp_path, op, site)
    kept(tmp_path).chmod(0o640)
    done = run_pact(tmp_path, "log", env=env)
    assert (done.returncode, str(kept(tmp_path)) in done.stderr) == (1, True)
    kept(tmp_path).chmod(0o600)
    kept(tmp_path).write_text("{")
    done = run_pact(tmp_path, "log", env=env)
    assert (done.returncode, "no sign-in that this version can read" in done.stderr) == (2, True)


def test_of_several_issuers_one_is_named(tmp_path: Path, op: Provider) -> None:
    for second in provider(tmp_path / "org"):
        with trusting(tmp_path, op, second) as journal:
            done = run_pact(tmp_path, "login", env=env_of(journal))
            assert (done.returncode, "name one: --issuer URL" in done.stderr) == (1, True)
            done = run_pact(tmp_path, "login", "--issuer", "https://x.example", env=env_of(journal))
            assert (done.returncode, "does not trust https://x.example" in done.stderr) == (1, True)
            signed_in(tmp_path, second, journal, "--issuer", second.issuer)
            foreign = env_of(journal, BROWSER=browser(tmp_path, op, "alice@org"))
            done = run_pact(tmp_path, "login", "--issuer", op.issuer, env=foreign)
            assert (done.returncode, f"speaks for people of {op.ca.parent.name} alone" in done.stderr) == (2, True)


def test_a_journal_without_issuers_says_what_to_do(tmp_path: Path, seeded: RunningJournal) -> None:
    done = run_pact(tmp_path, "login", env=env_of(seeded))
    assert (done.returncode, done.stderr.splitlines()[0]) == (1, "pact: login: the journal trusts no issuer")


def test_an_issuer_that_is_gone_is_status_5_and_the_token_goes_on(tmp_path: Path) -> None:
    for op in provider(tmp_path / "op"):
        with trusting(tmp_path, op) as journal:
            env = signed_in(tmp_path, op, journal)
            op.close()
            ages(tmp_path)
            assert run_pact(tmp_path, "log", env=env).returncode == 0, "it is good for some seconds yet"
            login: dict[str, Any] = msgspec.json.decode(kept(tmp_path).read_bytes())
            kept(tmp_path).write_bytes(msgspec.json.encode(login | {"expires_at": 0}))
            done = run_pact(tmp_path, "log", env=env)
            assert (done.returncode, "can't be reached" in done.stderr) == (5, True)
            done = run_pact(tmp_path, "login", env=env)
            assert (done.returncode, "can't be reached" in done.stderr) == (5, True)
            done = run_pact(tmp_path, "logout", env=env)
            assert (done.returncode, "signed out here, but not revoked" in done.stderr) == (5, True)
            assert not list(tmp_path.rglob("logins/*.json"))


def test_a_token_that_is_given_goes_before_it(tmp_path: Path, op: Provider, site: RunningJournal) -> None:
    env = env_of(site, BROWSER=browser(tmp_path, op, "alice@org"), PACT_TOKEN="x.y.z")
    done = run_pact(tmp_path, "login", env=env)
    assert (done.returncode, "goes before this sign-in" in done.stderr) == (0, True)
    assert run_pact(tmp_path, "log", env=env).returncode == 2
