"""`pact-agent`: wires the parts together and runs until it is told to stop.

The spawner is started first, while this process is small and has one thread. Nothing else
in the package reads the clock, the environment or the configuration by itself.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from pathlib import Path

from pact_agent.config import Config, load_config
from pact_agent.memory import release_startup, use_one_arena
from pact_agent.spawnclient import Spawner
from pactsh import __version__
from pactsh.errors import PactError, UsageError

_log = logging.getLogger("pact_agent")

USAGE = """usage: pact-agent [--config FILE] [--version] [--help]

Runs commands on this node, contained and journaled. FILE defaults to
/etc/pact/agent.toml (or PACT_AGENT_CONFIG); see pact-agent(8).
"""


def main() -> int:
    """Entry point of the `pact-agent` program; returns its exit status."""
    try:
        path = _arguments(sys.argv[1:])
    except UsageError as error:
        return _fail(error)
    if path is None:
        return 0
    use_one_arena()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    logging.getLogger("asyncssh").setLevel(logging.WARNING)
    try:
        config = load_config(path)
        scratch = config.state_dir / "masks"
        config.state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        scratch.mkdir(exist_ok=True, mode=0o700)
        secrets = (str(config.state_dir.resolve()), str(path.resolve()))
        spawner = Spawner.launch(scratch, secrets)
        asyncio.run(_run(config, spawner, secrets))
    except PactError as error:
        return _fail(error)
    except OSError as error:
        return _fail(PactError(f"{error.filename or config.state_dir}: {error.strerror}"))
    except KeyboardInterrupt:
        return 130
    return 0


def _arguments(argv: list[str]) -> Path | None:
    path = os.environ.get("PACT_AGENT_CONFIG", "/etc/pact/agent.toml")
    words = iter(argv)
    for word in words:
        if word in {"--help", "-h"}:
            sys.stdout.write(USAGE)
            return None
        if word == "--version":
            sys.stdout.write(f"pact-agent {__version__}\n")
            return None
        if word == "--config" or word.startswith("--config="):
            path = word.partition("=")[2] if "=" in word else next(words, "")
            if not path:
                raise UsageError("--config needs a file")
        else:
            raise UsageError(f"unknown option {word}", hint="see pact-agent --help")
    return Path(path)


def _fail(error: PactError) -> int:
    sys.stderr.write(f"pact-agent: {error.message}\n")
    if error.hint:
        sys.stderr.write(f"hint: {error.hint}\n")
    return error.code


async def _run(config: Config, spawner: Spawner, secrets: tuple[str, ...]) -> None:
    from pact_agent.agent import Agent

    await spawner.start()
    agent = Agent(config, spawner, secrets)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await agent.start(inherited_sockets())
    release_startup()
    notify("READY=1")
    _log.info("ready on node %s", config.node)
    try:
        await agent.run(stop)
    finally:
        notify("STOPPING=1")
        await agent.close()
        spawner.close()


def inherited_sockets() -> dict[str, socket.socket]:
    """Sockets from systemd (sd_listen_fds(3)) by kind: `ssh` for a TCP one, `agent` for a unix one."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return {}
    count = os.environ.get("LISTEN_FDS", "0")
    if not (count.isascii() and count.isdigit()):
        raise UsageError(f"LISTEN_FDS: expected a number, got {count[:32]!r}")
    found: dict[str, socket.socket] = {}
    for fd in range(3, 3 + int(count)):
        sock = socket.socket(fileno=fd)
        sock.set_inheritable(False)
        found["agent" if sock.family == socket.AF_UNIX else "ssh"] = sock
    return found


def notify(text: str) -> None:
    """Tell the service manager (sd_notify(3)); silent without one."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        try:
            sock.sendto(text.encode(), "\0" + address[1:] if address.startswith("@") else address)
        except OSError as error:
            _log.warning("service manager not told %s: %s", text, error)


if __name__ == "__main__":
    sys.exit(main())
