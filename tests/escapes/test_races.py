"""Names that change between the look at them and the opening: a secret's content never comes out."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.escapes.cage import bounds_of, caged
from tests.pact_agent.localnode import IS_ROOT, LocalNode, running

RUNS = 80
OPENS = 20000
HARMLESS = Path("/etc/hostname")
SHADOW = Path("/etc/shadow")

pytestmark = pytest.mark.skipif(not IS_ROOT, reason="masks are root's: run the tests as root")


@contextmanager
def flipping(link: Path, first: Path, second: Path) -> Iterator[None]:
    """A link that leads to the one and to the other, as fast as it can be made to."""
    stop = threading.Event()
    link.symlink_to(first)

    def flip() -> None:
        turn = 0
        while not stop.is_set():
            turn += 1
            fresh = link.with_name("fresh")
            fresh.symlink_to((first, second)[turn % 2])
            fresh.replace(link)

    thread = threading.Thread(target=flip)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def both_are_seen(link: Path, first: bytes, second: bytes) -> bool:
    """The control: whoever opens the link outside sees now the one, now the other."""
    seen: set[bytes] = set()
    for _ in range(200_000):
        seen.add(link.read_bytes())
        if len(seen) > 1:
            break
    return seen == {first, second}


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalNode]:
    yield from running(LocalNode(tmp_path_factory.mktemp("n"), "[limits]\nspool_bytes = 16777216\n"))


def _link_itself(directory: Path) -> tuple[Path, Path, Path, Path]:
    return directory / "link", HARMLESS, SHADOW, directory / "link"


def _link_above(directory: Path) -> tuple[Path, Path, Path, Path]:
    """The directory is the link: the name in it stays the same."""
    (directory / "mine").mkdir()
    (directory / "mine" / "shadow").write_bytes(HARMLESS.read_bytes())
    return directory / "above", directory / "mine", SHADOW.parent, directory / "above" / "shadow"


@pytest.mark.parametrize("kind", [_link_itself, _link_above], ids=["link", "directory"])
def test_a_link_that_changes_while_commands_run_shows_no_secret(
    node: LocalNode, tmp_path: Path, kind: Callable[[Path], tuple[Path, Path, Path, Path]]
) -> None:
    """Decided by its name, opened by the command: in between it leads elsewhere."""
    link, first, second, name = kind(tmp_path)
    harmless, secret = HARMLESS.read_bytes(), SHADOW.read_bytes()
    lines = [line for line in secret.splitlines() if len(line) > 8]
    assert lines, "a shadow file without users proves nothing"
    with flipping(link, first, second), node.connect() as wire:
        raced = both_are_seen(name, harmless, secret)
        assert raced, "outside the race must be there to be lost"  # nothing here may print the file
        wire.send({"op": "session", "kind": "script", "term": "dumb"})
        wire.until("session")
        read = refused = 0
        for _ in range(RUNS):
            _, output = wire.run(f"cat {name}")
            leaked = any(line in output for line in lines)
            assert not leaked
            read += output == harmless
            refused += b"Permission denied" in output
    # Both sides of the race came up, else nothing was raced for.
    assert read > 0
    assert refused > 0


def test_nor_in_many_openings_of_one_process(tmp_path: Path) -> None:
    secret, harmless = tmp_path / "secret", tmp_path / "harmless"
    secret.write_text("pact-secret-d00d\n")
    harmless.write_text("harmless\n")
    # As many as that, and on until both have come: on a busy machine the link may stand still for a while.
    script = (
        f"for my $n (1..{50 * OPENS}) {{ $seen{{open(F, '<', '{tmp_path}/link') ? scalar <F> : \"$!\\n\"}} = 1;"
        f" last if $n >= {OPENS} && keys %seen > 1 }} print keys %seen"
    )
    for cage in caged(tmp_path, (str(secret),)):
        with flipping(tmp_path / "link", harmless, secret):
            assert both_are_seen(tmp_path / "link", b"harmless\n", b"pact-secret-d00d\n")
            ended = cage.run(("/usr/bin/perl", "-e", script), bounds_of("cat /etc/hostname"))
    seen = set(ended.text.splitlines())
    assert seen == {"harmless", "Permission denied"}


def test_nor_while_the_secret_itself_is_renamed_back_and_forth(tmp_path: Path) -> None:
    """The mask goes along with the file that it covers."""
    secret = tmp_path / "secret"
    secret.write_text("pact-secret-d00d\n")
    stop = threading.Event()

    def move() -> None:
        while not stop.is_set():
            os.rename(secret, tmp_path / "elsewhere")
            os.rename(tmp_path / "elsewhere", secret)

    names = f"'{secret}', '{tmp_path}/elsewhere'"
    script = f"for (1..{OPENS}) {{ for my $n ({names}) {{ print open(F, '<', $n) ? scalar <F> : \"$!\\n\" }} }}"
    for cage in caged(tmp_path, (str(secret),)):
        moving = threading.Thread(target=move)
        ended = cage.run(
            ("/usr/bin/perl", "-e", f'$| = 1; print "ready\\n"; {script}'),
            bounds_of("cat /etc/hostname"),
            meanwhile=moving.start,
        )
        stop.set()
        moving.join()
    assert set(ended.text.splitlines()) == {"ready", "Permission denied", "No such file or directory"}
