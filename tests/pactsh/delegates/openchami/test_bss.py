from __future__ import annotations

from typing import Any

import pytest

from pactsh.delegates.openchami.bss import Image, image_of
from pactsh.delegates.openchami.http import Http, trust
from pactsh.delegates.openchami.places import places_of
from pactsh.errors import UnreachableError
from tests.openchami import Openchami
from tests.pactsh.delegates.openchami.asking import LIMIT_S, fails, settings
from tests.pactsh.delegates.openchami.conftest import NODE


def image(site: Openchami, **more: Any) -> Image:
    with Http(trust("openchami_ca", None), timeout_s=LIMIT_S) as http:
        return image_of(http, places_of(settings(site, **more)).bss, NODE)


@pytest.mark.parametrize(
    ("kernel", "shown"),
    [
        ("http://s3.example/kernel?X-Amz-Signature=hush", "http://s3.example/kernel"),
        ("https://user:hush@s3.example/kernel#hush", "https://s3.example/kernel"),
        ("s3://boot-images/6a1/kernel", "s3://boot-images/6a1/kernel"),
        ("http://[broken/kernel?hush", "http://[broken/kernel"),
    ],
)
def test_what_a_node_boots_is_told_without_what_gives_access_to_it(site: Openchami, kernel: str, shown: str) -> None:
    site.nodes[NODE].image = kernel
    told = image(site)
    assert told.kernel == shown
    assert "hush" not in repr(told)


def test_asking_leaves_no_trace_and_needs_no_token(site: Openchami) -> None:
    image(site)
    [call] = site.calls
    assert (call.path, dict(call.query)) == ("/boot/v1/bootscript", {"name": [NODE], "json": ["1"]})
    assert "authorization" not in call.headers


def test_a_node_without_an_image_can_not_boot_one(site: Openchami) -> None:
    site.nodes[NODE].image = ""
    error = fails(lambda: image(site))
    assert error.message == f"{NODE}: the boot script service has no image for it"
    assert "kernel" in error.hint


def test_where_there_is_no_bss(site: Openchami) -> None:
    site.trouble["bss"] = "html404"
    error = fails(lambda: image(site), UnreachableError)
    assert f"boot script service not reachable at {site.url}/boot/v1" in error.message
    assert "openchami_bss_url" in error.hint
