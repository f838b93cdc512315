"""The way in: who is calling, may they, and how errors go back. Every method passes through here.

Handlers are plain functions of a `Caller` and a request. They are registered against the one
list of methods and the one table of rules; a method that lacks either can't be registered.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol

import grpc

from pactsh.auth.ca import agent_proof
from pactsh.auth.tokens import Verified
from pactsh.errors import AuthError, PactError
from pactsh.journal.access import RULES, Need, authorize
from pactsh.journal.revocations import Proof, Revocations, refusal
from pactsh.model.identity import Identity
from pactsh.model.revocation import NODE, PERSON
from pactsh.rpc.methods import METHODS, Method
from pactsh.rpc.status import MAX_TEXT, metadata_of, status_of

_log = logging.getLogger(__name__)
LEEWAY_S = 60.0  # what the verifier grants for clocks, streams get too


class Caller(NamedTuple):
    """Who is calling; `identity` is None only where the rule lets anyone in. `proof` is what showed it."""

    identity: Identity | None
    expires_at: datetime | None
    peer: str
    proof: Proof | None = None

    @property
    def known(self) -> Identity:
        """The identity; raises `AuthError` when there is none."""
        if self.identity is None:
            raise AuthError("who is asking is not known")
        return self.identity


class TokenVerifier(Protocol):
    """What checks bearer tokens (`pactsh.auth.tokens.Verifier`)."""

    async def verify(self, token: str) -> Verified:
        """Raises `AuthError`, and `UnreachableError` when the issuer can't be asked for its keys."""
        ...


Unary = Callable[[Caller, Any], Awaitable[Any]]
Streaming = Callable[[Caller, Any], AsyncIterator[Any]]
Handler = Unary | Streaming


class Gate:
    """Turns handlers into gRPC handlers that identify, authorise and report errors."""

    def __init__(self, verifier: TokenVerifier, revocations: Revocations) -> None:
        self._verifier, self._revocations = verifier, revocations

    def generic_handlers(self, handlers: Mapping[str, Handler]) -> list[grpc.GenericRpcHandler[Any, Any]]:
        """Handlers for every method of `pact.proto`; raises ValueError unless methods, rules and
        handlers are the same set."""
        if not METHODS.keys() == RULES.keys() == handlers.keys():
            everywhere = METHODS.keys() & RULES.keys() & handlers.keys()
            odd = sorted((METHODS.keys() | RULES.keys() | handlers.keys()) - everywhere)
            raise ValueError(f"without a rule, a handler or a description: {', '.join(odd)}")
        services: dict[str, dict[str, Any]] = {}
        for name, method in METHODS.items():
            service, short = method.path.strip("/").split("/")
            services.setdefault(service, {})[short] = self._rpc_handler(name, method, handlers[name])
        return [grpc.method_handlers_generic_handler(name, methods) for name, methods in services.items()]

    def _rpc_handler(self, name: str, method: Method, handler: Any) -> Any:
        async def unary(request: Any, context: Any) -> Any:
            return await self._guarded(name, context, lambda caller: handler(caller, request))

        async def stream(request: Any, context: Any) -> None:
            async def run(caller: Caller) -> None:
                await context.send_initial_metadata(())  # "you are in": see AppendStream
                async for reply in handler(caller, request):
                    await context.write(reply)  # waits while the reader is slow

            await self._guarded(name, context, run)

        shape: Any = {
            (False, False): grpc.unary_unary_rpc_method_handler,
            (False, True): grpc.unary_stream_rpc_method_handler,
            (True, True): grpc.stream_stream_rpc_method_handler,
        }[method.client_streaming, method.server_streaming]
        return shape(
            stream if method.server_streaming else unary,
            request_deserializer=method.request.FromString,
            response_serializer=method.reply.SerializeToString,
        )

    async def _guarded(self, name: str, context: Any, run: Callable[[Caller], Awaitable[Any]]) -> Any:
        """Identify, authorise, run until the caller's proof expires, or, of a stream, is revoked; errors become
        statuses. One question that was let in is answered: it may be the one that revokes."""
        try:
            caller = await self._identify(name, context)
            if caller.proof is not None:
                self._revocations.check(caller.proof)
            authorize(name, caller.identity)
            async with asyncio.timeout(_left_s(caller)) as limit:
                if caller.proof is None or not METHODS[name].server_streaming:
                    return await run(caller)
                with self._revocations.watched(limit, caller.proof):
                    return await run(caller)
        except TimeoutError as error:
            if not limit.expired():
                raise
            revoked = None if caller.proof is None else self._revocations.find(caller.proof)
            expired = AuthError("the token has expired", hint="pact login")
            problem: PactError = expired if revoked is None else refusal(revoked)
            problem.__cause__ = error
        except PactError as error:
            problem = error
        _log.warning("%s from %s: %s %s (%s)", name, context.peer(), problem.kind, problem.message, problem.detail)
        text = problem.message[:MAX_TEXT].encode("utf-8", "replace").decode()
        await context.abort(status_of(problem), text, metadata_of(problem))
        return None

    async def _identify(self, name: str, context: Any) -> Caller:
        peer = str(context.peer())
        if RULES[name] is Need.ANYONE:
            return Caller(None, None, peer)
        certificates = list(context.auth_context().get("x509_pem_cert", ()))
        tokens = [value for key, value in context.invocation_metadata() or () if key == "authorization"]
        if certificates and tokens:
            raise AuthError("a certificate and a token at once: who is asking is not clear")
        if certificates:
            node, issued_at = agent_proof(certificates[0])
            return Caller(Identity(f"agent:{node}", (), "agent", "tls"), None, peer, Proof(NODE, node, issued_at))
        if len(tokens) != 1 or not isinstance(tokens[0], str) or not tokens[0].startswith("Bearer "):
            return Caller(None, None, peer)
        verified = await self._verifier.verify(tokens[0].removeprefix("Bearer "))
        self._revocations.seen(verified.issued_at)
        proof = Proof(PERSON, verified.identity.principal, verified.issued_at.timestamp())
        return Caller(verified.identity, verified.expires_at, peer, proof)


def _left_s(caller: Caller) -> float | None:
    """How long the caller's proof is good for; None: for as long as the connection."""
    if caller.expires_at is None:
        return None
    return max((caller.expires_at - datetime.now(UTC)).total_seconds(), 0.0) + LEEWAY_S
