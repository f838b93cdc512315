"""The commands of `pact-journal`: their options, and what they run."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from pactsh import __version__
from pactsh.errors import UsageError
from pactsh.journal.config import load_config
from pactsh.journal.datadir import DataDir


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Usage errors end with 1 everywhere in pact; argparse's own 2 means authentication."""
        raise UsageError(message, hint=f"{self.prog} --help")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="pact-journal", description="The journal: entries, policy, certificates.")
    parser.add_argument("--version", action="version", version=f"pact-journal {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    serve = commands.add_parser("serve", help="run the journal")
    serve.add_argument("--config", type=Path, help="TOML file; options on the line win over it")
    serve.add_argument("--data-dir", type=Path, help="keys and database; made if missing")
    serve.add_argument("--listen", metavar="HOST:PORT", help="for people with tokens, and enrolment (127.0.0.1:9443)")
    serve.add_argument("--listen-agents", metavar="HOST:PORT", help="for agents with their certificates")
    serve.add_argument("--listen-unix", type=Path, metavar="PATH", help="the same on a unix socket")
    serve.add_argument("--name", action="append", dest="names", help="another name for the server's certificate")
    serve.add_argument("--dev-issuer", type=Path, metavar="DIR", help="accept tokens of this development issuer")
    serve.add_argument("--ready-file", type=Path, metavar="PATH", help="write endpoints and CA here when ready (JSON)")
    serve.add_argument("--head-every", type=int, metavar="N", help="sign the head every N entries (256)")
    serve.add_argument("--head-interval", type=float, dest="head_interval_s", metavar="S", help="and every S s (10)")

    join = commands.add_parser("join-token", help="print a token with which one agent can enrol, once")
    join.add_argument("node")
    join.add_argument("--data-dir", type=Path, required=True)
    join.add_argument("--ttl", type=int, default=3600, metavar="S", help="seconds it is good for (3600)")
    return parser


def run(argv: Sequence[str]) -> int:
    """Run one command line; returns its exit status. Raises `PactError`s."""
    options = vars(_parser().parse_args(argv))
    command = options.pop("command")
    if command == "serve":
        return _serve(options)
    data = DataDir(options["data_dir"])
    sys.stdout.write(data.join_tokens().create(options["node"], options["ttl"]) + "\n")
    return 0


def _serve(options: dict[str, object]) -> int:
    from pactsh.journal.server import serve

    path = options.pop("config")
    config = load_config(path if isinstance(path, Path) else None, options)
    asyncio.run(serve(config))
    return 0
