"""`undercroft conformance DISTRIBUTION`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

    from undercroft_conformance.black_box import Row
    from undercroft_hookspecs.command import Session


@click.command(epilog="Example: undercroft conformance undercroft-diskmanager --format json")
@click.argument("distribution")
@click.pass_context
def conformance(ctx: click.Context, distribution: str) -> None:
    """Judge the plugins of an installed DISTRIBUTION, as far as that needs no fakes.

    Every rule is kept, broken, or skipped with the reason; docs/reference/conformance.md has the sentence that each
    stands for. Exits 1 if a rule is broken, 4 if there is no such distribution or it has no plugin. What needs fakes is
    judged by a subclass of undercroft_conformance.WorkerConformance in the plugin's own tests.
    """
    import msgspec

    from undercroft_conformance.black_box import judge_distribution

    session: Session = ctx.obj
    rows = session.run(judge_distribution(distribution))
    session.emit(msgspec.to_builtins(rows), table=lambda: render(rows))
    if any(row.verdict == "broken" for row in rows):
        ctx.exit(1)


def render(rows: Sequence[Row]) -> str:
    """The verdicts as a table, with what is behind those that are not kept, and their sum."""
    heads = ("PLUGIN", "SUBJECT", "RULE", "VERDICT", "WHY")
    cells = [(row.plugin, row.subject, row.rule, row.verdict, " ".join(row.why.split())) for row in rows]
    widths = [max(len(line[column]) for line in (heads, *cells)) for column in range(4)]
    table = [
        "  ".join((*(cell.ljust(width) for cell, width in zip(line[:4], widths, strict=True)), line[4])).rstrip()
        for line in (heads, *cells)
    ]
    counts = {word: sum(row.verdict == word for row in rows) for word in ("kept", "broken", "skipped")}
    return "\n".join([*table, "", ", ".join(f"{count} {word}" for word, count in counts.items())])
