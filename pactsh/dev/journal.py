"""The journal of a dev system: `pact-journal` as a process, and what its keeper may do with it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pactsh.dev.layout import ADMINISTRATOR, ADMINISTRATOR_ROLE, Layout
from pactsh.dev.part import (
    ENDS_WITH_US,
    RESTARTS_LIMIT,
    RESTARTS_WITHIN_S,
    Note,
    environment,
    last_lines,
    program,
    render_status,
    wait_exit,
)
from pactsh.errors import NotFoundError, PactError

if TYPE_CHECKING:
    from pactsh.rpc.client import Journal

TOKEN_KEPT_S = 3600
ANY_PORT = "127.0.0.1:0"
CLOSE_WITHIN_S = 2.0


def utc_now() -> datetime:
    """The machine's time, UTC, aware."""
    return datetime.now(UTC)


def issue_token(layout: Layout, principal: str, roles: tuple[str, ...]) -> str:
    """A token of the system's development issuer; raises `PactError` for names and roles that can't be."""
    from pactsh.auth.issuer import DevIssuer

    return DevIssuer.open(layout.issuer, clock=utc_now).issue(principal, roles)


def administrator_token(layout: Layout) -> str:
    """The development administrator's token, the same one for an hour.

    Each token gets an SSH certificate of its own from the journal: a fresh one for every
    `pact dev env` would have one made for every use.
    """
    from pactsh.auth.private import read_private, write_private

    try:
        fresh = time.time() - layout.token.stat().st_mtime < TOKEN_KEPT_S
    except FileNotFoundError:
        fresh = False
    kept = read_private(layout.token) if fresh else None
    if kept is not None:
        return kept.decode("ascii")
    token = issue_token(layout, ADMINISTRATOR, (ADMINISTRATOR_ROLE,))
    write_private(layout.token, token.encode("ascii"))
    return token


class JournalPart:
    """`pact-journal` from its start to its end. `endpoint` is its listener for the command line, `policy` a directory
    of modules in Rego ("": none)."""

    def __init__(self, layout: Layout, note: Note, say: Callable[..., None], policy: str = "") -> None:
        self._layout, self._policy = layout, policy
        self._note = note
        self._say = say
        self._process: asyncio.subprocess.Process | None = None
        self._client: Journal | None = None
        self._stopping = False
        self._log = layout.journal / "journal.log"
        self.endpoint = ANY_PORT

    async def start(self) -> None:
        """Start it; returns when it serves. Raises `PactError` with the end of its log when it doesn't."""
        token = issue_token(self._layout, ADMINISTRATOR, (ADMINISTRATOR_ROLE,))
        starting = asyncio.create_task(self._spawn())
        # Imported while the journal starts: it takes as long as that.
        from pactsh.rpc.client import Journal

        await starting
        ca = (self._layout.journal / "ca.pem").read_bytes()
        self._layout.ca.write_bytes(ca)
        self._client = await Journal(self.endpoint, ca=ca, token=token).__aenter__()

    async def _spawn(self) -> None:
        """Run the program until it says that it is ready; once it has a port it keeps it."""
        ready_file = self._layout.journal / "ready.json"
        ready_file.unlink(missing_ok=True)
        fd = os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            self._process = await asyncio.create_subprocess_exec(
                *(*ENDS_WITH_US, program("pact-journal"), "serve", "--data-dir", str(self._layout.journal)),
                *("--listen", self.endpoint, "--listen-unix", str(self._layout.journal_socket)),
                *("--dev-issuer", str(self._layout.issuer), "--ready-file", str(ready_file)),
                *(("--policy-modules", self._policy) if self._policy else ()),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=fd,
                env=environment(),
                start_new_session=True,
            )
        finally:
            os.close(fd)
        self._note("journal", self._process.pid)
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            status = await self._process.wait()
            for text in last_lines(self._log):
                self._say(event="notice", text=f"journal: {text}")
            raise PactError(f"dev: pact-journal did not start ({render_status(status)})", hint=f"its log: {self._log}")
        self.endpoint = json.loads(ready_file.read_text(encoding="utf-8"))["endpoint"]

    def client(self) -> Journal:
        """The supervisor's connection, as the development administrator."""
        assert self._client is not None
        return self._client

    def join_token(self, node: str, vcluster: str) -> str:
        """A token with which the agent of `node` can enrol in `vcluster`, once."""
        from pactsh.journal.datadir import DataDir

        return DataDir(self._layout.journal).join_tokens().create(node, vcluster)

    async def has_reported(self, node: str) -> bool:
        """Whether the agent of `node` has reported since the journal started."""
        try:
            return (await self.client().node(node)).present
        except NotFoundError:
            return False

    async def watch(self) -> None:
        """Start it again whenever it ends, as systemd would; gives up when it keeps ending."""
        deaths: list[float] = []
        while not self._stopping:
            assert self._process is not None
            status = await self._process.wait()
            if self._stopping:
                return
            now = time.monotonic()
            deaths = [t for t in deaths if now - t < RESTARTS_WITHIN_S] + [now]
            again = len(deaths) < RESTARTS_LIMIT
            then = "starting it again" if again else "giving up"
            self._say(event="notice", text=f"pact-journal ended ({render_status(status)}), {then}")
            if not again:
                return
            try:
                await self._spawn()
            except PactError as error:
                self._say(event="notice", text=error.message)

    async def stop(self, grace_s: float) -> None:
        """End it, whatever becomes of our connection to it."""
        self._stopping = True
        if self._process is not None:
            await wait_exit(self._process, grace_s)
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_WITHIN_S):
                    await client.__aexit__(None, None, None)
