"""Services on loopback that one test has for itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.openchami import Openchami
from tests.openchami.bmc import Bmc
from tests.openchami.certificate import certificate

TOKEN = "eyJhbGciOiJub25lIn0.e30.c2VjcmV0"
NODE = "x1000c0s0b0n0"


@pytest.fixture
def site() -> Iterator[Openchami]:
    """OpenCHAMI with one node."""
    with Openchami(token=TOKEN) as running:
        running.add_node(NODE, nid=42)
        yield running


@pytest.fixture
def csm() -> Iterator[Openchami]:
    """CSM with one node."""
    with Openchami(token=TOKEN, csm=True) as running:
        running.add_node(NODE, nid=42)
        yield running


@pytest.fixture(scope="session")
def pem(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1, and its key."""
    return certificate(tmp_path_factory.mktemp("bmc"))


@pytest.fixture
def bmc(pem: tuple[Path, Path], site: Openchami) -> Iterator[Bmc]:
    """The BMC of the node of `site`."""
    with Bmc(pem) as running:
        site.nodes[NODE].address = running.address
        yield running
