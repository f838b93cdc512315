"""What holds for all tests."""

from __future__ import annotations

import os
import signal

# Tests fork (pexpect, os.fork) in a process where others have used gRPC: its fork handlers then abort the child now
# and then (ev_epoll1_linux.cc). Read when gRPC is first imported, which is later than this.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

# A job in the background or under nohup is started with these ignored, and so would be what the tests start.
for _number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, signal.default_int_handler if _number == signal.SIGINT else signal.SIG_DFL)
