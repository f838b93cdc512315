"""The asyncssh module, imported without its search for liboqs.

At import asyncssh looks for that library with `ctypes.util.find_library`, which runs ldconfig and
compilers: 0.1 s of every `pact shell`. The post-quantum key exchange that both our sides offer
(ML-KEM) comes from `cryptography`. This can go when asyncssh searches on first use only.
"""

from __future__ import annotations

import ctypes.util

_search = ctypes.util.find_library
ctypes.util.find_library = lambda name: None if "oqs" in name else _search(name)
try:
    import asyncssh
finally:
    ctypes.util.find_library = _search

__all__ = ["asyncssh"]
