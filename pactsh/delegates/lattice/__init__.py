"""lattice, the scheduler: its messages, its words, and a client that knows its habits."""
