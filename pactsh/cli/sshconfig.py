"""`pact ssh-config`: an OpenSSH configuration and known-hosts line for the fleet.

With it the stock client reaches nodes with the person's certificate: `ssh -F FILE node042`, or `Include FILE`
in `~/.ssh/config`. What pact's servers refuse (forwarding, agent, X11) is switched off here as well.
"""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pactsh.auth import private
from pactsh.auth.credentials import SshCredentials
from pactsh.cli import interrupts
from pactsh.cli.command import Command
from pactsh.cli.context import Context
from pactsh.cli.render import Out
from pactsh.errors import NotFoundError, PactError

if TYPE_CHECKING:
    from pactsh.rpc import pact_pb2 as pb


@dataclass(frozen=True, slots=True)
class Args:
    """`refresh`: only renew the certificate, print nothing (for `Match exec`)."""

    refresh: bool


@dataclass(frozen=True, slots=True)
class Result:
    """The configuration's text and the files it names."""

    config: str
    known_hosts: str
    certificate: str
    expires_at: str
    nodes: tuple[str, ...]


def run(ctx: Context, args: Args) -> Result:
    """Renew the certificate if needed, write the known-hosts file, compose the configuration."""

    return interrupts.run(_run(ctx, args))


async def _run(ctx: Context, args: Args) -> Result:
    from pactsh.cli.sshclient import Gate, parse_address

    gate = Gate(ctx)
    credentials = await gate.certificate()
    known_hosts = gate.directory / "known_hosts"
    if args.refresh:
        return Result("", str(known_hosts), str(credentials.certificate), _iso(credentials), ())
    async with ctx.journal() as journal:
        found = await journal.nodes(ctx.settings.vcluster or "")
        trust = await journal.trust()
    private.write_private(known_hosts, f"@cert-authority * {trust.ssh_host_ca}\n".encode())
    hosts: list[tuple[str, str, int]] = []
    for node in sorted(found, key=_name):
        try:
            hosts.append((node.node, *parse_address(node.node, node.ssh_address)))
        except NotFoundError as error:
            ctx.notice(f"pact: {error.message}; left out")
    text = render_config(hosts, credentials, known_hosts, refresh_command(ctx))
    return Result(text, str(known_hosts), str(credentials.certificate), _iso(credentials), tuple(h[0] for h in hosts))


def _name(node: pb.Node) -> str:
    return node.node


def _iso(credentials: SshCredentials) -> str:
    return credentials.expires_at.strftime("%Y-%m-%dT%H:%M:%SZ")


def refresh_command(ctx: Context) -> str:
    """The command line, for sh, by which OpenSSH has the certificate renewed before it connects.

    The token stays where it is: only a saved one can be found again by a later run.
    """
    program = Path(sys.argv[0])
    name = str(program.resolve()) if program.exists() else "pact"
    words = [name, "--endpoint", ctx.settings.endpoint, "--ca", str(Path(ctx.settings.ca).resolve()), "ssh-config"]
    return shlex.join([*words, "--refresh"]) + " >/dev/null 2>&1"


def render_config(
    hosts: list[tuple[str, str, int]], credentials: SshCredentials, known_hosts: Path, refresh: str
) -> str:
    """ssh_config(5) for the hosts (name, address, port). Raises `PactError` for paths it can't hold."""
    for path in (credentials.key, credentials.certificate, known_hosts):
        if '"' in str(path) or "\n" in str(path):
            raise PactError(f"ssh-config: {path}: a path with quotes can't be written in ssh_config")
    lines = ["# Made by `pact ssh-config`: nodes by certificate; forwarding and copying are refused there."]
    for name, address, port in hosts:
        lines += ["", f"Host {name}", f"  HostName {address}", f"  Port {port}", f"  HostKeyAlias {name}"]
    if hosts:
        names = ",".join(name for name, _, _ in hosts)
        quoted = refresh.replace('"', '\\"').replace("%", "%%")
        lines += [
            "",
            f'Match originalhost {names} exec "{quoted} || true"',
            f'  IdentityFile "{credentials.key}"',
            f'  CertificateFile "{credentials.certificate}"',
            f'  UserKnownHostsFile "{known_hosts}"',
            f"  User {credentials.principal}",
            "  GlobalKnownHostsFile /dev/null",
            "  IdentitiesOnly yes",
            "  IdentityAgent none",
            "  StrictHostKeyChecking yes",
            "  UpdateHostKeys no",
            "  PreferredAuthentications publickey",
            "  ForwardAgent no",
            "  ForwardX11 no",
            "  PermitLocalCommand no",
            "  ControlMaster no",
            "  ControlPath none",
        ]
    return "\n".join(lines) + "\n"


def render(result: Result, out: Out) -> None:
    """The configuration itself, ready for a file."""
    for line in result.config.splitlines():
        out.line(line)


command = Command(
    "ssh-config",
    help="""Print an OpenSSH configuration for the fleet.

    pact ssh-config > ~/.ssh/pact.conf; ssh -F ~/.ssh/pact.conf node042. The certificate is renewed by
    OpenSSH itself when it connects, as long as the token that `pact login` saved is good.""",
    run=run,
    render=render,
    args=Args,
    params=[
        click.Option(["--refresh"], is_flag=True, help="Only renew the certificate; print nothing."),
    ],
)
