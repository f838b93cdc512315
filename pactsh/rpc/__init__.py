"""The gRPC wire: `pact.proto`, the code generated from it, statuses and the client of everybody.

`pact_pb2.py` and `pact_pb2.pyi` come from `make proto`; nobody edits them.
"""

import os

# Here, as any module of the package may be the first that imports grpc: it must not write on a user's
# terminal, and its fork handlers have no place in programs that fork on their own terms.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
