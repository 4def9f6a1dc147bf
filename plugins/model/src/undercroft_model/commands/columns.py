"""Tables with juju's columns: plain everywhere, with colours for statuses on a terminal only."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

GAP = "  "
_COLOURS: Mapping[str, str] = {
    **dict.fromkeys(("active", "idle", "started", "available", "completed", "joined", "attached"), "green"),
    **dict.fromkeys(("blocked", "error", "failed", "down", "lost", "aborted"), "red"),
    **dict.fromkeys(("waiting", "maintenance", "executing", "allocating", "pending", "running", "dying"), "yellow"),
}


def columns(heads: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[str] = ()) -> str:
    """A table; the columns named in `right` are aligned there. Cells that are a status word are coloured."""
    lines = [list(heads), *([_printable(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    coloured = is_coloured()
    drawn = []
    for number, line in enumerate(lines):
        cells = [
            cell.rjust(width) if head in right else cell.ljust(width)
            for cell, width, head in zip(line, widths, heads, strict=True)
        ]
        if coloured:
            cells = [_coloured(cell, head=number == 0) for cell in cells]
        drawn.append(GAP.join(cells).rstrip())
    return "\n".join(drawn)


def is_coloured() -> bool:
    """Whether what is printed goes to a terminal that takes colours."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def _coloured(cell: str, *, head: bool) -> str:
    if head:
        return click.style(cell, bold=True)
    colour = _COLOURS.get(cell.strip())
    return click.style(cell, fg=colour) if colour else cell


def _printable(text: str) -> str:
    """On one line, and without what a charm's message could do to a terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in str(text))
