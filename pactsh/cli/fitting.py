"""Tables that keep to the width of the terminal. Elsewhere (a pipe, a terminal that can only append) nothing is cut."""

from __future__ import annotations

from collections.abc import Sequence

from pactsh.cli.render import Out, escape, screen_size

_GAP = 2
_WANTED, _LEAST = 24, 12
"""What of the last column is to stay, before others are left out; and what stays in any case."""

Rows = Sequence[Sequence[str]]


def table(
    out: Out,
    header: Sequence[str],
    rows: Rows,
    styles: Rows = (),
    *,
    spare: Sequence[str] = (),
    numbers: Sequence[int] = (),
    indent: str = "",
) -> None:
    """Print rows in columns; those of `numbers` (their places) to the right. Where that is too wide, columns of `spare`
    are left out, the first first, and what is in the last one is cut, which is never left out."""
    size = screen_size()
    room = None if size is None else size.columns - len(indent)
    header, rows = _to_the_right(header, rows, numbers)
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

    >>> fitted(("ID", "AGE", "NODES"), [("1", "3 days", "node[001-099],login")], 26, ("AGE",))
    ([0, 2], [['1', 'node[001-099],login']])
    >>> fitted(("ID", "NODES"), [("1", "node[001-099],login")], 18, ())
    ([0, 1], [['1', 'node[001-09...']])
    """
    shown = [[escape(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in [list(header), *shown]) for i in range(len(header))]
    kept = list(range(len(header)))
    if room is None:
        return kept, shown
    last = len(header) - 1
    least = min(widths[last], _WANTED)
    for name in spare:
        if _total(widths, kept[:-1]) + _GAP + least <= room:
            break
        kept.remove([title.strip() for title in header].index(name))
    left = max(_LEAST, room - _total(widths, kept[:-1]) - _GAP)
    for row in shown:
        row[last] = _cut(row[last], left)
    return kept, [[row[i] for i in kept] for row in shown]


def _to_the_right(header: Sequence[str], rows: Rows, numbers: Sequence[int]) -> tuple[Sequence[str], Rows]:
    widths = {i: max(len(row[i]) for row in [list(header), *rows]) for i in numbers}
    titles, *cells = ([cell.rjust(widths.get(i, 0)) for i, cell in enumerate(row)] for row in (header, *rows))
    return titles, cells


def _total(widths: Sequence[int], kept: Sequence[int]) -> int:
    return sum(widths[i] for i in kept) + _GAP * (len(kept) - 1)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 3]}..."
