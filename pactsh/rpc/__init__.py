"""The gRPC wire: `pact.proto`, the code generated from it, statuses and the client of everybody.

`pact_pb2.py` and `pact_pb2.pyi` come from `make proto`; nobody edits them.
"""
