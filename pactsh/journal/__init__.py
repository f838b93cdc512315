"""The journal: hash chain, store, projections, gRPC service and server.

`chain` and `heads` are pure; `store` is the protocol that `sqlite` implements; `ledger`
joins a store with the signing of heads; `service` puts that on the wire.
"""
