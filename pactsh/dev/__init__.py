"""`pact dev`: a whole system on one machine, for trying, developing and testing.

A supervisor starts one `pact-journal` and one `pact-agent` a node, each node in
namespaces of its own, so that what is done there does not touch the host. It exists for
development alone: its issuer signs tokens for whoever may read its directory.
"""
