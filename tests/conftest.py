"""What holds for all tests."""

from __future__ import annotations

import os

# Tests fork (pexpect, os.fork) in a process where others have used gRPC: its fork handlers then abort the child now
# and then (ev_epoll1_linux.cc). Read when gRPC is first imported, which is later than this.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
