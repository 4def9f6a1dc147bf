"""Write an answer for people or for programs.

A list of rows is shown as a table, a mapping as its lines, anything deeper as YAML, which people read too. rich draws
the tables of a terminal; what goes elsewhere is plain, so that `grep` and `cut` see one row a line.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import msgspec

if TYPE_CHECKING:
    Row = Mapping[str, object]

GAP = "  "


def rendered(document: object, form: Literal["table", "json", "yaml"], table: Callable[[], str] | None = None) -> str:
    """The document in one form; `table` makes the table where the common ones will not do."""
    if form == "table" and table is not None:
        return table()
    plain = msgspec.to_builtins(document, str_keys=True, enc_hook=str)
    if form == "json":
        text = msgspec.json.encode(plain)
        # One line for programs: a command that follows something writes one document a line.
        return (msgspec.json.format(text, indent=2) if _is_terminal() else text).decode()
    rows = _rows(plain)
    return rows_table(rows) if form == "table" and rows is not None else _yaml(plain)


def rows_table(rows: Sequence[Row], columns: Sequence[str] = ()) -> str:
    """A table of rows, one line each where it is not for a terminal; `columns` chooses and orders them."""
    names = list(columns) or list(dict.fromkeys(name for row in rows for name in row))
    cells = [[_cell(row.get(name)) for name in names] for row in rows]
    heads = [name.upper().replace("_", " ") for name in names]
    return _drawn(heads, cells) if _is_terminal() else _aligned([heads, *cells])


def _rows(plain: object) -> Sequence[Row] | None:
    flat = isinstance(plain, list) and all(isinstance(row, dict) and not _is_deep(row) for row in plain)
    return plain if flat and isinstance(plain, list) else None


def _is_deep(row: Row) -> bool:
    return any(isinstance(value, dict) for value in row.values())


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    return " ".join(str(value).split())


def _aligned(lines: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = (GAP.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)
    return "\n".join(line.rstrip() for line in padded)


def _drawn(heads: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for head in heads:
        table.add_column(head, overflow="fold")
    for row in cells:
        table.add_row(*map(Text, row))
    console = Console()
    with console.capture() as capture:
        console.print(table)
    return capture.get().rstrip("\n")


# Any: whatever to_builtins makes of a document.
def _yaml(plain: Any) -> str:
    import yaml

    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    text: str = yaml.dump(plain, Dumper=dumper, sort_keys=False, allow_unicode=True, default_flow_style=False)
    return text.removesuffix("...\n").rstrip("\n")


def _is_terminal() -> bool:
    return sys.stdout.isatty()
