"""What the journal demands of an `overlay.updated` before it keeps one, whoever sends it. Pure."""

from __future__ import annotations

import hashlib
import json

import msgspec

from pactsh.errors import ConflictError, ForbiddenError, UsageError
from pactsh.journal.projections import PolicyView
from pactsh.model.entry import Draft
from pactsh.model.overlay import MOST_BYTES, Overlay
from pactsh.policy.rbac import ADMIN
from pactsh.spec import value_faults

TYPE = "overlay.updated"


def check_overlay(draft: Draft, current: PolicyView) -> None:
    """Raise `UsageError` for what is no overlay of the scope's vCluster, `ForbiddenError` where its files differ and
    the author is no platform admin, `ConflictError` for one that was not made from the `current` one: versions go up
    by one."""
    kind, _, vcluster = draft.scope.partition(":")
    if kind != "vcluster":
        raise UsageError(f"{TYPE}: scope {draft.scope!r}: an overlay is a vCluster's")
    body = draft.body or {}
    if body.keys() != {"overlay"}:
        raise UsageError(f"{TYPE}: the body must hold the overlay and nothing else")
    document = body["overlay"]
    if len(json.dumps(document)) > MOST_BYTES:
        raise UsageError(f"{TYPE}: an overlay has at most {MOST_BYTES} bytes")
    overlay = overlay_of(document)
    if overlay.vcluster != vcluster:
        raise UsageError(f"{TYPE}: is {overlay.vcluster!r}, and this is the overlay of {vcluster}")
    faults = [fault for name, some in overlay.values.items() for fault in value_faults(name, some, overlay.contents)]
    if faults:
        raise UsageError(f"{TYPE}: {faults[0]}")
    for digest, text in overlay.contents.items():
        if hashlib.sha256(text.encode("utf-8", "replace")).hexdigest() != digest:
            raise UsageError(f"{TYPE}: contents: {digest[:64]} is not the digest of its text")
    in_force = _in_force(current)
    if _files_of(overlay) != (*_files_of(in_force)[:2], set()) and ADMIN not in draft.author.roles:
        raise ForbiddenError(
            f"{draft.author.principal} may not declare files of {vcluster}: a file can make any program run",
            hint=f"needed: {ADMIN}",
        )
    version = in_force.version
    if overlay.version != version + 1:
        raise ConflictError(
            f"the overlay of {vcluster} is at version {version}: version {overlay.version} was not made from it",
            hint="pact apply it again: it is then made from the one in force",
        )


def overlay_of(document: object) -> Overlay:
    """An overlay from decoded JSON; raises `UsageError`."""
    try:
        return msgspec.convert(document, Overlay)
    except ValueError as error:  # ValidationError
        raise UsageError(f"{TYPE}: {error}") from error


def version_of(view: PolicyView) -> int:
    """The version of the overlay in force; 0 where none was ever applied."""
    return _in_force(view).version


def _files_of(overlay: Overlay) -> tuple[object, ...]:
    """All that it says of files."""
    overwritten = {name for names in overlay.overwrite.values() for name in names if name.startswith("files:")}
    return overlay.values.get("files", {}), overlay.contents, overwritten


def _in_force(view: PolicyView) -> Overlay:
    return msgspec.json.decode(view.document, type=Overlay) if view.seq else Overlay("")
