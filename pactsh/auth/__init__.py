"""Who someone is, and what proves it: the certificate authority, tokens, join tokens, the client's cache."""
