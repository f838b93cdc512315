"""lattice, the scheduler: its messages, its words, and a client that knows its habits."""

import pactsh.rpc  # noqa: F401  # it keeps gRPC quiet, which it has to before grpc is imported
