"""`pact.v1.Login`: how people sign in, and who a token is."""

from __future__ import annotations

from collections.abc import Sequence

from pactsh.journal.gate import Caller, Handler, TokenVerifier
from pactsh.journal.issuers import OidcConfig
from pactsh.journal.revocations import Proof, Revocations
from pactsh.model.revocation import PERSON
from pactsh.rpc import pact_pb2 as pb


class LoginService:
    """The handlers."""

    def __init__(self, issuers: Sequence[OidcConfig], verifier: TokenVerifier, revocations: Revocations) -> None:
        self._providers = [one.provider() for one in issuers]
        self._verifier, self._revocations = verifier, revocations

    def handlers(self) -> dict[str, Handler]:
        """Method name to handler."""
        return {"Login/Providers": self.providers, "Login/Verify": self.verify}

    async def providers(self, _caller: Caller, _request: pb.ProvidersRequest) -> pb.ProvidersReply:
        """How people sign in here; no secrets are in it."""
        return pb.ProvidersReply(
            providers=[
                pb.LoginProvider(
                    issuer=one.issuer,
                    client_id=one.client_id,
                    scopes=one.scopes,
                    takes_id_token=one.takes_id_token,
                    resource=one.resource,
                    redirect_port=one.redirect_port,
                    ca=one.ca,
                )
                for one in self._providers
            ]
        )

    async def verify(self, _caller: Caller, request: pb.VerifyTokenRequest) -> pb.VerifiedToken:
        """Who a token is that somebody has shown to the calling agent."""
        found = await self._verifier.verify(request.token)
        self._revocations.check(Proof(PERSON, found.identity.principal, found.issued_at.timestamp()))
        return pb.VerifiedToken(
            principal=found.identity.principal,
            roles=found.identity.roles,
            kind=found.identity.kind,
            expires_at=found.expires_at.timestamp(),
            issued_at=found.issued_at.timestamp(),
        )
