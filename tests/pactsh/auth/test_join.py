"""Join tokens: one node, one use, limited time."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pactsh.auth.join import JoinTokens
from pactsh.errors import AuthError, UsageError

NOW = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)


def opened(directory: Path, *, later_s: float = 0) -> JoinTokens:
    return JoinTokens(directory, clock=lambda: NOW + timedelta(seconds=later_s))


def test_a_token_is_good_once_for_its_node(tmp_path: Path) -> None:
    tokens = opened(tmp_path / "join")
    token = tokens.create("node042", "ml", 60)
    for node, vcluster in (("node043", ""), ("node042", "other"), ("node042", "m"), ("node042", "ml ")):
        with pytest.raises(AuthError):
            tokens.consume(token, node, vcluster)
    joining = tokens.consume(token, "node042", "ml")
    assert (joining.vcluster, joining.issued_at) == ("ml", NOW.timestamp())
    with pytest.raises(AuthError):
        tokens.consume(token, "node042")
    with pytest.raises(AuthError):
        opened(tmp_path / "join").consume(token, "node042")


def test_a_token_ends(tmp_path: Path) -> None:
    token = opened(tmp_path / "join").create("node042", "ml", 60)
    with pytest.raises(AuthError):
        opened(tmp_path / "join", later_s=60).consume(token, "node042")
    opened(tmp_path / "join", later_s=59).consume(token, "node042")


def test_expired_tokens_do_not_pile_up(tmp_path: Path) -> None:
    opened(tmp_path / "join").create("node042", "ml", 60)
    opened(tmp_path / "join", later_s=61).create("node043", "ml", 60)
    assert len(list((tmp_path / "join").iterdir())) == 1


def test_a_token_that_names_no_vcluster_is_good_for_nothing(tmp_path: Path) -> None:
    """Versions before made such ones: a node could say by itself where it belongs."""
    tokens = opened(tmp_path / "join")
    token = tokens.create("node042", "ml")
    (path,) = (tmp_path / "join").iterdir()
    path.write_text('{"node": "node042", "expires_at": 99999999999}')
    with pytest.raises(AuthError):
        tokens.consume(token, "node042")
    tokens.create("node043", "ml")
    assert not path.exists()


def test_nothing_on_disk_is_the_token(tmp_path: Path) -> None:
    tokens = opened(tmp_path / "join")
    token = tokens.create("node042", "ml")
    (path,) = (tmp_path / "join").iterdir()
    secret = token.removeprefix("pact-join-")
    assert len(secret) >= 22  # 128 bits in base64
    assert secret not in path.name + path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    for guess in ("", path.name, path.read_text(), token[:-1], token + "x", "../" + path.name, "\udcff", "\0"):
        with pytest.raises(AuthError):
            tokens.consume(guess, "node042")
    assert tokens.create("node042", "ml") != token


def test_refusals_do_not_say_which_reason(tmp_path: Path) -> None:
    tokens = opened(tmp_path / "join")
    token = tokens.create("node042", "ml", 60)
    attempts = [(tokens, "pact-join-x", "node042"), (tokens, token, "node043")]
    attempts.append((opened(tmp_path / "join", later_s=99), token, "node042"))
    said = set()
    for asked, text, node in attempts:
        with pytest.raises(AuthError) as caught:
            asked.consume(text, node)
        said.add(caught.value.message)
        assert token not in caught.value.message + caught.value.detail
    assert len(said) == 1


def _try(directory: Path, token: str) -> bool:
    try:
        opened(directory).consume(token, "node042")
    except AuthError:
        return False
    return True


def test_of_racing_processes_one_wins(tmp_path: Path) -> None:
    tokens = opened(tmp_path / "join")
    context = multiprocessing.get_context("forkserver")
    with ProcessPoolExecutor(4, mp_context=context) as pool:
        for _round in range(20):
            token = tokens.create("node042", "ml")
            won = list(pool.map(_try, [tmp_path / "join"] * 8, [token] * 8))
            assert won.count(True) == 1


def test_bad_requests_and_places(tmp_path: Path) -> None:
    tokens = opened(tmp_path / "join")
    for ttl_s in (0, -1, 30 * 86400 + 1):
        with pytest.raises(UsageError):
            tokens.create("node042", "ml", ttl_s)
    with pytest.raises(AuthError):
        tokens.create("../x", "ml")
    for vcluster in ("", "ML", "a/b", "x" * 64):
        with pytest.raises(UsageError, match="vCluster"):
            tokens.create("node042", vcluster)
    (tmp_path / "join").chmod(0o755)
    with pytest.raises(UsageError, match="others"):
        opened(tmp_path / "join")
