"""What OpenCHAMI's services answer (SMD, PCS, BSS; on CSM also BOS), on loopback, in the shapes that they really have.

`trouble` makes a service misbehave, `task_error` and alike make a deed fail the way PCS does it: inside of what is
"completed". Nothing here takes time: a transition goes on by a step each time that somebody looks at it.
"""

from __future__ import annotations

import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.openchami.deeds import NO_SERVER, Bos, Pcs
from tests.openchami.inventory import Node, Smd
from tests.openchami.serving import DRIP, HUGE, NO_PAGE, Answer, Call, Server, html, plain, problem

TROUBLES = ("html404", "html503", "problem500", "garbage", "list", "huge", "slow", "redirect", "cut", "echo", "drip")


class Openchami:
    """All of it behind one address, as behind OpenCHAMI's gateway; `csm`: below /apis, with BOS.

    `token`: what has to be shown where it is not public. `certificate`: PEM files of a certificate and its key.
    """

    def __init__(self, *, token: str = "", csm: bool = False, certificate: tuple[Path, Path] | None = None) -> None:
        self.nodes: dict[str, Node] = {}
        self.calls: list[Call] = []
        self.token, self.csm = token, csm
        self.trouble: dict[str, str] = {}
        """What a service (smd, pcs, bss, bos) does instead of its work: one of TROUBLES."""
        self.elsewhere = "http://127.0.0.1:9/"
        """Where `redirect` sends everybody."""
        self.task_error = ""
        """Why PCS's tasks fail, if they do."""
        self.unsupported = False
        """PCS's tasks end as not supported."""
        self.aborted = False
        """Somebody aborts PCS's transitions."""
        self.forgets = False
        """PCS drops the record of a transition that was looked at once."""
        self.flaky = 0
        """How many looks at a transition or session are answered by the gateway alone."""
        self.never_ends = False
        """Transitions and sessions go on and on."""
        self.bos_error = ""
        """What BOS says of a node that it could not boot."""
        self.unready: set[str] = set()
        """Services (smd, pcs, bss) that say so when they are asked."""
        self.templates: set[str] = {"compute-1.6"}
        self.bos = Bos(self)
        self._services = {
            "smd": ("/hsm/v2", Smd(self).answer), "pcs": ("/power-control/v1", Pcs(self).answer),
            "bss": ("/boot/v1", self._bss), **({"bos": ("/bos/v2", self.bos.answer)} if csm else {}),
        }  # fmt: skip
        self._stop = threading.Event()
        self._server = Server(self._answer, certificate)
        self._scheme = "http" if certificate is None else "https"

    @property
    def url(self) -> str:
        """The gateway's address, which is what `openchami_smd_url` may be."""
        return f"{self._scheme}://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._server.end()

    def add_node(self, xname: str, *, nid: int | None = None, power: str = "on", **more: Any) -> Node:
        """Have a node known; `more` are fields of `Node`."""
        self.nodes[xname] = Node(xname, nid, power, **more)
        return self.nodes[xname]

    def asked(self, method: str, ending: str = "") -> list[Call]:
        """The calls with this method whose path ends so."""
        return [call for call in self.calls if call.method == method and call.path.endswith(ending)]

    def refused(self, call: Call) -> Answer | None:
        """The answer to whom has not shown the token."""
        shown = call.headers.get("authorization")
        if not self.token or shown == f"Bearer {self.token}":
            return None
        return plain(401, "no token found\n" if shown is None else "token is unauthorized\n")

    def _answer(self, call: Call) -> Answer:
        self.calls.append(call)
        path = call.path
        if self.csm:
            if not path.startswith("/apis/"):
                return html(404, NO_SERVER)
            path = path.removeprefix("/apis")
            for name, below in (("/smd", "/hsm/"), ("/bss", "/boot/")):
                path = path.removeprefix(name) if path.startswith(name + below) else path
        for service, (prefix, answer) in self._services.items():
            if path.startswith(prefix + "/"):
                if path.removeprefix(prefix) in ("/service/ready", "/readiness") and service in self.unready:
                    return problem(503, "Service Unavailable", "no database") if service == "smd" else Answer(503, b"")
                how = self.trouble.get(service)
                return answer(call, path.removeprefix(prefix)) if how is None else self._misbehave(how, call)
        return html(404, NO_SERVER)

    def _misbehave(self, how: str, call: Call) -> Answer:
        if how == "slow":
            self._stop.wait(60)
        shown = call.headers.get("authorization", "")
        return {
            "slow": NO_PAGE, "cut": Answer(0), "garbage": Answer(200, b'{"a": [1,'), "list": Answer(200, [1]),
            "html404": html(404, NO_SERVER), "html503": html(503, NO_SERVER), "huge": Answer(200, HUGE),
            "problem500": problem(500, "Internal Server Error", "failed to query DB."),
            "drip": Answer(200, DRIP), "redirect": Answer(302, self.elsewhere),
            "echo": problem(400, "Bad Request", f"bad header {shown}"),
        }[how]  # fmt: skip

    def _bss(self, call: Call, path: str) -> Answer:
        if path == "/service/status":
            return Answer(200, {"bss-status": "running"})
        if path != "/bootscript" or call.query.get("json") != ["1"]:
            return NO_PAGE
        node = self.nodes.get("".join(call.query.get("name", [])))
        kernel = "" if node is None else node.image
        initrd = kernel.replace("kernel", "initrd")
        return Answer(200, {"params": "token=hush", "kernel": {"path": kernel}, "initrd": {"path": initrd}})
