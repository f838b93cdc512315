"""How a job is handed to a waiting child: whole, once, with its descriptors, none of them inherited by others."""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
import threading
from typing import Any

import pytest
from pact_agent.child import exit_status, receive, send_request, step_name


def test_a_request_and_its_descriptors_arrive() -> None:
    ours, theirs = socket.socketpair()
    read, write = os.pipe()
    with ours, theirs:
        send_request(ours, b'{"op": "spawn"}', [read, write])
        data, fds = receive(theirs)
        assert data == struct.pack(">I", 15) + b'{"op": "spawn"}'
        assert not any(os.get_inheritable(fd) for fd in fds)
        os.write(fds[1], b"through")
        assert os.read(read, 10) == b"through"
    for fd in (read, write, *fds):
        os.close(fd)


def test_a_large_request_arrives_whole() -> None:
    ours, theirs = socket.socketpair()
    request = json.dumps({"x": "y" * (2 << 20)}).encode()
    with ours, theirs, open(os.devnull, "rb") as null:
        sender = threading.Thread(target=send_request, args=(ours, request, [null.fileno()]))
        sender.start()
        data, fds = receive(theirs)
        while len(data) < 4 + len(request):
            data += theirs.recv(1 << 16)
        sender.join()
    assert data[4:] == request
    (fd,) = fds
    os.close(fd)


@pytest.mark.parametrize("fds", [0, 1])
def test_a_child_that_is_gone_is_an_error_and_the_job_can_go_to_another(fds: int) -> None:
    ours, theirs = socket.socketpair()
    theirs.close()
    with ours, open(os.devnull, "rb") as null, pytest.raises((BrokenPipeError, ConnectionResetError)):
        send_request(ours, b"{}", [null.fileno()] * fds)


def test_a_child_that_hangs_up_with_the_last_byte_had_the_job() -> None:
    """Nothing is sent after it, so no error tells the spawner to hand the job out once more."""
    near, child = socket.socketpair()

    class HungUpOn(socket.socket):
        """The child takes what was sent and is gone before the sender goes on."""

        def sendmsg(self, *args: Any) -> int:
            sent = super().sendmsg(*args)
            for fd in receive(child)[1]:
                os.close(fd)
            child.close()
            return sent

    with HungUpOn(fileno=near.detach()) as ours, open(os.devnull, "rb") as null:
        send_request(ours, b'{"op": "spawn"}', [null.fileno()])


@pytest.mark.parametrize(("code", "status"), [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137), ("kill -15 $$", 143)])
def test_statuses_are_as_a_shell_tells_them(code: str, status: int) -> None:
    process = subprocess.Popen(["/bin/sh", "-c", code])
    _, waited = os.waitpid(process.pid, 0)
    process.returncode = 0
    assert exit_status(waited) == status


def test_a_failed_step_is_named_by_its_path() -> None:
    stage = {"cwd": "/var/log"}
    assert step_name(stage, FileNotFoundError(2, "No such file", "/etc/none")) == "/etc/none"
    assert step_name(stage, FileNotFoundError(2, "No such file", b"/caf\xe9")) == "/caf\udce9"
    assert step_name(stage, OSError(24, "Too many open files")) == "/var/log"
