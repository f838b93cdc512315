"""Fixtures: a real agent for a module's tests, and the means to start more."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.pact_agent.dimensions.nvml.simulation import loaded
from tests.pact_agent.localnode import LocalNode, running

SMALL = "[limits]\nspool_bytes = 4194304\n"


@pytest.fixture(scope="session")
def library() -> ctypes.CDLL:
    """A simulated library of NVIDIA's driver."""
    return loaded()


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalNode]:
    """One agent, shared by the tests of a module."""
    yield from running(LocalNode(tmp_path_factory.mktemp("n"), SMALL))


@pytest.fixture
def make_node(tmp_path: Path) -> Iterator[Callable[..., LocalNode]]:
    """Make agents of one's own: `make_node(extra_toml, roles=…)`; they are ended afterwards."""
    made: list[LocalNode] = []

    def make(
        extra: str = SMALL, roles: str = '"pact-platform-admin"', environment: dict[str, str] | None = None
    ) -> LocalNode:
        made.append(LocalNode(tmp_path / f"n{len(made)}", extra, roles, environment))
        return made[-1].start()

    yield make
    for node in made:
        node.close()
