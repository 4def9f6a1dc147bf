"""`undercroft meter-status`: how the metering of the units on this host stands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from undercroft_hookspecs.command import Session

# Any: JSON, of the agent's report.
Document = dict[str, Any]


@click.command("meter-status", epilog="Example: undercroft meter-status mysql/0 --format json")
@click.argument("units", nargs=-1, metavar="[UNIT...]")
@click.pass_obj
def meter_status(session: Session, units: Sequence[str]) -> None:
    """Show how the metering of units on this host stands: what their charms were told last, and who says what.

    All models are shown. A status that a charm is still to be told is under NEXT.
    """
    rows = list(_rows(session.ask({"request": "report"})))
    if units:
        known = {row["unit"] for row in rows}
        for unit in units:
            if unit not in known:
                from undercroft_hookspecs.errors import NotFoundError

                message = f'unit "{unit}" does not run on this host: `undercroft status` shows where it does'
                raise NotFoundError(unit, message)
        rows = [row for row in rows if row["unit"] in units]
    session.emit(rows, table=lambda: _table(rows))


def _rows(report: Mapping[str, object]) -> Iterator[Document]:
    for model, unit, manifolds in _units(report):
        found = manifolds.get("meter-status", {}).get("report") or {}
        yield {
            "model": model,
            "unit": unit,
            "status": found.get("status"),
            "info": found.get("info", ""),
            "pending": found.get("pending"),
            "isolated_seconds": found.get("isolated_seconds"),
            "sources": found.get("sources", {}),
        }


def _units(report: Mapping[str, object]) -> Iterator[tuple[str, str, Document]]:
    """The manifolds of each unit, by its model and name, as the report of `unit-deployer` nests them."""
    workers = _within(report, "manifolds", "unit-deployer", "report", "units", "workers")
    for name, worker in sorted(workers.items()):
        model, _, unit = name.partition("/")
        yield model, unit, _within(worker, "report", "manifolds")


def _within(document: object, *names: str) -> Document:
    for name in names:
        document = document.get(name) if isinstance(document, dict) else None
    return document if isinstance(document, dict) else {}


def _table(rows: Sequence[Document]) -> str:
    if not rows:
        return "No unit runs on this host."
    heads = ("UNIT", "STATUS", "NEXT", "INFO", "SOURCES")
    cells = [heads, *((row["unit"], row["status"] or "-", row["pending"] or "-", *_why(row)) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(heads))]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in cells)


def _why(row: Document) -> tuple[str, str]:
    sources = [f"{name}: {said}" for name, said in row["sources"].items()]
    if row["isolated_seconds"] is not None:
        sources.insert(0, f"cut off from the store for {row['isolated_seconds']} s")
    return row["info"] or "-", "; ".join(sources) or "-"
