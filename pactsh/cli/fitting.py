"""Tables that keep to the width of the terminal. Elsewhere (a pipe, a terminal that can only append) nothing is cut."""

from __future__ import annotations

from collections.abc import Sequence

from pactsh.cli.render import Out, escape, screen_size

_GAP = 2
_LEAST = 12
"""What of the last column stays at least."""

Rows = Sequence[Sequence[str]]


def table(
    out: Out, header: Sequence[str], rows: Rows, styles: Rows = (), *, spare: Sequence[str] = (), indent: str = ""
) -> None:
    """Print rows in columns. Where that is too wide, columns of `spare` are left out, the first first, and then what is
    in the last one is cut."""
    size = screen_size()
    room = None if size is None else size.columns - len(indent)
    kept, cells = fitted(header, rows, room, spare)
    wanted = [[names[i] for i in kept] for names in styles]

    def draw(page: Out) -> None:
        page.table([header[i] for i in kept], cells, wanted)

    if indent:
        out.behind(indent, draw)
    else:
        draw(out)


def fitted(header: Sequence[str], rows: Rows, room: int | None, spare: Sequence[str]) -> tuple[list[int], Rows]:
    """Which columns stay, and their cells.

    >>> fitted(("ID", "AGE", "NODES"), [("1", "3 days", "node[001-099],login")], 18, ("AGE",))
    ([0, 2], [['1', 'node[001-09...']])
    """
    shown = [[escape(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in [list(header), *shown]) for i in range(len(header))]
    kept = list(range(len(header)))
    if room is None:
        return kept, shown
    for name in spare:
        if _total(widths, kept) <= room:
            break
        kept.remove(header.index(name))
    last = kept[-1]
    left = max(_LEAST, room - _total(widths, kept[:-1]) - _GAP)
    if widths[last] > left:
        for row in shown:
            row[last] = _cut(row[last], left)
    return kept, [[row[i] for i in kept] for row in shown]


def _total(widths: Sequence[int], kept: Sequence[int]) -> int:
    return sum(widths[i] for i in kept) + _GAP * (len(kept) - 1)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 3]}..."
