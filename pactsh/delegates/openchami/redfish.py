"""Power by the BMCs themselves, where there is no PCS."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from pactsh.delegates.answer import Answer
from pactsh.delegates.openchami.bmc import Bmc, bmc_trust
from pactsh.delegates.openchami.bss import image_of
from pactsh.delegates.openchami.complaint import printable
from pactsh.delegates.openchami.http import Http, check_url, host_of, trust
from pactsh.delegates.openchami.places import places_of
from pactsh.delegates.openchami.power import Tick
from pactsh.delegates.openchami.services import called
from pactsh.delegates.openchami.smd import Component, Endpoint, Smd
from pactsh.delegates.openchami.waiting import Pace, wait
from pactsh.delegates.settings import OpenchamiSettings
from pactsh.errors import ConflictError, PactError, UsageError

_VIA = "(via Redfish)"
_SYSTEMS, _MOST_SYSTEMS = "/redfish/v1/Systems", 32
_GENTLE = ("GracefulRestart", "ForceRestart", "PowerCycle")
_FORCED = ("ForceRestart", "PowerCycle")
_ON = ("On", "ForceOn")
_NETWORK = ("Pxe", "UefiHttp")


class Reset(msgspec.Struct, frozen=True):
    """The action that restarts a system."""

    target: str = ""
    allowed: list[str] | None = msgspec.field(name="ResetType@Redfish.AllowableValues", default=None)
    info: str = msgspec.field(name="@Redfish.ActionInfo", default="")


class _Actions(msgspec.Struct, frozen=True):
    reset: Reset | None = msgspec.field(name="#ComputerSystem.Reset", default=None)


class _Boot(msgspec.Struct, frozen=True):
    targets: list[str] | None = msgspec.field(name="BootSourceOverrideTarget@Redfish.AllowableValues", default=None)


class _System(msgspec.Struct, frozen=True, rename="pascal"):
    power_state: str | None = None
    actions: _Actions | None = None
    boot: _Boot | None = None
    uuid: str = msgspec.field(name="UUID", default="")
    etag: str = msgspec.field(name="@odata.etag", default="")


class _Member(msgspec.Struct, frozen=True):
    link: str = msgspec.field(name="@odata.id", default="")


class _Systems(msgspec.Struct, frozen=True, rename="pascal"):
    members: list[_Member] | None = None


class _Parameter(msgspec.Struct, frozen=True, rename="pascal"):
    name: str = ""
    allowable_values: list[str] | None = None


class _ActionInfo(msgspec.Struct, frozen=True, rename="pascal"):
    parameters: list[_Parameter] | None = None


class _Place(NamedTuple):
    """A node's system on its BMC; `path` "" where SMD does not have it."""

    xname: str
    host: str
    path: str
    endpoint: Endpoint


def steps(allowed: tuple[str, ...], *, is_on: bool, force: bool) -> tuple[str, ...]:
    """The resets that make a restart, of those that the BMC offers; none if it can't be made of them.

    >>> steps(("On", "ForceOff", "ForceRestart"), is_on=True, force=False)
    ('ForceRestart',)
    >>> steps(("On", "ForceOff"), is_on=True, force=True)
    ('ForceOff', 'On')
    """
    on = next((one for one in _ON if one in allowed), None)
    if not is_on:
        return () if on is None else (on,)
    for one in _FORCED if force else _GENTLE:
        if one in allowed:
            return (one,)
    return ("ForceOff", on) if on is not None and "ForceOff" in allowed else ()


def _checked(url: str) -> str:
    """The address of a system, of which SMD leaves https:// away; "" for what is none."""
    try:
        return check_url("RedfishURL", "https://" + url.removeprefix("https://"))
    except UsageError:
        return ""


class ByRedfish:
    """`Power` of BMCs, of which SMD knows where they are."""

    def __init__(self, settings: OpenchamiSettings, *, timeout_s: float, pace: Pace) -> None:
        self._settings, self._timeout_s, self._pace = settings, timeout_s, pace
        self._places = places_of(settings)
        bmc_trust(settings.bmc_ca, settings.bmc_fingerprint)  # say what is wrong with it before anybody is asked

    def reboot(self, node: str, force: bool, tick: Tick) -> Answer:
        """See `Power`."""
        with self._http() as http:
            place = self._place(http, node)
        with self._bmc(place) as bmc:
            place = self._found(bmc, place)
            done = self._restart(bmc, place, force, tick)
        what = "was off, switched on" if done[0] in _ON else " then ".join(done)
        return Answer(
            f"Rebooted: {called(node, place.xname)} {what} {_VIA}",
            {"xname": place.xname, "bmc": place.host, "resets": list(done)},
        )

    def reimage(self, node: str, tick: Tick) -> Answer:
        """See `Power`."""
        with self._http() as http:
            place = self._place(http, node)
            image = image_of(http, self._places.bss, place.xname)
        with self._bmc(place) as bmc:
            place = self._found(bmc, place)
            source = self._boot_from_network(bmc, place)
            tick(f"{place.xname}: boots {image.kernel} by {source}")
            done = self._restart(bmc, place, True, tick)
        return Answer(
            f"Reimaged: {called(node, place.xname)} boots {image.kernel} {_VIA}",
            {
                "xname": place.xname, "bmc": place.host, "resets": list(done), "boot": source,
                "kernel": image.kernel, "initrd": image.initrd,
            },
        )  # fmt: skip

    def _http(self) -> Http:
        settings = self._settings
        return Http(trust("openchami_ca", settings.ca), timeout_s=self._timeout_s, token=settings.token)

    def _bmc(self, place: _Place) -> Bmc:
        return Bmc(place.host, self._settings, timeout_s=self._timeout_s, pace=self._pace)

    def _place(self, http: Http, node: str) -> _Place:
        smd = Smd(http, self._places.smd)
        found: Component = smd.find(self._settings, node)
        if found.locked:  # PCS heeds it as well
            raise ConflictError(f"{called(node, found.id)} is locked in SMD", hint="unlock it there first")
        endpoint = smd.endpoint(found.id)
        url = endpoint.url or f"{endpoint.fqdn}{endpoint.path}"
        host, slash, path = _checked(url).removeprefix("https://").partition("/")
        if (path and not path.startswith("redfish/")) or not host:
            raise PactError(f"{found.id}: SMD has {printable(url, 120)!r} as its RedfishURL, which is none")
        return _Place(found.id, host, slash + path if path else "", endpoint)

    def _found(self, bmc: Bmc, place: _Place) -> _Place:
        """With the path of its system. SMD has it where it discovered the BMC itself; where others filled it in (as
        magellan does) it has the UUID alone, by which the system is known on the BMC."""
        if place.path:
            return place
        uuid = place.endpoint.uuid.casefold()
        systems, _ = bmc.read(_SYSTEMS, _Systems)
        members = [bmc.own(member.link) for member in systems.members or ()][:_MOST_SYSTEMS]
        paths = [path for path in members if not uuid or bmc.read(path, _System)[0].uuid.casefold() == uuid]
        if len(paths) != 1:
            which = f"with the UUID {printable(place.endpoint.uuid, 40)} that SMD has" if uuid else "to choose from"
            raise PactError(f"{place.xname}: its BMC has {len(paths) or 'no'} systems {which}, where one is expected")
        return place._replace(path=paths[0])

    def _restart(self, bmc: Bmc, place: _Place, force: bool, tick: Tick) -> tuple[str, ...]:
        system, _ = bmc.read(place.path, _System)
        reset = self._reset(bmc, system, place.endpoint)
        if system.power_state == "PoweringOff":
            self._until(bmc, place, "Off")
        is_on = system.power_state not in {"Off", "PoweringOff"}
        allowed = tuple(reset.allowed or ())
        chosen = steps(allowed, is_on=is_on, force=force)
        if not chosen:
            offers = printable(", ".join(allowed)) or "nothing"
            raise PactError(f"{place.xname}: its BMC offers no way to restart it, only {offers}")
        for number, kind in enumerate(chosen):
            tick(f"{place.xname}: {kind}")
            bmc.act("POST", bmc.own(reset.target), {"ResetType": kind})
            if number + 1 < len(chosen):
                self._until(bmc, place, "Off")
        if system.power_state is not None:
            self._until(bmc, place, "On")
            tick(f"{place.xname}: its power is on")
        return chosen

    def _reset(self, bmc: Bmc, system: _System, endpoint: Endpoint) -> Reset:
        """The action as the system has it now, or else as SMD has recorded it; with the kinds that are allowed."""
        reset = system.actions.reset if system.actions else None
        if reset is None and endpoint.system is not None:
            try:
                reset = msgspec.convert(endpoint.system.actions or {}, _Actions).reset
            except msgspec.ValidationError:
                reset = None
        if reset is None or not reset.target:
            raise PactError(f"{endpoint.id}: its BMC at {host_of('https://' + endpoint.url)} offers no reset of it")
        if reset.allowed or not reset.info:
            return reset
        info, _ = bmc.read(bmc.own(reset.info), _ActionInfo)
        kinds = [one.allowable_values for one in info.parameters or () if one.name == "ResetType"]
        return msgspec.structs.replace(reset, allowed=kinds[0] if kinds else None)

    def _boot_from_network(self, bmc: Bmc, place: _Place) -> str:
        """Have it boot from the network next time. What somebody else changes meanwhile is not overwritten."""
        for last in (False, True):
            system, etag = bmc.read(place.path, _System)
            offered = system.boot.targets if system.boot and system.boot.targets is not None else _NETWORK
            source = next((one for one in _NETWORK if one in offered), None)
            if source is None:
                raise PactError(f"{place.xname}: its BMC can't have it boot from the network")
            boot = {"BootSourceOverrideEnabled": "Once", "BootSourceOverrideTarget": source}
            if source == "UefiHttp":
                boot["BootSourceOverrideMode"] = "UEFI"
            tag = etag or system.etag
            headers = {"if-match": tag.removeprefix("W/") if last else tag} if tag else {}
            allow = () if last else (412,)
            if bmc.act("PATCH", place.path, {"Boot": boot}, headers=headers, allow=allow) != 412:
                return source
        raise AssertionError("unreachable")

    def _until(self, bmc: Bmc, place: _Place, state: str) -> None:
        def look() -> bool | None:
            return bmc.read(place.path, _System)[0].power_state == state or None

        hint = "look at the node before you repeat it"
        wait(look, self._pace, what=f"{place.xname}: that its power is {state.lower()}", hint=hint)
