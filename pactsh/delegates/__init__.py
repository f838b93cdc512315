"""The systems that pact calls for what is theirs: lattice, the scheduler, and OpenCHAMI, the hardware manager.

Used by the command line and by the journal alike. Nothing in here decides who may do what, nothing puts anything on
record, and nothing prints: who calls has asked the journal first (docs/delegation.md).
"""
