"""The vCluster that this node is in: the one its join token named, as the journal last said.

What agent.toml says counts until then. It is kept on disk, so that neither an edit of that file nor a start without the
journal puts the node under another policy. When the journal says another one, the agent ends, to begin anew in that.
"""

from __future__ import annotations

import logging
from pathlib import Path

from pact_agent.spoolfiles import replace_file
from pactsh.auth.names import NODE

_log = logging.getLogger(__name__)


class Membership:
    """`vcluster` stays what it was at the start; `moved` says why the agent has to begin anew, "" while it has not."""

    def __init__(self, configured: str, path: Path) -> None:
        self._path, self._kept = path, _read(path)
        self.vcluster = self._kept or configured
        self.moved = ""
        if self.vcluster != configured:
            _log.error(
                "agent.toml says vCluster %s, but this node was enrolled in %s and stays there: see pact-agent(8)",
                configured,
                self.vcluster,
            )

    def told(self, vcluster: str) -> None:
        """The journal says where the node is."""
        if vcluster != self._kept:
            try:
                self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                replace_file(self._path, vcluster.encode() + b"\n")
            except OSError as error:
                _log.error("that the node is in vCluster %s is not kept: %s", vcluster, error.strerror)
                return  # beginning anew would begin with the old one
            self._kept = vcluster
        if vcluster != self.vcluster:
            self.moved = f"the node was moved from vCluster {self.vcluster} to {vcluster}"


def _read(path: Path) -> str:
    try:
        text = path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return ""
    except (OSError, ValueError) as error:
        _log.error("%s: %s", path, error)
        return ""
    return text if NODE.fullmatch(text) else ""
