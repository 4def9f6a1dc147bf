"""`undercroft storage-plan`: what the provisioner would do next about this host's storage; it does nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from undercroft_hookspecs import ModelId
    from undercroft_hookspecs.command import Session
    from undercroft_hookspecs.storage_facades import WantedStorage
    from undercroft_storageprovisioner.plan import Actual

# Any: JSON, of the agent's report and of the answer.
Document = dict[str, Any]

EXAMPLE = "Example: undercroft storage-plan --format json"


@click.command("storage-plan", short_help="Show what would be done about storage.", epilog=EXAMPLE)
@click.pass_obj
def storage_plan(session: Session) -> None:
    """Show what would be done about this host's storage, and do nothing.

    The steps are in order; those of one stage need not wait for one another. With an agent, what is attached and what
    has failed is asked of it; without one, it is looked at. What the model decides after a step is not foreseen.
    """
    rows = session.run(_rows(session, _report(session)))
    session.emit(rows, table=lambda: _table(rows))


def _report(session: Session) -> Document | None:
    """What the provisioner of a running agent reports, by model; None if there is none."""
    from undercroft_hookspecs.errors import UndercroftError

    try:
        answer = session.ask({"request": "report"})
    except (UndercroftError, TimeoutError):
        return None  # None runs, or it does not answer.
    manifolds = answer.get("manifolds")
    found = manifolds.get("storage-provisioner") if isinstance(manifolds, dict) else None
    report = found.get("report") if isinstance(found, dict) else None
    return report if isinstance(report, dict) else None


async def _rows(session: Session, report: Document | None) -> list[Document]:
    from undercroft_hookspecs import PlacementFacade
    from undercroft_hookspecs.storage_facades import ProvisionerFacade

    rows: list[Document] = []
    async with session.open("model", PlacementFacade) as placement, placement.watch_models() as states:
        models = await anext(aiter(states), ())
    async with session.open("model", ProvisionerFacade) as facade:
        for model in models:
            async with facade.watch_storage(model) as wanteds:
                wanted = await anext(aiter(wanteds))
            known = report.get(str(model)) if report is not None else None
            rows.extend(_of_model(model, wanted, known if isinstance(known, dict) else None))
    return rows


def _of_model(model: ModelId, wanted: WantedStorage, known: Document | None) -> Sequence[Document]:
    from undercroft_storageprovisioner.foresight import foresee

    if wanted.machine is None:
        return ()
    failed: Mapping[str, Document] = (known or {}).get("failed", {})
    doing: Sequence[str] = (known or {}).get("doing", ())
    return [
        {
            "model": str(model),
            "stage": each.stage,
            "deed": str(each.step.deed),
            "kind": str(each.step.kind),
            "entity": each.step.entity,
            "storage": each.storage,
            "pool": each.pool,
            "size": each.size_mib,
            "place": each.place,
            "when": _when(str(each.step), each.stage, failed, doing),
            "reason": failed.get(str(each.step), {}).get("reason", ""),
        }
        for each in foresee(wanted, _actual(wanted, known))
    ]


def _when(step: str, stage: int, failed: Mapping[str, Document], doing: Sequence[str]) -> str:
    if step in doing:
        return "under way"
    if step in failed:
        return str(failed[step].get("next", ""))
    return "next" if stage == 1 else "then"


def _actual(wanted: WantedStorage, known: Document | None) -> Actual:
    from pathlib import Path

    from undercroft.linux import mountinfo
    from undercroft_storageprovisioner.foresight import as_it_looks
    from undercroft_storageprovisioner.plan import Actual

    if known is not None:
        return Actual(
            volumes=frozenset(known.get("volumes", ())),
            filesystems=frozenset(known.get("filesystems", ())),
        )
    devices = frozenset(path.name for path in Path("/sys/class/block").glob("*") if _has_size(path))
    return as_it_looks(wanted, frozenset(mount.target for mount in mountinfo.read()), devices)


def _has_size(device: Any) -> bool:  # Any: a Path, which is imported late.
    try:
        return int((device / "size").read_text()) > 0
    except (OSError, ValueError):
        return False


def _table(rows: Sequence[Document]) -> str:
    import sys

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if not rows:
        return "There is nothing to do."
    table = Table(box=None, pad_edge=False, header_style="bold")
    for head in ("STAGE", "STEP", "STORAGE", "POOL", "SIZE", "PLACE", "WHEN", "WHY"):
        table.add_column(head, justify="right" if head in ("STAGE", "SIZE") else "left", overflow="fold")
    for row in rows:
        cells = (
            str(row["stage"]),
            f"{row['deed']} {row['kind']} {row['entity']}",
            row["storage"],
            row["pool"],
            f"{row['size']} MiB",
            row["place"],
            row["when"],
            row["reason"],
        )
        table.add_row(*(Text(cell) for cell in cells))
    # What goes elsewhere than to a terminal keeps one step to a line, however long.
    console = Console() if sys.stdout.isatty() else Console(width=10_000)
    with console.capture() as capture:
        console.print(table)
    return "\n".join(line.rstrip() for line in capture.get().rstrip("\n").split("\n"))
