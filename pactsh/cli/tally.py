"""What became of a line on many nodes, in a few sentences."""

from __future__ import annotations

from collections.abc import Iterator

from pactsh.cli.fanout import Ended
from pactsh.cli.lastrun import LastRun
from pactsh.cli.nodes import counted_nodes

_SAID = {
    "timeout": "out of time, stopped",
    "truncated": "too much output, stopped",
    "interrupted": "interrupted, stopped",
    "not-started": "not started",
    "unreachable": "unreachable",
    "refused": "refused",
    "unknown": "no such node",
    "failed": "failed",
}


class Tally:
    """Counts nodes by how they ended."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._nodes: dict[tuple[str, int], list[str]] = {}

    def count(self, ended: Ended) -> None:
        """One more has ended."""
        self._nodes.setdefault((ended.result, ended.status if ended.result == "ran" else 0), []).append(ended.node)

    def lines(self) -> Iterator[str]:
        """One for each way to end that was not success; how many had finished, if some did not get so far.

        >>> tally = Tally(3)
        >>> for node, result, status in (("n1", "ran", 0), ("n2", "ran", 2), ("n3", "unreachable", 5)):
        ...     tally.count(Ended(node, result, status))
        >>> list(tally.lines())
        ['exit status 2: n2', 'unreachable: n3', '2 of 3 nodes finished']
        """
        finished = 0
        for (result, status), nodes in sorted(self._nodes.items(), key=lambda item: (item[0][0] != "ran", item[0])):
            finished += len(nodes) if result == "ran" else 0
            if result != "ran":
                yield f"{_SAID.get(result, result)}: {counted_nodes(nodes)}"
            elif status:
                yield f"exit status {status}: {counted_nodes(nodes)}"
        if finished < self._total:
            yield f"{finished} of {self._total} nodes finished"

    def last_run(self) -> LastRun:
        """Whom it went well with, and whom not."""
        ok = self._nodes.get(("ran", 0), [])
        failed = [node for key, nodes in self._nodes.items() if key != ("ran", 0) for node in nodes]
        return LastRun(tuple(ok), tuple(failed))
