"""The server of the tests' lattice: it listens, keeps account of calls, and fails them as it is told to."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self

import grpc

from pactsh.delegates.lattice.channel import METHODS
from tests.lattice.services import AdminService, AllocationService, NodeService
from tests.lattice.state import Refused, State

CALLS_A_MINUTE = 70


class LatticeServer(State):
    """`with LatticeServer() as lattice:`. `calls` are the methods called, with their metadata; `fail` maps a method
    (`NodeService/GetNode`) to the status it ends with, `fail_once` to that of its next call alone, `raw` to the bytes
    it answers with; `token` is demanded of every call when it is set. With a `page_size` it pages, as a later one may.
    """

    def __init__(
        self,
        *,
        token: str | None = None,
        tls: tuple[bytes, bytes] | None = None,
        client_ca: bytes | None = None,
        delay_s: float = 0,
        limited: bool = False,
        port: int = 0,
    ) -> None:
        super().__init__()
        self.token, self.delay_s, self.limited, self.port = token, delay_s, limited, port
        self._tls, self._client_ca = tls, client_ca
        self.calls: list[tuple[str, dict[str, str]]] = []
        self.fail: dict[str, tuple[grpc.StatusCode, str]] = {}
        self.raw: dict[str, bytes] = {}
        self.fail_once: dict[str, tuple[grpc.StatusCode, str]] = {}
        self.page_size = 0
        self._services = {
            "AllocationService": AllocationService(self),
            "NodeService": NodeService(self),
            "AdminService": AdminService(self),
        }
        self._lock = threading.RLock()

    # -- running

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Listen, on the port of the last time if there was one."""
        self._server = grpc.server(ThreadPoolExecutor(8), options=[("grpc.so_reuseport", 0)])
        for service in self._services:
            methods = {name.split("/")[1]: self._handler(name) for name in METHODS if name.startswith(service)}
            generic = grpc.method_handlers_generic_handler(f"lattice.v1.{service}", methods)
            self._server.add_generic_rpc_handlers((generic,))
        address = f"127.0.0.1:{self.port}"
        if self._tls is None:
            self.port = self._server.add_insecure_port(address)
        else:
            cert, key = self._tls
            credentials = grpc.ssl_server_credentials(
                [(key, cert)], self._client_ca, require_client_auth=self._client_ca is not None
            )
            self.port = self._server.add_secure_port(address, credentials)
        self._server.start()

    def stop(self) -> None:
        """End, at once."""
        self._server.stop(0).wait()

    @property
    def endpoint(self) -> str:
        return f"127.0.0.1:{self.port}"

    def called(self, *methods: str) -> list[str]:
        """The methods that were called, of these if some are named, without the service."""
        return [name.split("/")[1] for name, _ in self.calls if not methods or name.split("/")[1] in methods]

    # -- calls

    def _handler(self, name: str) -> grpc.RpcMethodHandler[Any, Any]:
        _, request, reply = METHODS[name]

        def answer(given: Any, context: grpc.ServicerContext) -> Any:
            sent = {str(key): str(value) for key, value in context.invocation_metadata()}
            try:
                return self._answer(name, given, sent)
            except Refused as refused:
                context.abort(refused.code, refused.details)

        def encode(message: Any) -> bytes:
            encoded: bytes = self.raw[name] if name in self.raw else reply.SerializeToString(message)
            return encoded

        return grpc.unary_unary_rpc_method_handler(
            answer, request_deserializer=request.FromString, response_serializer=encode
        )

    def _answer(self, name: str, given: Any, sent: dict[str, str]) -> Any:
        with self._lock:
            self.calls.append((name, sent))
            count = len(self.calls)
            failure = self.fail_once.pop(name, None) or self.fail.get(name)
        time.sleep(self.delay_s)
        if self.token is not None and sent.get("authorization") != f"Bearer {self.token}":
            raise Refused(grpc.StatusCode.UNAUTHENTICATED, "missing or invalid bearer token")
        if self.limited and count > CALLS_A_MINUTE:
            raise Refused(grpc.StatusCode.RESOURCE_EXHAUSTED, "rate limit exceeded")
        if failure:
            raise Refused(*failure)
        service, _, method = name.partition("/")
        call = getattr(self._services[service], method, None)
        if call is None:
            raise Refused(grpc.StatusCode.UNIMPLEMENTED, "")
        with self._lock:
            self.look()
            return self._page(given, call(given, sent))

    def _page(self, given: Any, reply: Any) -> Any:
        field = reply.DESCRIPTOR.fields_by_name.get("next_cursor")
        if field is None or not self.page_size:
            return reply
        rows = getattr(reply, reply.DESCRIPTOR.fields[0].name)
        rows.sort(key=lambda row: row.SerializeToString(deterministic=True))
        start = int(given.cursor or 0)
        end = start + self.page_size
        reply.next_cursor = str(end) if end < len(rows) else ""
        del rows[end:], rows[:start]
        return reply
