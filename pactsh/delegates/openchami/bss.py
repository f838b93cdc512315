"""BSS, which says what a node boots next. It restarts nothing."""

from __future__ import annotations

from urllib.parse import urlsplit

import msgspec

from pactsh.delegates.openchami.complaint import printable
from pactsh.delegates.openchami.http import Http, Service
from pactsh.errors import PactError


class Image(msgspec.Struct, frozen=True):
    """What a node boots: addresses, without what was signed into them."""

    kernel: str
    initrd: str


class _File(msgspec.Struct, frozen=True):
    path: str = ""


class _Script(msgspec.Struct, frozen=True):
    kernel: _File | None = None
    initrd: _File | None = None


def image_of(http: Http, service: Service, xname: str) -> Image:
    """What it would boot now, the entries for its role and for all nodes included. Raises `PactError` if that is
    nothing. The kernel's command line is left alone: tokens are passed in it."""
    reply = http.ask(service, "GET", "/bootscript", params={"name": xname, "json": "1"})
    script = reply.read(_Script)
    kernel, initrd = (_shown(file.path) if file else "" for file in (script.kernel, script.initrd))
    if not kernel:
        raise PactError(
            f"{xname}: the boot script service has no image for it", hint="give BSS its kernel, initrd and params first"
        )
    return Image(kernel, initrd)


def _shown(url: str) -> str:
    """Without a query, in which S3 signs, and without a password."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return printable(url.partition("?")[0])
    return printable(parts._replace(query="", fragment="", netloc=parts.netloc.rpartition("@")[2]).geturl())
