"""The whitelist: which commands exist, what each of their forms means, how to complete them.

One TOML file a command; `load_catalog` reads them, `match` judges an argv against one.
The same table drives enforcement, completion, highlighting and `help`.
"""

from __future__ import annotations

from pactsh.catalog.loader import Catalog, load_catalog
from pactsh.catalog.schema import Command, Grants

__all__ = ["Catalog", "Command", "Grants", "load_catalog"]
