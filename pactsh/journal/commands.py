"""The commands of `pact-journal`: their options, and what they run."""

from __future__ import annotations

import argparse
import asyncio
import os
import sqlite3
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from pactsh import __version__
from pactsh.errors import PactError, UsageError
from pactsh.journal.audit import Verdict, verify
from pactsh.journal.config import load_config
from pactsh.journal.datadir import DataDir
from pactsh.journal.export import export_lines, read_anchors, verify_export
from pactsh.journal.heads import head_checker
from pactsh.journal.ledger import now_text
from pactsh.journal.sqlite_read import Reader, to_store_error


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
    serve.add_argument("--policy-modules", type=Path, metavar="DIR", help="the site's own policy: modules in Rego")
    serve.add_argument("--opa-url", metavar="URL", help="the same, asked of an OPA server")
    serve.add_argument("--ready-file", type=Path, metavar="PATH", help="write endpoints and CA here when ready (JSON)")
    serve.add_argument("--head-every", type=int, metavar="N", help="sign the head every N entries (256)")
    serve.add_argument("--head-interval", type=float, dest="head_interval_s", metavar="S", help="and every S s (10)")

    check = commands.add_parser("check-policy", help="say whether a directory of modules in Rego can be used")
    check.add_argument("directory", type=Path)

    join = commands.add_parser("join-token", help="print a token with which one agent can enrol, once")
    join.add_argument("node")
    join.add_argument("--vcluster", required=True, metavar="V", help="the vCluster that the node is in from then on")
    join.add_argument("--data-dir", type=Path, required=True)
    join.add_argument("--ttl", type=int, default=3600, metavar="S", help="seconds it is good for (3600)")

    export = commands.add_parser("export", help="write every entry and head to a file, for offline checks")
    export.add_argument("--data-dir", type=Path, required=True)
    export.add_argument("file", type=Path, nargs="?", help="standard output if not given")

    verify = commands.add_parser("verify", help="check the chain, and name the first bad entry")
    source = verify.add_mutually_exclusive_group(required=True)
    source.add_argument("--data-dir", type=Path, help="check the database itself, columns and all")
    source.add_argument("--export", type=Path, metavar="FILE", help="check an export file")
    verify.add_argument("--anchor", type=Path, metavar="FILE", help="heads that someone else has kept")
    return parser


def run(argv: Sequence[str]) -> int:
    """Run one command line; returns its exit status. Raises `PactError`s."""
    options = vars(_parser().parse_args(argv))
    command = options.pop("command")
    if command == "serve":
        return _serve(options)
    if command == "export":
        return _export(options["data_dir"], options["file"])
    if command == "verify":
        return _verify(options["data_dir"], options["export"], options["anchor"])
    if command == "check-policy":
        return _check_policy(options["directory"])
    data = DataDir(options["data_dir"])
    sys.stdout.write(data.join_tokens().create(options["node"], options["vcluster"], options["ttl"]) + "\n")
    return 0


def _serve(options: dict[str, object]) -> int:
    from pactsh.journal.server import serve

    path = options.pop("config")
    modules, url = options.pop("policy_modules"), options.pop("opa_url")
    if modules or url:
        options["policy"] = {"modules": modules, "opa_url": url}
    config = load_config(path if isinstance(path, Path) else None, options)
    asyncio.run(serve(config))
    return 0


def _check_policy(directory: Path) -> int:
    from pactsh.policy.rego import Embedded

    async def check() -> None:
        engine = Embedded(directory)
        await engine.start()
        await engine.close()

    asyncio.run(check())
    sys.stdout.write(f"{directory}: can be used\n")
    return 0


def _reader(data: DataDir) -> Reader:
    if not data.database.exists():
        raise UsageError(f"{data.database}: no such file", hint="--data-dir names a journal's data directory")
    return Reader(data.database)


def _export(data_dir: Path, file: Path | None) -> int:
    data = DataDir(data_dir)
    reader = _reader(data)
    try:
        lines = export_lines(data.head_public_key(), now_text(), reader.all_rows(), reader.all_heads())
        if file is None:
            sys.stdout.writelines(lines)
            sys.stdout.flush()
        else:
            with open(file, "w", encoding="ascii", opener=_private_opener) as out:
                out.writelines(lines)
                out.flush()
                os.fsync(out.fileno())
    except sqlite3.Error as error:
        raise to_store_error(error, f"reading {data.database}") from error
    except OSError as error:
        raise PactError(f"{file or 'standard output'}: {error.strerror}") from error
    finally:
        reader.close()
    return 0


def _private_opener(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)  # what admins typed is nobody else's to read


def _verify(data_dir: Path | None, export: Path | None, anchor: Path | None) -> int:
    anchors = [] if anchor is None else read_anchors(anchor)
    if export is not None:
        verdict = verify_export(export, anchors)
    else:
        assert data_dir is not None  # argparse requires one of the two
        data = DataDir(data_dir)
        reader = _reader(data)
        try:
            is_genuine = head_checker(data.head_public_key())
            verdict = verify(reader.all_rows(), reader.all_heads(), is_genuine, anchors=anchors)
        except sqlite3.Error as error:
            raise to_store_error(error, f"reading {data.database}") from error
        finally:
            reader.close()
    if verdict.problem is not None:
        problem = verdict.problem
        raise PactError(f"verification failed at seq:{problem.seq}: {problem.kind}: {problem.detail}")
    sys.stdout.write(render_verdict(verdict) + "\n")
    return 0


def render_verdict(verdict: Verdict) -> str:
    """A good verdict in one line."""
    text = f"{verdict.entries} entries verified, signed up to seq:{verdict.signed_seq}"
    if verdict.redacted:
        text += f", {verdict.redacted} of them by their links alone (not readable for you)"
    return text
