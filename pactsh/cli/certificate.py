"""Who the journal takes the caller for, read from the SSH certificate that it signed for the token.

The certificate's principals are what the journal verified, roles mapped and all; a token's own claims are only
what an issuer said. The certificate is kept (`pactsh.auth.credentials`), so that asking often signs one a day.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.serialization import SSHCertificate, load_ssh_public_identity
from msgspec.structs import replace

from pactsh.auth.credentials import Credentials, SshCredentials
from pactsh.auth.names import parse_identity_from_ssh_principals
from pactsh.auth.state import state_directory
from pactsh.cli.bearer import require_bearer
from pactsh.cli.remote import ask
from pactsh.errors import AuthError
from pactsh.model.identity import Identity

if TYPE_CHECKING:
    from pactsh.cli.context import Context


def user_certificate(ctx: Context) -> SshCredentials:
    """A key and a certificate of the journal for the caller's token, the kept one while it is good."""
    binding = require_bearer(ctx.settings, ctx.environ).binding
    credentials = Credentials(state_directory(ctx.environ))
    return ask(ctx, lambda journal: credentials.ensure_ssh_certificate(journal, ctx.now(), binding=binding))


def certified_identity(ctx: Context) -> tuple[Identity, datetime]:
    """The verified identity, and when its certificate ends (UTC)."""
    kept = user_certificate(ctx)
    return certified(kept), kept.expires_at


def certified(kept: SshCredentials) -> Identity:
    """The identity that the journal has put into a certificate; its source is the token that it was signed for."""
    words = kept.certificate.read_bytes().split()
    certificate = load_ssh_public_identity(b" ".join(words[:2]))
    if not isinstance(certificate, SSHCertificate):
        raise AuthError(f"{kept.certificate}: not a certificate", hint="pact logout, then sign in again")
    principals = [name.decode("utf-8", "replace") for name in certificate.valid_principals]
    who = parse_identity_from_ssh_principals(principals, certificate.key_id.decode("utf-8", "replace"))
    return replace(who, source="token")
