"""`pact diag`: a node's logs, searched where they are. `gather` answers; `kmsg`, `journald`, `logfiles` search.

What comes out is bounded in lines, bytes and time whatever the logs hold: files are read from their end backwards, in
threads that may hang on a dead file system without anybody waiting for them.
"""
