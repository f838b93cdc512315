"""One line on many nodes, some of them ill; real SSH on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from pactsh.cli.fanout import Ended, Fanout, Limits
from pactsh.cli.outputs import Kept
from pactsh.rpc.ssh import asyncssh
from tests.pactsh.cli.fleet import Fleet, fleet


async def gathered(run: Fanout, nodes: tuple[str, ...]) -> tuple[dict[str, Ended], dict[str, Kept]]:
    """How each ended, in the order in which they did, and what each said."""
    kept: dict[str, Kept] = {}
    ended = {e.node: e async for e in run.results(nodes, lambda node: kept.setdefault(node, Kept()))}
    return ended, kept


def scenario(test: Callable[[Fleet], Awaitable[None]]) -> Callable[[], None]:
    async def run() -> None:
        async with fleet() as made:
            await test(made)

    def as_test() -> None:
        asyncio.run(run())

    as_test.__name__ = test.__name__
    return as_test


@scenario
async def test_each_node_is_told_apart(made: Fleet) -> None:
    for number in range(12):
        await made.add(f"n{number}", b"out %d\n" % number, number % 3, b"err %d\n" % number)
    nodes = tuple(f"n{number}" for number in range(12))
    ended, kept = await gathered(Fanout(made, "x", Limits(4)), nodes)
    assert {n: (e.result, e.status) for n, e in ended.items()} == {f"n{i}": ("ran", i % 3) for i in range(12)}
    assert {n: (k.text(1), k.text(2)) for n, k in kept.items()} == {
        f"n{i}": (f"out {i}\n", f"err {i}\n") for i in range(12)
    }
    assert made.most <= 4


@scenario
async def test_a_node_that_never_answers_delays_nobody(made: Fleet) -> None:
    """With one place only: it gives it back, and its own time limit is what it takes."""
    await made.add_raw("dead1", None)
    await made.add_raw("dead2", None)
    for number in range(5):
        await made.add(f"n{number}", b"ok")
    nodes = ("dead1", "n0", "n1", "dead2", "n2", "n3", "n4")
    ended, _ = await gathered(Fanout(made, "x", Limits(1, connect_s=2.0)), nodes)
    assert list(ended)[:5] == ["n0", "n1", "n2", "n3", "n4"]
    assert {ended[n].result for n in ("dead1", "dead2")} == {"unreachable"}
    assert ended["dead1"].status == 5


@scenario
async def test_what_is_no_ssh_server_is_told(made: Fleet) -> None:
    await made.add("well", b"ok")
    await made.add_raw("garbage", bytes(range(256)) * 400)
    await made.add_raw("http", b"HTTP/1.1 400 Bad Request\r\n\r\n")
    await made.add_raw("gone", b"")
    made.places["closed"] = ("127.0.0.1", 1)
    ended, _ = await gathered(Fanout(made, "x", Limits()), ("garbage", "http", "gone", "closed", "nobody", "well"))
    results = {node: e.result for node, e in ended.items()}
    assert results.pop("well") == "ran"
    assert results.pop("nobody") == "unknown"
    assert set(results.values()) <= {"failed", "unreachable"}
    assert all(ended[node].message for node in results)


@scenario
async def test_an_interrupt_stops_the_nodes_and_begins_no_more(made: Fleet) -> None:
    await made.add("quick", b"done\n")
    await made.add("slow", b"began\n", None)
    await made.add_raw("dead", None)
    await made.add("never")
    run = Fanout(made, "x", Limits(1))
    ended: dict[str, Ended] = {}
    kept: dict[str, Kept] = {}
    watch: asyncio.Task[None] | None = None

    async def interrupt() -> None:
        while "slow" not in made.running:
            await asyncio.sleep(0.01)
        run.interrupt()

    async for one in run.results(("quick", "dead", "slow", "never"), lambda n: kept.setdefault(n, Kept())):
        ended[one.node] = one
        watch = watch or asyncio.create_task(interrupt())
    results = {node: (e.result, e.status) for node, e in ended.items()}
    assert results == {
        "quick": ("ran", 0), "slow": ("interrupted", 130), "dead": ("not-started", 130), "never": ("not-started", 130),
    }  # fmt: skip
    assert made.signals == {"slow": ["INT"]}
    assert kept["slow"].text(1) == "began\n"


@scenario
async def test_a_time_limit_is_for_each_node(made: Fleet) -> None:
    await made.add("slow", b"began\n", None)
    await made.add("quick", b"ok\n")
    ended, kept = await gathered(Fanout(made, "x", Limits(2, timeout_s=0.3)), ("slow", "quick"))
    assert (ended["slow"].result, ended["slow"].status) == ("timeout", 5)
    assert "0.3 s" in ended["slow"].message
    assert kept["slow"].text(1) == "began\n"
    assert ended["quick"].result == "ran"
    assert made.signals == {"slow": ["TERM"]}


@scenario
async def test_a_time_limit_for_all_stops_what_runs_and_begins_no_more(made: Fleet) -> None:
    for number in range(4):
        await made.add(f"n{number}", status=None)
    nodes = tuple(f"n{number}" for number in range(4))
    ended, _ = await gathered(Fanout(made, "x", Limits(2, total_s=0.5)), nodes)
    assert {n: (e.result, e.status) for n, e in ended.items()} == {
        "n0": ("timeout", 5), "n1": ("timeout", 5), "n2": ("not-started", 5), "n3": ("not-started", 5),
    }  # fmt: skip


@scenario
async def test_a_hundred_megabytes_are_cut_at_the_limit(made: Fleet) -> None:
    await made.add("flood", b"x" * (100 << 20))
    ended, kept = await gathered(Fanout(made, "x", Limits(max_output=1 << 20)), ("flood",))
    assert (ended["flood"].result, ended["flood"].status) == ("truncated", 1)
    assert kept["flood"].bytes_of(1) == b"x" * (1 << 20)
    assert "1048576" in ended["flood"].message


@scenario
async def test_just_as_much_as_the_limit_is_not_too_much(made: Fleet) -> None:
    await made.add("n", b"x" * 1000)
    ended, kept = await gathered(Fanout(made, "x", Limits(max_output=1000)), ("n",))
    assert ended["n"].result == "ran"
    assert len(kept["n"].bytes_of(1)) == 1000


def test_a_fault_of_ours_is_raised_and_hangs_nobody() -> None:
    class Faulty:
        async def connect(self, node: str, timeout_s: float) -> asyncssh.SSHClientConnection:
            raise ZeroDivisionError(node, timeout_s)

    async def run() -> None:
        await gathered(Fanout(Faulty(), "x", Limits()), ("a", "b"))

    with pytest.raises(ZeroDivisionError):
        asyncio.run(run())


@scenario
async def test_when_nobody_reads_any_more_it_ends_and_says_so(made: Fleet) -> None:
    """Not as a lost connection, which a broken pipe resembles."""
    for number in range(3):
        await made.add(f"n{number}", b"x" * 1000, None)

    class Closed:
        async def write(self, fd: int, data: bytes) -> None:
            raise BrokenPipeError(fd, len(data))

    for nodes in (("n0",), ("n0", "n1", "n2")):
        with pytest.raises(BrokenPipeError):
            [e async for e in Fanout(made, "x", Limits()).results(nodes, lambda _: Closed())]
