"""PCS, which switches nodes' power: transitions are asked for, then followed until they are over."""

from __future__ import annotations

import re

import msgspec

from pactsh.delegates.openchami.complaint import printable
from pactsh.delegates.openchami.http import Http, Service
from pactsh.delegates.openchami.power import Tick
from pactsh.delegates.openchami.waiting import Pace, wait
from pactsh.errors import ConflictError, NotFoundError, PactError

_ID = re.compile(r"[0-9A-Za-z-]{1,64}", re.ASCII)


class _Status(msgspec.Struct, frozen=True, rename="camel"):
    xname: str = ""
    power_state: str = ""
    management_state: str = ""
    error: str = ""


class _Statuses(msgspec.Struct, frozen=True):
    status: list[_Status] | None


class _Begun(msgspec.Struct, frozen=True):
    id: str = msgspec.field(name="transitionID")


class _Counts(msgspec.Struct, frozen=True, rename="kebab"):
    total: int
    failed: int
    succeeded: int
    un_supported: int


class _Task(msgspec.Struct, frozen=True, rename="camel"):
    xname: str = ""
    task_status: str = ""
    task_status_description: str = ""
    error: str = ""


class _Transition(msgspec.Struct, frozen=True, rename="camel"):
    transition_status: str
    task_counts: _Counts
    tasks: list[_Task] | None = None


class Done(msgspec.Struct, frozen=True):
    """A transition that succeeded: its id, and what PCS said of it last."""

    id: str
    text: str


class Pcs:
    """PCS at `service`."""

    def __init__(self, http: Http, service: Service, pace: Pace) -> None:
        self._http, self._service, self._pace = http, service, pace

    def is_on(self, xname: str) -> bool:
        """Whether its power is on; raises `PactError` where PCS does not know."""
        reply = self._http.ask(self._service, "GET", "/power-status", params={"xname": xname})
        for one in reply.read(_Statuses).status or ():
            if one.xname.lower() != xname:
                continue
            if one.power_state.lower() in {"on", "off"}:
                return one.power_state.lower() == "on"
            why = printable(one.error) or f"its management is {printable(one.management_state, 40) or 'unknown'}"
            raise PactError(
                f"{xname}: PCS does not know whether its power is on: {why}", hint="does PCS reach its BMC?"
            )
        raise PactError(f"{xname}: PCS does not say whether its power is on")

    def transit(self, xname: str, operation: str, tick: Tick) -> Done:
        """Have it happen and wait until it is over. Raises `PactError` when it failed: that it is "completed" does not
        say that it succeeded."""
        body = {"operation": operation, "location": [{"xname": xname}]}
        begun = self._http.ask(self._service, "POST", "/transitions", body=body).read(_Begun)
        if not _ID.fullmatch(begun.id):  # it becomes part of a path
            raise PactError(f"PCS names its transition {printable(begun.id, 80)!r}, which is no id")
        tick(f"{xname}: {operation}")
        told = ""

        def look() -> _Transition | None:
            nonlocal told
            seen = self._seen(begun.id)
            text = " ".join(filter(None, (_said(task) for task in _of(seen, xname))))
            if text and text != told:
                told = text
                tick(f"{xname}: {text}")
            return seen if seen.transition_status.lower() in {"completed", "aborted"} else None

        hint = f"it goes on without pact: {self._service.base}/transitions/{begun.id} tells how"
        _judge(xname, operation, wait(look, self._pace, what=f"{operation} of {xname}", hint=hint))
        return Done(begun.id, told)

    def _seen(self, id_: str) -> _Transition:
        try:
            return self._http.ask(self._service, "GET", f"/transitions/{id_}").read(_Transition)
        except NotFoundError as error:
            raise PactError(
                f"PCS does not know its transition {id_} any more: what came of it is not known",
                hint="look at the node before you repeat it",
            ) from error


def _of(seen: _Transition, xname: str) -> list[_Task]:
    return [task for task in seen.tasks or () if task.xname.lower() == xname]


def _said(task: _Task) -> str:
    text = printable(task.task_status_description)
    return f"{text}: {printable(task.error)}" if task.error else text


def _judge(xname: str, operation: str, seen: _Transition) -> None:
    """Raise `PactError` unless every task has succeeded."""
    counts = seen.task_counts
    why = "; ".join(filter(None, (_said(task) for task in _of(seen, xname)))) or "PCS does not say why"
    if seen.transition_status.lower() == "aborted":
        raise ConflictError(f"{operation} of {xname} was aborted: {why}")
    if counts.un_supported:
        raise PactError(f"{operation} of {xname} is not possible: {why}", hint="its BMC does not offer what PCS needs")
    if counts.failed or not counts.total or counts.succeeded != counts.total:
        hint = "somebody holds it in SMD" if "reserve" in why.lower() else ""
        raise PactError(f"{operation} of {xname} failed: {why}", hint=hint)
