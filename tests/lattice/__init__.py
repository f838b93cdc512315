"""A lattice of the tests' own: the three services over real gRPC, with the habits of the real server."""

from tests.lattice.server import LatticeServer
from tests.lattice.state import stamp

__all__ = ["LatticeServer", "stamp"]
