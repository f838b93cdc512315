"""Services: values from what systemd lists, and a real systemd in a container, seen and changed from outside."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pact_agent.dimensions import ApplyError
from pact_agent.dimensions.services import Services, own_service, states_of, values_of
from pact_agent.dimensions.systemd import Unit
from pact_agent.dimensions.unitfiles import UnitFiles

from tests.booted import Booted, booted_system

WITHIN_S = 1.0  # a change is to be seen
LIMIT_S = 30.0
UNITS = {
    "t-daemon.service": "[Service]\nExecStart=sleep infinity\n[Install]\nWantedBy=multi-user.target\n",
    "t-plain.service": "[Service]\nExecStart=sleep infinity\n",
    "t-fails.service": "[Service]\nExecStart=false\n[Install]\nWantedBy=multi-user.target\n",
    "t-crashes.service": (
        "[Unit]\nStartLimitIntervalSec=0\n[Service]\nExecStart=sleep 0.2\nRestart=always\nRestartSec=0.2\n"
    ),
    "t-once.service": "[Service]\nType=oneshot\nExecStart=sleep infinity\n",
    "t-remains.service": "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=true\n",
    "t-asked.service": "[Service]\nExecStart=sleep infinity\n",
    "t-asked.socket": "[Socket]\nListenStream=/run/t-asked\n[Install]\nWantedBy=sockets.target\n",
    "t-timed.timer": "[Timer]\nUnit=t-once.service\nOnCalendar=2099-01-01\n[Install]\nWantedBy=timers.target\n",
    "t-many@.service": "[Service]\nExecStart=sleep infinity\n[Install]\nWantedBy=multi-user.target\n",
    "t-deaf.service": "[Unit]\nRefuseManualStop=yes\n[Service]\nExecStart=sleep infinity\n",
}


# What systemd lists, and what is made of it.


@pytest.mark.parametrize(
    ("active", "before", "state"),
    [
        ("active", "stopped", "running"),
        ("reloading", "running", "running"),
        ("inactive", "running", "stopped"),
        ("failed", "running", "failed"),
        ("activating", "stopped", "stopped"),  # a one-shot service at work
        ("activating", "running", "running"),  # started again after a crash
        ("deactivating", "running", "running"),
        ("maintenance", "running", "stopped"),
    ],
)
def test_a_state_is_what_lasts(active: str, before: str, state: str) -> None:
    assert states_of([Unit("a.service", "loaded", active, "x")], {"a.service": before}) == {"a.service": state}


def test_what_waits_for_its_turn_while_the_node_boots_is_as_it_was() -> None:
    waiting = Unit("a.service", "loaded", "inactive", "dead", job="start")
    assert states_of([waiting], {"a.service": "running"}) == {"a.service": "running"}
    stopping = Unit("a.service", "loaded", "inactive", "dead", job="stop")
    assert states_of([stopping], {"a.service": "running"}) == {"a.service": "stopped"}


@pytest.mark.parametrize(
    ("listed", "files", "found"),
    [
        ({"a.service": "alias", "b.target": "static", "c.mount": "static"}, UnitFiles(), {}),
        ({"run-r1.service": "transient", "user@.service": "static"}, UnitFiles(), {}),
        ({"user@.service": "static"}, UnitFiles(wanted={"user@1.service": "static"}), {}),
        (
            {"a@.service": "enabled"},
            UnitFiles(wanted={"a@x.service": "enabled", "b.service": "enabled"}),
            {"a@x.service": "state=stopped enabled=enabled"},
        ),
        ({"a.service": "static"}, UnitFiles(called=frozenset({"a.service"})), {"a.service": "on-demand static"}),
        (
            {"a.service": "static"},
            UnitFiles(wanted={"a.service": "static"}, called=frozenset({"a.service"})),
            {"a.service": "running static"},
        ),
        ({"a.service": "masked"}, UnitFiles(wanted={"a.timer": "enabled"}), {"a.service": "running masked"}),
        ({"a.service": "disabled"}, UnitFiles(wanted={"a.path": "enabled"}), {"a.service": "on-demand disabled"}),
    ],
)
def test_values_are_of_what_is_somebodys_setting(
    listed: dict[str, str], files: UnitFiles, found: dict[str, str]
) -> None:
    def full(value: str) -> str:
        return value if "=" in value else "state={} enabled={}".format(*value.split())

    states = {"a.service": "running", "user@1.service": "running", "run-r1.service": "running"}
    assert values_of(states, listed, files) == {name: full(value) for name, value in found.items()}


def test_a_running_socket_starts_its_service_when_it_is_needed() -> None:
    listed = {"a.service": "disabled", "a.socket": "disabled"}
    for state, told in (("running", "on-demand"), ("stopped", "stopped")):
        assert f"state={told} " in values_of({"a.socket": state}, listed, UnitFiles())["a.service"]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("0::/system.slice/pact-agent.service\n", "pact-agent.service"),
        ("0::/user.slice/user@1.service/app.slice/a.service/sub\n", "a.service"),
        ("9:name=systemd:/system.slice/b.service\n4:memory:/x.service\n0::/\n", "b.service"),
        ("0::/user.slice/session-1.scope\n", ""),
    ],
)
def test_the_own_service_is_where_the_process_is(tmp_path: Path, text: str, name: str) -> None:
    (tmp_path / "cgroup").write_text(text)
    assert own_service(str(tmp_path / "cgroup")) == name
    assert own_service(str(tmp_path / "none")) == ""


# A node without systemd, and one whose systemd does not answer.


def test_without_systemd_there_is_nothing(tmp_path: Path) -> None:
    async def go() -> None:
        Services(str(tmp_path)).watch(lambda: pytest.fail("woken"))()

    assert Services(str(tmp_path)).snapshot() == {}
    asyncio.run(go())
    with pytest.raises(ApplyError, match="systemd does not run this node"):
        Services(str(tmp_path)).apply("a.service", "state=running")


def test_a_systemd_that_does_not_answer_is_no_empty_node(tmp_path: Path) -> None:
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    with pytest.raises(ApplyError, match=r"can't be reached \(run/dbus/system_bus_socket: No such file"):
        Services(str(tmp_path)).snapshot()


def test_one_that_cannot_be_reached_is_not_tried_all_the_time(tmp_path: Path) -> None:
    (tmp_path / "run/systemd/system").mkdir(parents=True)

    async def go() -> float:
        before = time.process_time()
        end = Services(str(tmp_path)).watch(lambda: pytest.fail("woken"))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 1.5)
        end()
        return time.process_time() - before

    assert asyncio.run(go()) < 0.2


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("../../etc/x.service", "state=running", "not the name of"),
        ("/etc/systemd/system/x.service", "enabled=enabled", "not the name of"),
        ("a b.service", None, "not the name of"),
        ("a.mount", "state=running", "not the name of"),
        ("getty@.service", "enabled=enabled", "not the name of"),
        ("a.service\n", "state=running", "not the name of"),
        ("a.service", "", "is not what a unit can be"),
        ("a.service", "state=perhaps", "is not what a unit can be"),
        ("a.service", "state=running owner=me", "is not what a unit can be"),
        ("own.service", "state=stopped enabled=enabled", "does not stop itself"),
        ("own.service", None, "does not stop itself"),
    ],
)
def test_what_makes_no_sense_is_refused_before_systemd_is_asked(
    tmp_path: Path, key: str, value: str | None, says: str
) -> None:
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    with pytest.raises(ApplyError, match=says):
        Services(str(tmp_path), own="own.service").apply(key, value)


# A real one.

real = pytest.mark.e2e


@pytest.fixture(scope="module")
def system() -> Iterator[Booted]:
    with booted_system() as booted:
        for name, text in UNITS.items():
            booted.write(f"/etc/systemd/system/{name}", text)
        booted.write("/usr/lib/systemd/system/t-vendor.service", UNITS["t-daemon.service"])
        booted.run("systemctl", "daemon-reload")
        booted.run("systemctl", "enable", "--now", "t-daemon.service", "t-asked.socket", "t-many@one.service")
        booted.run("systemctl", "start", "t-remains", "t-plain", "t-deaf", "t-vendor", "t-timed.timer")
        yield booted


@pytest.fixture
def services(system: Booted) -> Services:
    return Services(str(system.root), own="")


class Watched:
    """A dimension under watch, that of the agent's own loop."""

    def __init__(self, services: Services, woken: asyncio.Event) -> None:
        self.services, self.woken = services, woken

    async def until(self, what: Callable[[dict[str, str]], bool], limit_s: float = WITHIN_S) -> dict[str, str]:
        async with asyncio.timeout(limit_s):
            while True:
                await self.woken.wait()
                self.woken.clear()
                found = await asyncio.to_thread(self.services.snapshot)
                if what(found):
                    return found


@asynccontextmanager
async def watched(services: Services) -> AsyncIterator[Watched]:
    woken = asyncio.Event()
    end = services.watch(woken.set)
    try:
        await asyncio.wait_for(woken.wait(), LIMIT_S)
        woken.clear()
        await asyncio.to_thread(services.snapshot)
        yield Watched(services, woken)
    finally:
        end()


@real
def test_every_unit_is_told_quickly(services: Services) -> None:
    found = services.snapshot()
    assert len(found) > 80
    assert found["t-daemon.service"] == found["t-many@one.service"] == "state=running enabled=enabled"
    assert found["t-asked.service"] == "state=on-demand enabled=static"
    assert found["t-remains.service"] == "state=running enabled=static"
    assert found["systemd-logind.service"] == "state=running enabled=static"
    assert {key.rpartition(".")[2] for key in found} == {"service", "socket", "timer", "path"}
    assert not any("@." in key or key.startswith("user@") for key in found)
    times = []
    for _ in range(20):
        began = time.perf_counter()
        assert services.snapshot() == found
        times.append(time.perf_counter() - began)
    assert sorted(times)[10] < 0.05


@real
@pytest.mark.parametrize(
    ("key", "words", "now"),
    [
        ("t-daemon.service", ("stop",), "state=stopped enabled=enabled"),
        ("t-daemon.service", ("disable",), "state=running enabled=disabled"),
        ("t-daemon.service", ("disable", "--now"), "state=stopped enabled=disabled"),
        ("t-vendor.service", ("mask", "--runtime"), "state=running enabled=masked-runtime"),
        ("t-vendor.service", ("mask",), "state=running enabled=masked"),
        ("t-vendor.service", ("mask", "--now"), "state=stopped enabled=masked"),
        ("t-vendor.service", ("enable", "--runtime"), "state=running enabled=enabled-runtime"),
        ("t-daemon.service", ("kill", "--signal=SIGABRT"), "state=failed enabled=enabled"),
        ("t-plain.service", ("stop",), "state=stopped enabled=static"),
        ("t-remains.service", ("stop",), "state=stopped enabled=static"),
        ("t-fails.service", ("start",), "state=failed enabled=disabled"),
        ("t-many@one.service", ("stop",), "state=stopped enabled=enabled"),
        ("t-many@one.service", ("disable", "--now"), None),
        ("t-many@two.service", ("enable", "--now"), "state=running enabled=enabled"),
        ("t-ghost.service", ("mask",), "state=stopped enabled=masked"),
        ("t-asked.socket", ("disable", "--now"), "state=stopped enabled=disabled"),
        ("t-timed.timer", ("stop",), "state=stopped enabled=disabled"),
        ("systemd-timedated.service", ("mask",), "state=stopped enabled=masked"),
    ],
)
def test_what_somebody_does_is_seen_and_put_back(
    system: Booted, services: Services, key: str, words: tuple[str, ...], now: str | None
) -> None:
    async def go() -> None:
        before = await asyncio.to_thread(services.snapshot)
        async with watched(services) as watching:
            verb, *options = words
            await asyncio.to_thread(system.run, "systemctl", verb, *options, key)
            assert (await watching.until(lambda found: found.get(key) == now)) != before
            await asyncio.to_thread(services.apply, key, before.get(key))
            after = await watching.until(lambda found: found.get(key) == before.get(key))
        assert after == before

    asyncio.run(go())


@real
def test_what_comes_and_goes_on_its_own_is_no_change(system: Booted, services: Services) -> None:
    system.run("systemctl", "start", "t-crashes.service")
    try:
        before = services.snapshot()
        assert before["t-crashes.service"] == "state=running enabled=static"

        async def go() -> None:
            async with watched(services) as watching:
                for words in (
                    ("systemctl", "start", "--no-block", "t-once.service"),
                    ("systemctl", "start", "t-asked.service"),
                    ("systemd-run", "--unit=passing", "sleep", "infinity"),
                    ("systemctl", "start", "t-many@three.service"),
                    ("hostnamectl",),
                ):
                    await asyncio.to_thread(system.run, *words)
                    assert await watching.until(lambda _: True) == before, words
                newcomer = Services(str(system.root), own="")
                assert await asyncio.to_thread(newcomer.snapshot) == before

        asyncio.run(go())
    finally:
        system.run("systemctl", "stop", "t-crashes", "t-once", "t-asked.service", "passing", "t-many@three")
        system.run("systemctl", "reset-failed")
    assert services.snapshot() == before | {"t-crashes.service": "state=stopped enabled=static"}


@real
@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("nosuch.service", "state=running enabled=enabled", "does not exist"),
        ("nosuch.service", "state=running", "Unit nosuch.service not found."),
        ("t-fails.service", "state=running enabled=disabled", "t-fails.service: StartUnit ended with exit-code"),
        ("t-deaf.service", "state=stopped enabled=static", "Operation refused, unit t-deaf.service"),
        ("kmod.service", "state=running", "kmod.service is another name of systemd-modules-load.service"),
        ("t-plain.service", "state=running enabled=enabled", "is static and can't be made enabled"),
        ("t-asked.service", "state=running enabled=static", "started by others when it is needed"),
        ("t-daemon.service", "state=failed enabled=enabled", "had failed, which can't be made so again"),
        ("t-plain.service", None, "is stopped and static; its file is not taken away"),
        ("t-plain.service", "enabled=masked", "File '?/etc/systemd/system/t-plain.service'? already exists"),
    ],
)
def test_what_cannot_be_done_says_why(
    system: Booted, services: Services, key: str, value: str | None, says: str
) -> None:
    before = services.snapshot()
    try:
        with pytest.raises(ApplyError, match=says):
            services.apply(key, value)
    finally:
        system.run("systemctl", "reset-failed")
        system.run("systemctl", "start", "t-plain.service", "t-daemon.service")
        system.run("systemctl", "stop", "t-asked.service")
    assert services.snapshot() == before


@real
def test_what_is_gone_already_needs_no_taking_away(services: Services) -> None:
    services.apply("nosuch.service", None)
    services.apply("nosuch@x.service", None)


@real
@pytest.mark.parametrize("words", [("restart", "dbus.service"), ("daemon-reexec",)])
def test_a_bus_that_starts_anew_is_listened_to_again(
    system: Booted, services: Services, words: tuple[str, ...]
) -> None:
    async def go() -> None:
        async with watched(services) as watching:
            await asyncio.to_thread(system.run, "systemctl", *words)
            await watching.until(lambda found: "t-daemon.service" in found, LIMIT_S)
            await _settled(watching)
            for verb, state in (("stop", "stopped"), ("start", "running")):
                await asyncio.to_thread(system.run, "systemctl", verb, "t-daemon.service")
                await watching.until(lambda found, s=state: f"state={s}" in found["t-daemon.service"])  # type: ignore[misc]

    asyncio.run(go())


async def _settled(watching: Watched) -> None:
    """Wait until nothing is told for a while: what a restart brings with it is over."""
    while True:
        try:
            await asyncio.wait_for(watching.woken.wait(), 2.0)
        except TimeoutError:
            return
        watching.woken.clear()


@real
def test_without_a_bus_systemd_is_asked_itself(system: Booted) -> None:
    """From within: systemd's own socket wants to know who asks, which it can't of another namespace's processes."""
    program = (
        "import asyncio, sys\n"
        "from pact_agent.dimensions.services import Services\n"
        "services = Services(sys.argv[1], own='')\n"
        "async def go():\n"
        "    woken = asyncio.Event()\n"
        "    end = services.watch(woken.set)\n"
        "    await asyncio.wait_for(woken.wait(), 20)\n"
        "    woken.clear()\n"
        "    await asyncio.to_thread(services.apply, 't-daemon.service', 'state=stopped enabled=disabled')\n"
        "    await asyncio.wait_for(woken.wait(), 20)\n"
        "    end()\n"
        "asyncio.run(go())\n"
        "print(services.snapshot()['t-daemon.service'])\n"
    )
    socket = system.root / "run/dbus/system_bus_socket"
    hidden = socket.with_name("hidden")
    os.rename(socket, hidden)
    try:
        done = subprocess.run(
            ("nsenter", "--target", str(system.leader), "--pid", sys.executable, "-c", program, str(system.root)),
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
    finally:
        os.rename(hidden, socket)
        system.run("systemctl", "enable", "--now", "t-daemon.service")
    assert done.stdout == "state=stopped enabled=disabled\n", done.stderr
