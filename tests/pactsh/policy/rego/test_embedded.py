"""Modules that are wrong, that change, that never end; and a process that is killed."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from pathlib import Path

import pytest

from pactsh.errors import PolicyError, UsageError
from pactsh.policy.rego import Embedded, Verdict

HEAD = "package pact.authz\nimport rego.v1\n"
REFUSES = Verdict(("no",))
DEADLINE_S = 30


def write(directory: Path, rules: str, name: str = "a.rego") -> None:
    """All at once, as an editor does."""
    (directory / "new").write_text(rules)
    os.replace(directory / "new", directory / name)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (HEAD + "\ndeny contains `x` if {\n", "a.rego:4: "),
        ("nonsense", "a.rego:1: expected `package NAME` first"),
        ("", "a.rego:1: expected `package NAME` first"),
        ("package pact.other\nimport rego.v1\ndeny contains `x`\n", "no module of package pact.authz has a rule"),
        (HEAD + "denied contains `x`\n", "no module of package pact.authz has a rule"),
        (HEAD + "deny contains `x` if {\n  nosuch(1)\n}\n", "a.rego:4: no function nosuch"),
        (HEAD + "deny contains `x` if http.send({}).status_code == 1\n", "a.rego:3: no function http.send"),
        (HEAD + "\n\ndeny contains `x` if inptu.action == `exec`\n", "a.rego:5: inptu is not defined anywhere"),
        (HEAD + "import data.lib\ndeny contains `x` if lbi.x[_] == 1\n", "a.rego:4: lbi is not defined anywhere"),
        (HEAD + 'deny contains `x` if contains(input.a, "\\"")\n', "a.rego:3: "),
        (HEAD + 'deny contains `x` if "b" in split(input.a, "\\n")\n', "equal to nothing outside a pattern"),
        (HEAD + "deny contains `x` if input.a == `a\\b`\n", "equal to nothing outside a pattern"),
        (HEAD + 'deny contains `x` if input.a == `a"b`\n', "equal to nothing outside a pattern"),
        (HEAD + "deny contains `x` if regex.match(`(?i)reboot`, input.a)\n", "(?i in a pattern never matches"),
        (HEAD + 'deny contains `x` if regex.match("\\\\p{L}", input.a)\n', "in a pattern never matches"),
        (HEAD + "allow := true\nallow := false\n", "contradict each other"),
        (HEAD + "f(x) := f(x)\ndeny contains f(1) if true\n", "an error in a rule"),
    ],
)
def test_modules_that_can_not_be_meant_are_refused_at_the_start(tmp_path: Path, text: str, says: str) -> None:
    write(tmp_path, text)
    with pytest.raises(UsageError) as raised:
        asyncio.run(Embedded(tmp_path).start())
    assert says in raised.value.message
    assert str(tmp_path) in raised.value.message


@pytest.mark.parametrize(
    "rules",
    [
        'deny contains `x` if regex.match("\\\\.conf$", input.a)',
        "deny contains `x` if regex.match(`^\\[[A-Z]+-[0-9]+\\] (?:a|b)`, input.a)",
        '# say "no" to \\ these\ndeny contains `x` if input.x == 1',
        "# nosuch(1)\ndeny contains `nosuch(1) inptu.x` if input.x == 1",
        "roles contains r if some r in input.identity.roles\ndeny contains r if roles[r]",
        "allowed[x] := y if {\n  some x, y in input.a\n}\ndeny contains `x` if allowed.a == 1",
        "import data.site.lists as them\ndeny contains `x` if input.a in them.names",
        "deny contains `x` if {\n  every s in input.a { s.b == 1 }\n}",
        "deny contains `x` if {\n  s := input.a[_]\n  s.b.c == 1\n}",
        "deny contains m if {\n  m := concat(`,`, [r.n | some r in input.a])\n}",
        "f(stage) if stage.name == `a`\ndeny contains `x` if f(input.a)",
        "default allow := false\nallow if not is_late(input.time_ns)\nis_late(t) if time.clock(t)[0] > 20",
        "deny contains `x` if json.marshal(input) == `y`",
    ],
)
def test_what_is_defined_is_not_taken_for_a_slip(tmp_path: Path, rules: str) -> None:
    write(tmp_path, HEAD + rules + "\n")

    async def go() -> None:
        engine = Embedded(tmp_path)
        await engine.start()
        await engine.close()

    asyncio.run(go())


@pytest.mark.parametrize("how", ["missing", "not text", "too much"])
def test_a_directory_that_can_not_be_read_is_told(tmp_path: Path, how: str) -> None:
    directory = tmp_path / "modules"
    if how != "missing":
        directory.mkdir()
        (directory / "a.rego").write_bytes(b"\xff" if how == "not text" else b"#" * (2 << 20))
    with pytest.raises(UsageError, match="modules"):
        asyncio.run(Embedded(directory).start())


def test_a_change_is_in_force_soon_and_a_broken_one_never(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path, HEAD + "deny contains `no`\n")

    async def go() -> None:
        engine = Embedded(tmp_path)
        await engine.start()
        assert await engine.evaluate({}) == REFUSES
        write(tmp_path, HEAD + "deny contains {\n")
        with caplog.at_level(logging.ERROR):
            async with asyncio.timeout(DEADLINE_S):
                while "a.rego:3: " not in caplog.text:
                    await asyncio.sleep(0.05)
        assert await engine.evaluate({}) == REFUSES
        (tmp_path / "a.rego").unlink()
        async with asyncio.timeout(DEADLINE_S):
            while "has a rule" not in caplog.text:
                await asyncio.sleep(0.05)
        assert await engine.evaluate({}) == REFUSES, "no module at all is no policy either"
        write(tmp_path, HEAD + "deny contains `other`\n", "b.rego")
        async with asyncio.timeout(DEADLINE_S):
            while await engine.evaluate({}) != Verdict(("other",)):
                await asyncio.sleep(0.05)
        await engine.close()

    asyncio.run(go())


def test_nobody_who_asks_while_modules_change_goes_without_an_answer(tmp_path: Path) -> None:
    write(tmp_path, HEAD + "deny contains `0`\n")

    async def go() -> None:
        engine = Embedded(tmp_path)
        await engine.start()
        for number in range(1, 4):
            write(tmp_path, HEAD + f"deny contains `{number}`\n")
            answers: set[tuple[str, ...]] = set()
            async with asyncio.timeout(DEADLINE_S):
                while (str(number),) not in answers:
                    answers |= {a.deny for a in await asyncio.gather(*(engine.evaluate({}) for _ in range(20)))}
        await engine.close()

    asyncio.run(go())


def test_one_that_takes_for_ever_is_refused_and_keeps_nobody_waiting(tmp_path: Path) -> None:
    write(
        tmp_path,
        HEAD + "deny contains `x` if {\n  input.slow\n  some a in numbers.range(1, 4000)\n"
        "  some b in numbers.range(1, 4000)\n  a * b == 0\n}\ndeny contains `no`\n",
    )

    async def go() -> None:
        engine = Embedded(tmp_path)
        await engine.start()
        with pytest.raises(PolicyError, match="takes longer than 2 s"):
            await engine.evaluate({"slow": True})
        assert await engine.evaluate({}) == REFUSES
        await engine.close()

    asyncio.run(go())


def test_a_process_that_dies_is_replaced(tmp_path: Path) -> None:
    write(tmp_path, HEAD + "deny contains `no`\n")

    async def go() -> None:
        engine = Embedded(tmp_path)
        await engine.start()
        for _ in range(3):
            os.kill(_worker_of(), signal.SIGKILL)
            async with asyncio.timeout(DEADLINE_S):
                while True:  # the one question that it dies of is refused
                    try:
                        assert await engine.evaluate({}) == REFUSES
                        break
                    except PolicyError:
                        continue
        await engine.close()

    asyncio.run(go())


def test_many_ask_at_once_and_each_gets_its_own_answer(tmp_path: Path) -> None:
    write(tmp_path, HEAD + "deny contains input.who\n")

    async def go() -> None:
        engine = Embedded(tmp_path)
        await engine.start()
        names = [f"person {number}" for number in range(200)]
        answers = await asyncio.gather(*(engine.evaluate({"who": name}) for name in names))
        assert [answer.deny for answer in answers] == [(name,) for name in names]
        asking = asyncio.create_task(engine.evaluate({"who": "left"}))
        await asyncio.sleep(0)
        asking.cancel()
        await asyncio.wait({asking})
        assert (await engine.evaluate({"who": "stayed"})).deny == ("stayed",)
        await engine.close()

    asyncio.run(go())


def _worker_of() -> int:
    """The process id of this process's worker."""
    own = os.getpid()
    for name in filter(str.isdecimal, os.listdir("/proc")):
        try:
            stat = Path("/proc", name, "stat").read_text().rpartition(")")[2].split()
            command = Path("/proc", name, "cmdline").read_bytes()
        except OSError:
            continue
        if int(stat[1]) == own and stat[0] != "Z" and b"pactsh.policy.rego.worker" in command:
            return int(name)
    raise AssertionError("no worker")
