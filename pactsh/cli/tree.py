"""The one list of pact's verbs, in help order. Modules are imported when their verb is used, not before.

`Verb.needs` hides a verb from the help and from completion while what it needs isn't configured; called anyway it says
what to set.
A verb without a module is in CLI.md but not in this version: it is hidden and says so.
"""

from __future__ import annotations

import difflib
import importlib
import os
from dataclasses import dataclass
from functools import cached_property
from typing import NoReturn

import click
from click.shell_completion import CompletionItem

from pactsh.cli.command import global_options, version_option
from pactsh.cli.configured import NEEDS, configured
from pactsh.errors import PactError, UsageError

STATE, ADMIN, DELEGATION, LATTICE, SYSTEM = (
    "Configuration management",
    "Admin operations",
    "Delegation",
    "Lattice",
    "This system",
)


@dataclass(frozen=True, slots=True)
class Verb:
    """A verb of the tree. `module` exports `command`; empty: not in this version."""

    name: str
    group: str
    summary: str
    module: str = ""
    needs: str = ""


VERBS: tuple[Verb, ...] = (
    Verb("status", STATE, "Show the state of a node or of a vCluster's nodes.", "pactsh.cli.status"),
    Verb("diff", STATE, "Show what differs from the declared state.", "pactsh.cli.diff"),
    Verb("commit", STATE, "Commit what has drifted on a node.", "pactsh.cli.commit"),
    Verb("rollback", STATE, "Undo changes on a node.", "pactsh.cli.rollback"),
    Verb("log", STATE, "Show and verify the journal.", "pactsh.cli.log"),
    Verb("apply", STATE, "Validate and apply a vCluster spec.", "pactsh.cli.apply"),
    Verb("promote", STATE, "Turn a node's committed deltas into an overlay.", "pactsh.cli.promote"),
    Verb("watch", STATE, "Show journal entries as they happen.", "pactsh.cli.watch"),
    Verb("extend", STATE, "Lengthen the open commit window.", "pactsh.cli.extend"),
    Verb("emergency", STATE, "Enter or leave emergency mode.", "pactsh.cli.emergency"),
    Verb("conflicts", STATE, "Settle keys changed on both sides of a partition."),
    Verb("exec", ADMIN, "Run one whitelisted command on nodes.", "pactsh.cli.exec"),
    Verb("shell", ADMIN, "Open an interactive session on a node.", "pactsh.cli.shell"),
    Verb("session", ADMIN, "List sessions, and play what was recorded of them.", "pactsh.cli.session"),
    Verb("service", ADMIN, "Show and control a node's services.", "pactsh.cli.service"),
    Verb("diag", ADMIN, "Gather and filter logs of nodes.", "pactsh.cli.diag"),
    Verb("cap", ADMIN, "Show what a node has: hardware, containment, versions.", "pactsh.cli.cap"),
    Verb("blacklist", ADMIN, "Show and change what is no drift.", "pactsh.cli.blacklist"),
    Verb("group", ADMIN, "Show and change vClusters and their policy.", "pactsh.cli.group"),
    Verb("approve", ADMIN, "Approve or deny two-person operations.", "pactsh.cli.approve"),
    Verb("revoke", ADMIN, "Take back what was issued to a person or a node.", "pactsh.cli.revoke"),
    Verb("node", ADMIN, "Enrol and decommission nodes."),
    Verb("login", ADMIN, "Sign in.", "pactsh.cli.login"),
    Verb("logout", ADMIN, "Sign out, and revoke what sign-in gave.", "pactsh.cli.logout"),
    Verb("whoami", ADMIN, "Show who you are here, and what proved it.", "pactsh.cli.whoami"),
    Verb("ssh-config", ADMIN, "Print an OpenSSH configuration for the fleet.", "pactsh.cli.sshconfig"),
    Verb("reboot", DELEGATION, "Reboot a node through OpenCHAMI.", "pactsh.cli.reboot", needs="openchami"),
    Verb("reimage", DELEGATION, "Reimage a node through OpenCHAMI.", "pactsh.cli.reimage", needs="openchami"),
    Verb("drain", LATTICE, "Drain a node.", "pactsh.cli.drain", needs="lattice"),
    Verb("undrain", LATTICE, "Return a drained node to service.", "pactsh.cli.undrain", needs="lattice"),
    Verb("cordon", LATTICE, "Take a node out of scheduling.", "pactsh.cli.cordon", needs="lattice"),
    Verb("uncordon", LATTICE, "Put a node back into scheduling.", "pactsh.cli.uncordon", needs="lattice"),
    Verb("jobs", LATTICE, "List, inspect and cancel jobs.", "pactsh.cli.jobs", needs="lattice"),
    Verb("queue", LATTICE, "Show a vCluster's queue.", "pactsh.cli.queue", needs="lattice"),
    Verb("accounting", LATTICE, "Show a vCluster's accounting.", "pactsh.cli.accounting", needs="lattice"),
    Verb("dag", LATTICE, "List, inspect and cancel DAGs.", "pactsh.cli.dag", needs="lattice"),
    Verb("budget", LATTICE, "Show budgets of tenants and users.", "pactsh.cli.budget", needs="lattice"),
    Verb("backup", LATTICE, "Create, verify and restore backups.", "pactsh.cli.backup", needs="lattice"),
    Verb("nodes", LATTICE, "List and inspect lattice's nodes.", "pactsh.cli.latticenodes", needs="lattice"),
    Verb("cluster", SYSTEM, "Show what keeps the journal, and lattice's quorum.", "pactsh.cli.cluster"),
    Verb("audit", SYSTEM, "Show audit events of pact and lattice.", "pactsh.cli.audit"),
    Verb("health", SYSTEM, "Show the health of the whole system.", "pactsh.cli.health"),
    Verb("dev", SYSTEM, "Run a whole system on this machine, for development.", "pactsh.cli.dev"),
    Verb("completion", SYSTEM, "Print a completion script for a shell.", "pactsh.cli.completion"),
    Verb("help", SYSTEM, "Show help on a verb.", "pactsh.cli.help"),
)


class Missing(click.Command):
    """A verb that can't be used here: it takes any arguments and says why not."""

    def __init__(self, verb: Verb) -> None:
        super().__init__(
            verb.name,
            help=verb.summary,
            short_help=verb.summary,
            hidden=True,
            add_help_option=False,
            params=[click.Argument(["rest"], nargs=-1, type=click.UNPROCESSED)],
            context_settings={"ignore_unknown_options": True},
        )
        self.verb = verb

    def get_help(self, ctx: click.Context) -> NoReturn:
        """There is none of what can't be used."""
        self.invoke(ctx)

    def invoke(self, _ctx: click.Context) -> NoReturn:
        """Raise the error that says what is missing."""
        if self.verb.module:
            from pactsh.cli.config import load_settings

            load_settings({}, os.environ)  # a file that can't be read is the reason then
            variable, key = NEEDS[self.verb.needs]
            raise UsageError(
                f"{self.verb.name}: no {self.verb.needs} endpoint is configured",
                hint=f"set {variable}, or {key} in cli.toml",
            )
        raise PactError(f"{self.verb.name}: not available in this version")


class Tree(click.Group):
    """The root command: looks verbs up in `VERBS` and imports them when asked for."""

    def __init__(self, verbs: tuple[Verb, ...] = VERBS) -> None:
        super().__init__(
            "pact",
            help="Administer HPC nodes: every command authorised, journaled, and undone unless committed.",
            params=[*global_options(), version_option()],
            no_args_is_help=False,
            invoke_without_command=True,
        )
        self.verbs = {verb.name: verb for verb in verbs}

    @cached_property
    def _usable(self) -> tuple[Verb, ...]:
        """The verbs that can be used here."""
        there = configured(os.environ)
        return tuple(v for v in self.verbs.values() if v.module and (not v.needs or v.needs in there))

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """Every verb that can be used, in help order."""
        return [verb.name for verb in self._usable]

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of a verb."""
        verb = self.verbs.get(cmd_name)
        if verb is None:
            return None
        if not verb.module or (verb.needs and verb not in self._usable):
            return Missing(verb)
        command = importlib.import_module(verb.module).command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the verb; an unknown one raises `UsageError` with the nearest known."""
        name = args[0]
        command = self.get_command(ctx, name)
        if command is None:
            if ctx.resilient_parsing:
                return None, None, args[1:]
            if name.startswith("-"):
                raise click.NoSuchOption(name, ctx=ctx)
            near = difflib.get_close_matches(name, self.list_commands(ctx), n=1)
            raise UsageError(
                f"{name}: unknown verb",
                hint=f"did you mean: pact {near[0]}" if near else "pact --help lists the verbs",
            )
        return name, command, args[1:]

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The verbs by group, from the list alone: no module is imported for the help."""
        for group in (STATE, ADMIN, DELEGATION, LATTICE, SYSTEM):
            rows = [(v.name, v.summary) for v in self._usable if v.group == group]
            if rows:
                with formatter.section(group):
                    formatter.write_dl(rows)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """The verbs that begin so, from the list alone, and the global options."""
        verbs = [v for v in self._usable if v.name.startswith(incomplete)]
        items = [CompletionItem(v.name, help=v.summary) for v in verbs]
        return items + click.Command.shell_complete(self, ctx, incomplete)

    def invoke(self, ctx: click.Context) -> object:
        """Run the verb and return its exit status; without one print the help."""
        if not ctx.args and not ctx._protected_args:
            click.echo(ctx.get_help())
            return 0
        return super().invoke(ctx)
