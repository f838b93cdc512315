"""Signing in at a node's own console: for a user who is nobody to pact here (docs/internals.md, section 3).

The issuer is asked from this process, with a code for another device; the agent is shown the token, and has the journal
check it. What would get the next token is given back at once: the session needs none.
"""

from __future__ import annotations

from contextlib import suppress
from select import select

import msgspec

from pactsh.auth.oidc.provider import Provider
from pactsh.auth.oidc.signin import DeviceCode, SignIn, Tokens
from pactsh.errors import AuthError, PactError
from pactsh.shell.report import visible, write_error
from pactsh.shell.runner import AgentError
from pactsh.shell.wire import Connection, Frame


class SignInError(AgentError):
    """The issuer did not let somebody in, or could not be asked."""

    def __init__(self, error: PactError) -> None:
        Exception.__init__(self, error.message)
        self.code, self.kind, self.message, self.hint = error.code, error.kind, error.message, error.hint
        self.may_sign_in = False


def sign_in(connection: Connection) -> None:
    """Have somebody sign in, and show the agent who. Raises AgentError, ConnectionLost."""
    connection.send({"op": "sign-in"})
    issuers = _answer(connection, "issuers").value("issuers")
    try:
        providers = msgspec.convert(issuers, list[Provider])
        if not providers:
            raise AuthError(
                "this user is nobody to pact on this node, and the journal trusts no issuer to sign in at",
                hint="an administrator adds the user to local_users in agent.toml",
            )
        tokens = _tokens(connection, _chosen(providers))
    except msgspec.ValidationError as error:
        raise SignInError(PactError(f"the agent's issuers can't be read: {error}")) from error
    except PactError as error:
        raise SignInError(error) from error
    connection.send({"op": "token", "token": tokens.token})
    name = _answer(connection, "known").text("principal")
    connection.inherited = True  # there is no other for who has not signed in again
    write_error(f"Signed in as {visible(name)}\n")


def _chosen(providers: list[Provider]) -> Provider:
    """The one to sign in at: asked for where there are several."""
    if len(providers) == 1:
        return providers[0]
    for number, provider in enumerate(providers, start=1):
        write_error(f"{number}  {visible(provider.issuer)}\n")
    write_error("Sign in at which? ")
    try:
        given = input()
    except EOFError:
        given = ""
    if not (given.isdecimal() and 0 < int(given) <= len(providers)):
        raise AuthError("none of them was chosen")
    return providers[int(given) - 1]


def _tokens(connection: Connection, provider: Provider) -> Tokens:
    def sleep(seconds: float) -> None:
        """Until then, or until the agent has something to say: that it is going, or has waited long enough."""
        if select([connection], [], [], seconds)[0]:
            _answer(connection, "none")

    write_error("This user is nobody to pact on this node: sign in to go on.\n")
    signing = SignIn(provider, sleep=sleep)
    tokens = signing.by_device(_show)
    if tokens.refresh_token:
        with suppress(PactError):
            signing.revoke({"refresh_token": tokens.refresh_token})
    return tokens


def _show(device: DeviceCode) -> None:
    write_error(f"On any device open {device.url} and enter the code {device.code}\n")
    if device.complete_url:
        write_error(f"or open {device.complete_url}\n")
    write_error("Waiting for the sign-in... (Ctrl-C to give up)\n")


def _answer(connection: Connection, op: str) -> Frame:
    while True:
        frame = connection.receive()
        if frame.op == op:
            return frame
        if frame.op == "error":
            raise AgentError(frame)
