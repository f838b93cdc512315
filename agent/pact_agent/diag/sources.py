"""Which logs a node has of those that are wanted, each with how it is searched."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Collection, Sequence

import msgspec

from pact_agent.diag import kmsg
from pact_agent.diag.found import Found, Search
from pact_agent.diag.journald import Journal, journal_command, search_journal, unit_of
from pact_agent.diag.logfiles import predecessor_of, search_file
from pact_agent.diag.matching import is_pattern, matching
from pact_agent.diag.opening import open_log
from pact_agent.diag.services import ServiceLogs
from pact_agent.diag.wanted import Wanted
from pactsh.errors import NotFoundError
from pactsh.policy.logpaths import MOST_PATHS, TREE, log_path_fault

MOST_FILES = 64  # of the policy's
_SERVICE_PREFIX = "service:"


class Places(msgspec.Struct, frozen=True):
    """Where logs are on a node: the tree of the files that may be shown, the system's own among them, the kernel's
    device, and systemd's journal."""

    tree: str = TREE
    syslog: tuple[str, ...] = ("/var/log/syslog", "/var/log/messages")
    kernel: str = kmsg.DEVICE
    journal: Journal = Journal()


class Source(msgspec.Struct, frozen=True):
    """A log, and what searches it; this may block. None: it is not there, and nobody said that it is."""

    name: str
    search: Callable[[Search], Found | None]


def sources_of(wanted: Wanted, places: Places, services: ServiceLogs, secrets: Sequence[str] = ()) -> list[Source]:
    """The node's own logs, in the order in which they are shown. Raises `NotFoundError` for a service that is none."""
    if wanted.service:
        return [_service(wanted, places, services)]
    found: list[Source] = []
    with_journal = places.journal.runs()
    if wanted.source != "service":
        found.append(Source("kernel", functools.partial(kmsg.search_kernel, device=places.kernel)))
        if with_journal:
            found.append(_journal("journal", wanted, places))
        else:
            found += [
                Source(path, functools.partial(_search_own, path, places.tree, secrets)) for path in places.syslog
            ]
    elif with_journal:
        found.append(_journal("services", wanted, places, units="*.service"))
    if wanted.source != "system":
        found += [_kept(name, services) for name in services.names()]
    return found


def named_sources(extra: Sequence[str], places: Places, secrets: Sequence[str], known: Collection[str]) -> list[Source]:
    """The files that the policy names, but those that are `known` already. It looks at the file system."""
    opener = functools.partial(open_log, tree=places.tree, secrets=secrets)
    sources: list[Source] = []
    paths: list[str] = []
    for pattern in extra[:MOST_PATHS]:
        # The journal has checked them; one of another version, or one that lies, shows no more by it.
        if fault := log_path_fault(pattern, places.tree):
            sources.append(Source(pattern, functools.partial(left_out, pattern, f"diag_paths: {fault}")))
        else:
            paths += matching(pattern, places.tree) if is_pattern(pattern) else [pattern]
    logs = frozenset([*paths, *known])
    paths = [path for path in dict.fromkeys(paths) if path not in known and predecessor_of(path) not in logs]
    sources += [Source(path, functools.partial(search_file, path, opener)) for path in paths[:MOST_FILES]]
    if (left := len(paths) - MOST_FILES) > 0:
        why = f"over {MOST_FILES} files: {left} of them are left out"
        sources.append(Source("diag_paths", functools.partial(left_out, "diag_paths", why)))
    return sources


def left_out(source: str, why: str, search: Search) -> Found:
    """Nothing but the reason."""
    return search.found(source, why)


def _search_own(path: str, tree: str, secrets: Sequence[str], search: Search) -> Found | None:
    """One of the places where a system's log may be; the syslog daemon, who may write there, is not root."""
    opener = functools.partial(open_log, tree=tree, secrets=secrets)
    return search_file(path, opener, search) if os.path.lexists(path) else None


def _service(wanted: Wanted, places: Places, services: ServiceLogs) -> Source:
    name = wanted.service
    if name in services.names():
        return _kept(name, services)
    if not places.journal.runs():
        known = ", ".join(services.names()) or "none"
        raise NotFoundError(f"diag: {name}: no such service on this node", hint=f"services with a log here: {known}")
    return _journal(f"{_SERVICE_PREFIX}{name}", wanted, places, units=unit_of(name))


def _journal(source: str, wanted: Wanted, places: Places, units: str = "") -> Source:
    command = journal_command(places.journal.journalctl, wanted.since, units=units)
    return Source(source, functools.partial(search_journal, command, source))


def _kept(name: str, services: ServiceLogs) -> Source:
    path = services.log(name)
    opener = functools.partial(_open_own, os.path.dirname(path))

    def search(search: Search) -> Found:
        found = search_file(path, opener, search)
        found.source = f"{_SERVICE_PREFIX}{name}"
        return found

    return Source(f"{_SERVICE_PREFIX}{name}", search)


def _open_own(tree: str, path: str) -> int:
    """A file below pact's own state: masked for everybody, and what is in this directory is the service's output."""
    return open_log(path, tree, own=True)
