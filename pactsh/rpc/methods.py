"""Every method of `pact.proto` with its messages, read from the compiled description. One list for
client and server, so that neither can know a method that the other does not."""

from __future__ import annotations

from typing import Any, NamedTuple

from google.protobuf.message_factory import GetMessageClass

from pactsh.rpc import pact_pb2 as pb

MAX_MESSAGE_BYTES = 4 << 20


class Method(NamedTuple):
    """One method: its path on the wire, message classes and shape."""

    path: str
    request: Any
    reply: Any
    client_streaming: bool
    server_streaming: bool


def _methods() -> dict[str, Method]:
    return {
        f"{service.name}/{method.name}": Method(
            f"/{service.full_name}/{method.name}",
            GetMessageClass(method.input_type),
            GetMessageClass(method.output_type),
            bool(method.client_streaming),
            bool(method.server_streaming),
        )
        for service in pb.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }


# "Journal/Append" and so on.
METHODS: dict[str, Method] = _methods()
