"""A BMC whose Redfish has sessions, tasks, ETags and links that lead astray, all of which sushy's emulator has not."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.openchami.serving import Answer, Call, Server

USER, PASSWORD = "admin", "s3cret of the BMC"
SYSTEM = "/redfish/v1/Systems/1"
RESET = f"{SYSTEM}/Actions/ComputerSystem.Reset"
SESSIONS = "/redfish/v1/SessionService/Sessions"
TASK = "/redfish/v1/TaskService/Tasks/7"


def _error(status: int, message: str, more: str = "") -> Answer:
    info = [{"MessageId": "Base.1.8.GeneralError", "Message": more}] if more else []
    return Answer(
        status, {"error": {"code": "Base.1.8.GeneralError", "message": message, "@Message.ExtendedInfo": info}}
    )


class Bmc:
    """One with TLS on loopback. What it does is set by its attributes."""

    def __init__(self, certificate: tuple[Path, Path]) -> None:
        self.calls: list[Call] = []
        self.power: str | None = "On"
        self.pending: list[str] = []
        """What PowerState is at the next looks."""
        self.stays = ""
        """What PowerState is from the first reset on."""
        self.allowed: list[str] | None = ["On", "ForceOff", "GracefulRestart", "ForceRestart"]
        self.in_action_info = False
        self.targets: list[str] | None = ["None", "Pxe", "UefiHttp"]
        self.target = RESET
        self.hides_actions = False
        self.has_sessions = True
        self.is_root_public = True
        self.session_location = f"{SESSIONS}/9"
        self.open_sessions = 0
        self.etag = ""
        self.stale = 0
        """How many writes fail because somebody else was quicker."""
        self.task: list[dict[str, Any]] = []
        """What a task says each time that it is looked at; without any, there are no tasks."""
        self.refuses = ""
        """Why it does not reset."""
        self.resets: list[str] = []
        self.boot: dict[str, Any] = {}
        self._server = Server(self._answer, certificate)

    @property
    def address(self) -> str:
        """Host, port and path of its system, as SMD has it."""
        return f"127.0.0.1:{self._server.server_port}{SYSTEM}"

    def asked(self, method: str) -> list[Call]:
        """The calls with this method."""
        return [call for call in self.calls if call.method == method]

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.end()

    def _answer(self, call: Call) -> Answer:
        self.calls.append(call)
        path = call.path.rstrip("/")
        if path == "/redfish/v1":
            links = {"Sessions": {"@odata.id": SESSIONS}} if self.has_sessions else {}
            return (
                Answer(200, {"RedfishVersion": "1.8.0", "Links": links}) if self.is_root_public else _error(401, "no")
            )
        if path == SESSIONS and call.method == "POST" and self.has_sessions:
            return self._sign_in(call)
        if not self._is_known(call):
            return _error(401, "Unauthorized", "While attempting to establish a connection, the service denied access.")
        if call.method == "DELETE" and path == f"{SESSIONS}/9":
            self.open_sessions -= 1
            return Answer(204, b"")
        if path == SYSTEM:
            return self._patch(call) if call.method == "PATCH" else self._system()
        if path == f"{SYSTEM}/ResetActionInfo":
            listed = [{"Name": "ResetType", "Required": True, "AllowableValues": self.allowed}]
            return Answer(200, {"Parameters": listed})
        if path == RESET and call.method == "POST":
            return self._reset(call)
        if path == TASK and self.task:
            told = self.task.pop(0)
            return Answer(202 if told.get("TaskState") == "Running" else 200, told)
        return _error(404, "Not Found")

    def _sign_in(self, call: Call) -> Answer:
        if call.body != {"UserName": USER, "Password": PASSWORD}:
            return _error(401, "Unauthorized", f"{call.body} is not the user's password")
        self.open_sessions += 1
        headers = {"X-Auth-Token": "tok3n", "Location": self.session_location}
        return Answer(201, {"@odata.id": f"{SESSIONS}/9", "Id": "9"}, headers=headers)

    def _is_known(self, call: Call) -> bool:
        if self.has_sessions:
            return call.headers.get("x-auth-token") == "tok3n" and self.open_sessions > 0
        return call.headers.get("authorization", "").startswith("Basic ")

    def _system(self) -> Answer:
        if self.pending:
            self.power = self.pending.pop(0)
        if self.stays and self.resets:
            self.power = self.stays
        reset: dict[str, Any] = {"target": self.target}
        if self.in_action_info:
            reset["@Redfish.ActionInfo"] = f"{SYSTEM}/ResetActionInfo"
        elif self.allowed is not None:
            reset["ResetType@Redfish.AllowableValues"] = self.allowed
        targets = {} if self.targets is None else {"BootSourceOverrideTarget@Redfish.AllowableValues": self.targets}
        told: dict[str, Any] = {"Id": "1", "Boot": targets}
        if not self.hides_actions:
            told["Actions"] = {"#ComputerSystem.Reset": reset}
        if self.power is not None:
            told["PowerState"] = self.power
        return Answer(200, told, headers={"ETag": self.etag} if self.etag else {})

    def _patch(self, call: Call) -> Answer:
        if self.etag and "if-match" not in call.headers:
            return _error(428, "Precondition Required")
        if self.stale > 0:
            self.stale -= 1
            self.etag = 'W/"2"'
            return _error(412, "Precondition Failed")
        self.boot = call.body["Boot"]
        return Answer(204, b"")

    def _reset(self, call: Call) -> Answer:
        kind = call.body["ResetType"]
        if self.refuses or self.allowed is None or kind not in self.allowed:
            return _error(400, "Bad Request", self.refuses or f"{kind} is not in the list of acceptable values.")
        self.resets.append(kind)
        if kind == "ForceOff":
            self.pending = ["On", "Off"]
        elif kind != "GracefulRestart":
            self.pending = ["Off", "PoweringOn", "On"]
        return Answer(202, b"", headers={"Location": TASK}) if self.task else Answer(204, b"")
