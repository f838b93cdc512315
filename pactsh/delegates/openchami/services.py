"""Power by OpenCHAMI's own services: PCS, and on CSM also BOS."""

from __future__ import annotations

from pactsh.delegates.answer import Answer
from pactsh.delegates.openchami.bos import Bos
from pactsh.delegates.openchami.bss import image_of
from pactsh.delegates.openchami.http import Http, trust
from pactsh.delegates.openchami.pcs import Pcs
from pactsh.delegates.openchami.places import places_of
from pactsh.delegates.openchami.power import Tick
from pactsh.delegates.openchami.smd import Smd
from pactsh.delegates.openchami.waiting import Pace
from pactsh.delegates.settings import OpenchamiSettings


class ByServices:
    """`Power` of PCS. A reimage is a restart of a node for which BSS has an image; on CSM it is BOS's."""

    def __init__(self, settings: OpenchamiSettings, *, timeout_s: float, pace: Pace) -> None:
        self._settings, self._timeout_s, self._pace = settings, timeout_s, pace
        self._places = places_of(settings)
        self._via = "(via CSM PCS)" if settings.backend == "csm" else "(via OpenCHAMI PCS)"

    def reboot(self, node: str, force: bool, tick: Tick) -> Answer:
        """See `Power`."""
        with self._http() as http:
            xname = Smd(http, self._places.smd).find(self._settings, node).id
            pcs = Pcs(http, self._places.pcs, self._pace)
            # Restarts fail on what is off.
            operation = ("hard-restart" if force else "soft-restart") if pcs.is_on(xname) else "on"
            done = pcs.transit(xname, operation, tick)
        what = "was off, switched on" if operation == "on" else operation
        return Answer(
            f"Rebooted: {called(node, xname)} {what} {self._via}",
            {"xname": xname, "operation": operation, "transition": done.id, "said": done.text},
        )

    def reimage(self, node: str, tick: Tick) -> Answer:
        """See `Power`."""
        with self._http() as http:
            xname = Smd(http, self._places.smd).find(self._settings, node).id
            if self._settings.backend == "csm":
                return self._by_bos(http, node, xname, tick)
            image = image_of(http, self._places.bss, xname)
            pcs = Pcs(http, self._places.pcs, self._pace)
            # A soft restart is left to the node's own system, which may start a kernel without asking BSS.
            operation = "hard-restart" if pcs.is_on(xname) else "init"
            tick(f"{xname}: boots {image.kernel}")
            done = pcs.transit(xname, operation, tick)
        return Answer(
            f"Reimaged: {called(node, xname)} boots {image.kernel} {self._via}",
            {
                "xname": xname, "operation": operation, "transition": done.id, "said": done.text,
                "kernel": image.kernel, "initrd": image.initrd,
            },
        )  # fmt: skip

    def _by_bos(self, http: Http, node: str, xname: str, tick: Tick) -> Answer:
        bos = Bos(http, self._places.bos, self._pace)
        template = self._settings.bos_template or bos.template_of(xname)
        session = bos.reboot(xname, template, tick)
        return Answer(
            f"Reimaged: {called(node, xname)} boots template {template} (via CSM BOS)",
            {"xname": xname, "template": template, "session": session},
        )

    def _http(self) -> Http:
        settings = self._settings
        return Http(trust("openchami_ca", settings.ca), timeout_s=self._timeout_s, token=settings.token)


def called(node: str, xname: str) -> str:
    """How people are told of a node."""
    return node if node.lower() == xname else f"{node} ({xname})"
