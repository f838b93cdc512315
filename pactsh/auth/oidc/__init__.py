"""OpenID Connect: what an issuer says of itself, its keys, and the ways to sign in with it."""
