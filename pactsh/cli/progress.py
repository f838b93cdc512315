"""Progress bars on standard error. rich is imported here alone, and only when a terminal will show it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from pactsh.cli.context import Advance


@contextmanager
def progress_bar(label: str, total: int) -> Iterator[Advance]:
    """Show `label` with a bar of `total` units until the block ends; then nothing of it remains."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(label, total=total)
        yield lambda done: progress.update(task, completed=done)
