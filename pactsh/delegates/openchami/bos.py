"""BOS, which boots nodes on CSM from session templates."""

from __future__ import annotations

import re

import msgspec

from pactsh.delegates.openchami.complaint import printable
from pactsh.delegates.openchami.http import Http, Service
from pactsh.delegates.openchami.power import Tick
from pactsh.delegates.openchami.waiting import Pace, wait
from pactsh.errors import NotFoundError, PactError

_NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,127}", re.ASCII)


class _Component(msgspec.Struct, frozen=True):
    session: str | None = None


class _State(msgspec.Struct, frozen=True):
    status: str = ""
    error: str | None = None


class _Session(msgspec.Struct, frozen=True):
    name: str
    template_name: str = ""
    status: _State | None = None


class _Status(msgspec.Struct, frozen=True):
    status: str
    managed_components_count: int = 0
    percent_failed: float = 0
    percent_successful: float = 0
    phases: dict[str, object] | None = None
    error_summary: dict[str, object] | None = None


class Bos:
    """BOS at `service`."""

    def __init__(self, http: Http, service: Service, pace: Pace) -> None:
        self._http, self._service, self._pace = http, service, pace

    def template_of(self, xname: str) -> str:
        """The template that the node was booted with last. Raises `NotFoundError` if BOS does not know."""
        try:
            name = self._http.ask(self._service, "GET", f"/components/{xname}").read(_Component).session or ""
            if _NAME.fullmatch(name):
                template = self._http.ask(self._service, "GET", f"/sessions/{name}").read(_Session).template_name
                if template:
                    return template
        except NotFoundError:
            pass  # sessions are kept for a week
        raise NotFoundError(f"{xname}: BOS does not know which template it was booted with", hint="set bos_template")

    def reboot(self, xname: str, template: str, tick: Tick) -> str:
        """Boot it anew from a template and wait until BOS is done with it; returns the session's name. Raises
        `PactError` when it failed: a session is "complete" then as well."""
        body = {"operation": "reboot", "template_name": template, "limit": xname}
        begun = self._http.ask(self._service, "POST", "/sessions", body=body).read(_Session)
        if not _NAME.fullmatch(begun.name):  # it becomes part of a path
            raise PactError(f"BOS names its session {printable(begun.name, 80)!r}, which is no name")
        tick(f"{xname}: session {begun.name} of template {printable(template, 80)}")
        told = ""

        def look() -> _Status | None:
            nonlocal told
            seen = self._http.ask(self._service, "GET", f"/sessions/{begun.name}/status").read(_Status)
            text = _phase(seen)
            if text and text != told:
                told = text
                tick(f"{xname}: {text}")
            return seen if seen.status.lower() == "complete" else None

        hint = f"it goes on without pact: {self._service.base}/sessions/{begun.name}/status tells how"
        seen = wait(look, self._pace, what=f"reimage of {xname}", hint=hint)
        if not seen.managed_components_count:
            session = self._http.ask(self._service, "GET", f"/sessions/{begun.name}").read(_Session)
            why = (session.status.error if session.status else "") or "is it one of the template's nodes?"
            raise PactError(
                f"reimage of {xname}: BOS's session has no node, or has it no more: {printable(why)}",
                hint="look at bos_template, and whether another session has taken the node over",
            )
        _judge(xname, seen)
        return begun.name


def _phase(seen: _Status) -> str:
    """The phase that it is in: BOS tells how much of its nodes is where, and ours is alone."""
    for name, part in (seen.phases or {}).items():
        if isinstance(part, int | float) and part > 0 and name.startswith("percent_"):
            return printable(name.removeprefix("percent_").replace("_", " "), 80)
    return seen.status


def _judge(xname: str, seen: _Status) -> None:
    why = printable("; ".join(seen.error_summary or ()))
    if seen.percent_failed > 0:
        raise PactError(f"reimage of {xname} failed: {why or 'BOS does not say why'}")
    if seen.percent_successful < 100:
        raise PactError(f"reimage of {xname} did not succeed: {why or 'BOS does not say why'}")
