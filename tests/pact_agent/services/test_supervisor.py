"""Services without systemd, with real processes: started in order, started again, checked, stopped, and found again."""

from __future__ import annotations

import asyncio
import os
import pwd
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pact_agent.services.supervisor import Supervisor

from pactsh.errors import NotFoundError, PactError, UsageError
from tests.pact_agent.services.processes import Services, is_there, python, shell, until

SLEEP = ("/bin/sleep", "1000")


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    made = Services(tmp_path)
    try:
        yield made
    finally:
        made.end()


def states(supervisor: Supervisor) -> dict[str, str]:
    return {name: value.split()[0].removeprefix("state=") for name, value in supervisor.values().items()}


async def shown(supervisor: Supervisor, name: str) -> str:
    return (await supervisor.one(name)).state


async def up(supervisor: Supervisor, *names: str) -> None:
    async with asyncio.timeout(20):
        while {await shown(supervisor, name) for name in names} != {"running"}:
            await asyncio.sleep(0.02)


def test_enabled_ones_are_started_in_order(services: Services, tmp_path: Path) -> None:
    log = tmp_path / "order"

    def telling(name: str) -> tuple[str, ...]:
        return shell(
            f"echo start {name} >> {log}; trap 'echo end {name} >> {log}; exit 0' TERM; while :; do sleep 0.02; done"
        )

    services.define("app", *telling("app"), more='requires = ["db"]\nafter = ["cache"]')
    services.define("db", *telling("db"))
    services.define("cache", *telling("cache"), more='after = ["db"]')
    services.define("off", *telling("off"), more="enabled = false")

    async def go() -> None:
        async with services.agent() as supervisor:
            assert states(supervisor) == {"app": "running", "db": "running", "cache": "running", "off": "stopped"}
            await up(supervisor, "app", "db", "cache")
            await until(lambda: len(log.read_text().splitlines()) == 3)
            assert supervisor.summary() == "3 services running"

    asyncio.run(go())
    lines = log.read_text().splitlines()
    assert lines[:3] == ["start db", "start cache", "start app"]
    assert lines[3:] == ["end app", "end cache", "end db"]


def test_one_that_dies_at_once_forever_is_no_busy_loop(services: Services) -> None:
    more = "restart_delay_s = 0.01\nrestart_most_s = 0.05\nburst = 4\nretry_s = 3600"
    services.define("bad", *shell("echo no disk; exit 3"), more=more)

    async def go() -> None:
        async with services.agent() as supervisor:
            await until(lambda: states(supervisor)["bad"] == "failed")
            found = await supervisor.one("bad")
            assert (found.state, found.restarts, services.said("bad")) == ("failed", 4, ["no disk"] * 4)
            assert (
                found.why == "it ended 4 times in a row or more, the last time with status 3: tried again every 3600 s"
            )
            assert supervisor.summary() == "0 services running, 1 failed"
            with pytest.raises(PactError) as caught:  # somebody tries it at once
                await supervisor.change("start", "bad")
            assert caught.value.message.startswith("service: bad: start ended with status 3")
            assert "no disk" in caught.value.hint
            assert (await supervisor.change("stop", "bad")).service.state == "stopped"

    asyncio.run(go())


def test_a_crash_is_no_change_of_the_node(services: Services) -> None:
    services.define("a", *SLEEP, more="restart_delay_s = 0.01")

    async def go() -> None:
        async with services.agent() as supervisor:
            await up(supervisor, "a")
            seen: set[str] = set()
            supervisor.watch(lambda: seen.add(states(supervisor)["a"]))
            first = services.pid("a")
            os.kill(first, signal.SIGSEGV)
            await until(lambda: services.pid("a") != first)
            await up(supervisor, "a")
            found = await supervisor.one("a")
            assert (seen, found.restarts, found.pid) == ({"running"}, 1, services.pid("a"))

    asyncio.run(go())


@pytest.mark.parametrize(
    ("restart", "script", "state", "value"),
    [
        ("never", "exit 0", "exited", "running"),
        ("never", "exit 1", "failed", "failed"),
        ("on-failure", "exit 0", "stopped", "stopped"),
    ],
)
def test_one_that_is_not_started_again(services: Services, restart: str, script: str, state: str, value: str) -> None:
    services.define("once", *shell(script), more=f'restart = "{restart}"')

    async def go() -> None:
        async with services.agent() as supervisor:
            await until(lambda: services.pid("once") and states(supervisor) == {"once": value})
            await until(lambda: supervisor._instances["once"].state == state)

    asyncio.run(go())


@pytest.mark.parametrize("check", ["tcp", "http"])
def test_one_whose_check_fails_is_killed_and_started_again(services: Services, tmp_path: Path, check: str) -> None:
    """A server that no longer takes connections, though its process is there."""
    (tmp_path / "port").write_text("")
    server = f"""
import os, socket, time
listener = socket.socket(); listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("127.0.0.1", int(open({str(tmp_path / "port")!r}).read() or 0))); listener.listen()
open({str(tmp_path / "port")!r}, "w").write(str(listener.getsockname()[1]))
while not os.path.exists({str(tmp_path / "broken")!r}):
    client, _ = listener.accept(); client.recv(1)
    if {check == "http"}:
        client.sendall(b"HTTP/1.0 200 OK\\r\\n\\r\\n")
    client.close()
listener.close(); os.unlink({str(tmp_path / "broken")!r}); time.sleep(1000)
"""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    (tmp_path / "port").write_text(str(port))
    where = f'address = "127.0.0.1:{port}"' if check == "tcp" else f'url = "http://127.0.0.1:{port}/"'
    health = f'[health]\ncheck = "{check}"\n{where}\ninterval_s = 0.02\nretries = 2\nstart_s = 20\ntimeout_s = 5'
    services.define("web", *python(server), more=f"restart_delay_s = 0.01\n{health}")

    async def go() -> None:
        async with services.agent() as supervisor:
            await up(supervisor, "web")
            first, whys = services.pid("web"), set[str]()
            supervisor.watch(lambda: whys.add(supervisor._instances["web"].why))
            (tmp_path / "broken").touch()
            await until(lambda: services.pid("web") != first)
            await up(supervisor, "web")
            assert not is_there(first)
            assert any(why.startswith("its check fails: ") for why in whys)
            assert (await supervisor.one("web")).restarts == 1

    asyncio.run(go())


def test_another_agent_finds_them_and_goes_on(services: Services) -> None:
    """Neither an end in order nor a new agent is anything that a service notices; what crashed meanwhile is mended."""
    services.define("a", *SLEEP)
    services.define("crashes", *SLEEP, more="restart_delay_s = 0.01")
    services.define("stopped", *SLEEP)
    services.define("off", *SLEEP, more="enabled = false")

    async def go() -> None:
        async with services.agent(stop=False) as supervisor:
            await up(supervisor, "a", "crashes", "stopped")
            await supervisor.change("stop", "stopped")
            await supervisor.change("start", "off")
        pids = {name: services.pid(name) for name in ("a", "crashes", "off")}
        assert all(map(is_there, pids.values()))
        os.kill(pids["crashes"], signal.SIGSEGV)
        await until(lambda: not is_there(pids["crashes"]))
        async with services.agent() as supervisor:
            assert states(supervisor) == {"a": "running", "crashes": "running", "off": "running", "stopped": "stopped"}
            await until(lambda: services.pid("crashes") != pids["crashes"])
            await up(supervisor, "a", "crashes", "off")
            assert (services.pid("a"), services.pid("off")) == (pids["a"], pids["off"])
            assert (await supervisor.change("stop", "a")).service.state == "stopped"
            assert not is_there(pids["a"])
        services.boot = "boot-2"
        async with services.agent() as supervisor:
            assert states(supervisor) == {"a": "running", "crashes": "running", "off": "stopped", "stopped": "running"}

    asyncio.run(go())


def test_one_that_runs_without_a_definition_can_be_stopped(services: Services) -> None:
    """Somebody took its file away, or broke it, while no agent was there."""
    services.define("gone", *SLEEP)
    services.define("broken", *SLEEP)

    async def go() -> None:
        async with services.agent(stop=False) as supervisor:
            await up(supervisor, "gone", "broken")
        (services.definitions / "gone.toml").unlink()
        services.define("broken", *SLEEP, more="x = 1")
        async with services.agent() as supervisor:
            found = {one.name: (one.state, one.why.rpartition("/")[2]) for one in await supervisor.all()}
            assert found["gone"] == ("running", "its definition is not there any more")
            assert found["broken"] == ("running", "broken.toml: x: unknown key")
            for name in ("gone", "broken"):
                assert is_there(services.pid(name))
                await supervisor.change("stop", name)
                assert not is_there(services.pid(name))
            with pytest.raises(PactError, match="its definition is not there any more"):
                await supervisor.change("start", "gone")

    asyncio.run(go())


def test_stopping_and_restarting_takes_those_along_that_need_it(services: Services) -> None:
    services.define("db", *SLEEP)
    services.define("web", *SLEEP, more='requires = ["db"]')
    services.define("mon", *SLEEP, more='after = ["db"]')

    async def go() -> None:
        async with services.agent() as supervisor:
            await up(supervisor, "db", "web", "mon")
            before = {name: services.pid(name) for name in ("db", "web", "mon")}
            done = await supervisor.change("restart", "db")
            assert (done.service.state, done.others) == ("running", ("web",))
            after = {name: services.pid(name) for name in before}
            assert [name for name in before if before[name] != after[name]] == ["db", "web"]
            assert (await supervisor.change("stop", "db")).others == ("web",)
            assert states(supervisor) == {"db": "stopped", "web": "stopped", "mon": "running"}
            assert (await supervisor.change("start", "web")).others == ("db",)
            assert states(supervisor) == {"db": "running", "web": "running", "mon": "running"}

    asyncio.run(go())


def test_one_without_what_it_requires_is_not_started(services: Services) -> None:
    services.define("db", *shell("exit 1"), more='restart = "never"')
    services.define("web", *SLEEP, more='requires = ["db"]')

    async def go() -> None:
        async with services.agent() as supervisor:
            await until(lambda: states(supervisor) == {"db": "failed", "web": "failed"})
            assert (await supervisor.one("web")).why == "it can't be without db, which is not up"
            with pytest.raises(PactError, match="service: db: start ended with status 1"):
                await supervisor.change("start", "web")
            assert services.pid("web") == 0

    asyncio.run(go())


def test_bad_definitions_are_shown_and_keep_nobody_else_from_running(services: Services) -> None:
    services.define("good", *SLEEP)
    services.define("typo", *SLEEP, more='restrat = "always"')
    services.define("hen", *SLEEP, more='after = ["egg"]')
    services.define("egg", *SLEEP, more='requires = ["hen"]')

    async def go() -> None:
        async with services.agent() as supervisor:
            await up(supervisor, "good")
            found = {one.name: (one.state, one.why) for one in await supervisor.all()}
            assert found["typo"] == ("failed", f"{services.definitions}/typo.toml: restrat: unknown key")
            assert found["hen"] == found["egg"] == ("failed", "it waits for itself: egg -> hen -> egg")
            assert supervisor.summary() == "1 service running, 3 failed"
            with pytest.raises(PactError, match="restrat: unknown key"):
                await supervisor.change("start", "typo")

    asyncio.run(go())


def test_another_agent_knows_that_a_definition_has_changed(services: Services) -> None:
    services.define("a", *SLEEP)

    async def go() -> None:
        async with services.agent(stop=False) as supervisor:
            await up(supervisor, "a")
        services.define("a", "/bin/sleep", "2000")
        async with services.agent() as supervisor:
            await up(supervisor, "a")
            assert (await supervisor.one("a")).why == "its definition has changed since it was started"

    asyncio.run(go())


def test_a_definition_counts_from_the_next_start(services: Services) -> None:
    services.define("a", *SLEEP)

    async def go() -> None:
        async with services.agent() as supervisor:
            await up(supervisor, "a")
            first = services.pid("a")
            services.define("a", "/bin/sleep", "2000")
            services.define("new", *SLEEP)
            assert (await supervisor.one("a")).why == "its definition has changed since it was started"
            assert (await supervisor.change("start", "new")).service.state == "running"
            assert services.pid("a") == first
            await supervisor.change("restart", "a")
            assert (await supervisor.one("a")).why == ""
            with open(f"/proc/{services.pid('a')}/cmdline") as file:
                assert "2000" in file.read()
            (services.definitions / "a.toml").unlink()
            assert (await supervisor.one("a")).why == "its definition is not there any more"
            assert (await supervisor.change("stop", "a")).service.state == "stopped"

    asyncio.run(go())


@pytest.mark.parametrize(("name", "kind"), [("chrnoy", NotFoundError), ("../a", UsageError), ("", UsageError)])
def test_names_that_are_none(services: Services, name: str, kind: type[PactError]) -> None:
    services.define("chrony", *SLEEP, more="enabled = false")

    async def go() -> None:
        async with services.agent() as supervisor:
            with pytest.raises(kind) as caught:
                await supervisor.one(name)
            assert caught.value.hint == "did you mean chrony?" or kind is UsageError
            assert (await supervisor.one("chrony.service")).name == "chrony"

    asyncio.run(go())


def test_a_user_who_is_not_there(services: Services) -> None:
    (services.definitions / "a.toml").write_text('command = ["/bin/sleep", "1"]\nuser = "nobody-of-that-name"')

    async def go() -> None:
        async with services.agent() as supervisor:
            with pytest.raises(PactError, match="there is no user nobody-of-that-name on this node"):
                await supervisor.change("start", "a")

    asyncio.run(go())


def test_what_takes_long_goes_on_behind_who_asked(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pact_agent.services.supervisor._CHANGE_S", 0.05)
    services.define("slow", *shell("trap 'sleep 0.4; exit 0' TERM; echo up; while :; do sleep 0.02; done"))

    async def go() -> None:
        async with services.agent() as supervisor:
            await until(lambda: services.said("slow"))
            with pytest.raises(PactError, match="stop has not ended after 0 s, and goes on"):
                await supervisor.change("stop", "slow")
            await until(lambda: not is_there(services.pid("slow")))

    asyncio.run(go())


def test_when_nothing_happens_nothing_is_done(services: Services) -> None:
    services.define("a", *SLEEP)

    async def go() -> float:
        async with services.agent() as supervisor:
            await up(supervisor, "a")
            before = time.process_time()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(asyncio.Event().wait(), 0.5)
            return time.process_time() - before

    assert asyncio.run(go()) < 0.1


def test_a_directory_service_that_hangs_keeps_the_agent_from_nothing(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, answered, know = threading.Event(), threading.Event(), pwd.getpwnam

    def slow(name: str) -> pwd.struct_passwd:
        asked.set()
        assert answered.wait(20)
        return know(name)

    monkeypatch.setattr(pwd, "getpwnam", slow)
    services.define("a", *SLEEP)

    async def go() -> None:
        async with services.agent() as supervisor:
            await until(asked.is_set)
            assert await shown(supervisor, "a") == "starting"
            answered.set()
            await up(supervisor, "a")

    asyncio.run(go())


def test_what_would_stop_with_it_is_known_before(services: Services) -> None:
    services.define("db", *SLEEP)
    services.define("app", *SLEEP, more='requires = ["db"]')
    services.define("web", *SLEEP, more='requires = ["app"]')
    services.define("off", *SLEEP, more='requires = ["db"]\nenabled = false')

    async def go() -> None:
        async with services.agent() as supervisor:
            await up(supervisor, "db", "app", "web")
            assert supervisor.along("start", "db") == ()
            assert set(supervisor.along("restart", "db")) == {*supervisor.along("stop", "db")} == {"app", "web"}

    asyncio.run(go())


def test_one_that_takes_long_to_end_keeps_nobody_from_the_others(services: Services) -> None:
    services.define("slow", *shell("trap '' TERM; while :; do sleep 0.05; done"), more="stop_timeout_s = 3600")
    services.define("other", *SLEEP)

    async def go() -> None:
        async with services.agent(stop=False) as supervisor:
            await up(supervisor, "slow", "other")
            stopping = asyncio.create_task(supervisor.change("stop", "slow"))
            async with asyncio.timeout(20):
                while await shown(supervisor, "slow") != "stopping":
                    await asyncio.sleep(0.02)
                assert (await supervisor.change("restart", "other")).service.state == "running"
            assert not stopping.done()
            services.end()
            await stopping

    asyncio.run(go())
