"""PCS's transitions and BOS's sessions: each goes on by a step whenever somebody looks at it."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from tests.openchami.serving import NO_PAGE, Answer, Call, html, problem

if TYPE_CHECKING:
    from tests.openchami import Openchami

OPERATIONS = {"on", "off", "soft-off", "force-off", "soft-restart", "hard-restart", "init"}
NO_SERVER = "No server is available to handle this request."


class Pcs:
    """What PCS answers, to whom shows a token."""

    def __init__(self, site: Openchami) -> None:
        self._site = site
        self._transitions: dict[str, dict[str, Any]] = {}

    def answer(self, call: Call, path: str) -> Answer:
        """`path` is below /v1."""
        if path == "/readiness":
            return Answer(204)
        refused = self._site.refused(call)
        if refused:
            return refused
        if path == "/power-status" and call.method == "GET":
            return Answer(200, {"status": [self._status(xname) for xname in call.query.get("xname", [])]})
        if path == "/transitions" and call.method == "POST":
            return self._begin(call)
        if path.startswith("/transitions/") and call.method == "GET":
            return self._look(path.removeprefix("/transitions/"))
        return NO_PAGE

    def _status(self, xname: str) -> dict[str, Any]:
        node = self._site.nodes.get(xname)
        if node is None:
            why = "Component not found in component map."
            return {
                "xname": xname, "powerState": "", "managementState": "", "error": why,
                "supportedPowerTransitions": None, "lastUpdated": "",
            }  # fmt: skip
        return {
            "xname": xname, "powerState": node.power if node.manageable else "undefined",
            "managementState": "available" if node.manageable else "unavailable", "error": "",
            "supportedPowerTransitions": ["On", "Soft-Off", "Off", "Init"], "lastUpdated": "2025-11-03T10:00:00Z",
        }  # fmt: skip

    def _begin(self, call: Call) -> Answer:
        body = call.body if isinstance(call.body, dict) else {}
        operation = str(body.get("operation", "")).lower()
        if operation not in OPERATIONS:
            return problem(400, "Bad Request", f"invalid Operation type {operation}")
        id_, name = str(uuid.uuid4()), operation.title()
        xnames = [str(place.get("xname")) for place in body.get("location", [])]
        self._transitions[id_] = {"operation": name, "xnames": xnames, "looks": 0}
        return Answer(200, {"transitionID": id_, "operation": name})

    def _look(self, id_: str) -> Answer:
        known, site = self._transitions.get(id_), self._site
        if known is None:
            return problem(404, "Not Found", "TransitionID does not exist")
        if site.flaky > 0:
            site.flaky -= 1
            return html(503, NO_SERVER)
        looks, operation = known["looks"], known["operation"]
        known["looks"] = looks + 1
        if site.forgets:
            del self._transitions[id_]
        steps = (
            "Gathering data",
            f"Applying transition, {operation}",
            f"Confirming successful transition, {operation}",
        )
        is_over = looks >= len(steps) and not site.never_ends
        tasks = [self._task(xname, operation, "" if is_over else steps[min(looks, 2)]) for xname in known["xnames"]]
        end = "aborted" if site.aborted else "completed"
        by = [task["taskStatus"] for task in tasks]
        counts = {word: by.count(word) for word in ("new", "in-progress", "failed", "succeeded")}
        return Answer(200, {
            "transitionID": id_, "operation": operation, "createTime": "2025-11-03T10:00:00.0Z",
            "automaticExpirationTime": "2025-11-04T10:00:00.0Z",
            "transitionStatus": end if is_over else "in-progress" if looks else "new",
            "taskCounts": {"total": len(tasks), **counts, "un-supported": by.count("unsupported")}, "tasks": tasks,
        })  # fmt: skip

    def _task(self, xname: str, operation: str, step: str) -> dict[str, Any]:
        """How far a task is; the end is where it happens."""
        if step:
            return {"xname": xname, "taskStatus": "in-progress", "taskStatusDescription": step}
        node = self._site.nodes.get(xname)
        error = self._site.task_error or ("Missing xname" if node is None else "")
        if node is not None and operation in {"Soft-Restart", "Hard-Restart"} and node.power != "on":
            error = "Component is in the wrong power state for transition operation"
        if self._site.aborted:
            error = "Transition aborted"
        if self._site.unsupported:
            status, description = "unsupported", f"Unsupported for transition operation {operation}"
        elif error:
            status, description = "failed", "Failed to achieve transition"
        else:
            assert node is not None
            node.power = "off" if operation.endswith("Off") else "on"
            status, description = "succeeded", f"Transition confirmed, {operation}"
        told = {"xname": xname, "taskStatus": status, "taskStatusDescription": description}
        return told | {"error": error} if error else told


class Bos:
    """What BOS v2 answers, to whom shows a token."""

    def __init__(self, site: Openchami) -> None:
        self._site = site
        self._sessions: dict[str, dict[str, Any]] = {}

    def add(self, name: str, template: str) -> None:
        """Have a session known that has ended."""
        self._sessions[name] = {"name": name, "template_name": template, "limit": "", "looks": 9}

    def answer(self, call: Call, path: str) -> Answer:
        """`path` is below /v2."""
        refused = self._site.refused(call)
        if refused:
            return refused
        kind, _, rest = path.removeprefix("/").partition("/")
        name, _, more = rest.partition("/")
        if kind == "components" and call.method == "GET":
            node = self._site.nodes.get(name)
            if node is None:
                return problem(404, "Component not found.", f"Component {name} could not be found")
            return Answer(200, {"id": name, "session": node.bos_session, "desired_state": {}, "enabled": False})
        if kind == "sessions" and call.method == "POST":
            return self._order(call.body)
        session = self._sessions.get(name)
        if kind != "sessions" or call.method != "GET" or session is None:
            return problem(404, "Session not found.", f"Session {name} could not be found")
        return self._status(session) if more == "status" else Answer(200, _session(session))

    def _order(self, body: Any) -> Answer:
        allowed = {"operation", "template_name", "limit", "name", "stage", "include_disabled"}
        if not isinstance(body, dict) or not {"operation", "template_name"} <= set(body) <= allowed:
            return problem(400, "Bad Request", "'template_name' is a required property")
        if body["template_name"] not in self._site.templates:
            return problem(400, "Bad Request", f"Session Template {body['template_name']} is invalid")
        name = str(uuid.uuid4())
        self._sessions[name] = {"limit": "", **body, "name": name, "looks": 0}
        return Answer(201, _session(self._sessions[name]))

    def _status(self, session: dict[str, Any]) -> Answer:
        site = self._site
        if site.flaky > 0:
            site.flaky -= 1
            return html(503, NO_SERVER)
        looks, error = session["looks"], site.bos_error
        if not (site.never_ends and looks == 2):
            session["looks"] = looks + 1
        state = _session(session)["status"]["status"]
        is_over = state == "complete"
        phases = {"percent_complete": 100.0 if is_over else 0}
        for place, phase in enumerate(("percent_powering_off", "percent_powering_on", "percent_configuring")):
            phases[phase] = 100.0 if not is_over and place == looks else 0
        return Answer(200, {
            "status": state, "managed_components_count": sum(n in site.nodes for n in session["limit"].split(",")),
            "percent_failed": 100.0 if is_over and error else 0, "percent_staged": 0,
            "percent_successful": 100.0 if is_over and not error else 0, "phases": phases,
            "error_summary": {error: {"count": 1, "list": session["limit"]}} if error else {},
            "timing": {"start_time": "2025-11-03T10:00:00", "end_time": None, "duration": "0:00:20"},
        })  # fmt: skip


def _session(session: dict[str, Any]) -> dict[str, Any]:
    state = "complete" if session["looks"] >= 3 else "running" if session["looks"] else "pending"
    return {
        "name": session["name"], "operation": session.get("operation", "reboot"), "limit": session["limit"],
        "template_name": session["template_name"], "stage": False, "components": session["limit"],
        "status": {"status": state, "start_time": "2025-11-03T10:00:00", "end_time": None, "error": None},
    }  # fmt: skip
