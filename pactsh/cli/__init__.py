"""The `pact` program: one module a command, one list of commands (`tree`), one way out (`main`)."""
