"""What the command `metrics` shows: the newest values and how they went, and what waits in spools."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from undercroft.clock import SystemClock
from undercroft.files import in_thread
from undercroft_metrics.places import spool_of, unit_name
from undercroft_metrics.plugin import Config
from undercroft_metrics.senders.config import StoreConfig
from undercroft_metrics.senders.embedded import FILE, StoreReader
from undercroft_metrics.sockets import ask
from undercroft_metrics.spool.desk import answer
from undercroft_metrics.spool.folders import Folders, SpoolInUseError
from undercroft_metrics.spool.queue import Owner
from undercroft_metrics.spool.spool import Spool
from undercroft_metrics.spool.worker import SOCKET

if TYPE_CHECKING:
    from undercroft_hookspecs.command import Session
    from undercroft_metrics.senders.embedded import Stored
    from undercroft_metrics.spool.limits import Limits

BARS = "▁▂▃▄▅▆▇█"
_MOST_POINTS = 24
_HISTORY = timedelta(days=1)
_GAP = "  "


@dataclass(frozen=True, slots=True)
class Board:
    """The embedded store, for some units of one model."""

    reader: StoreReader
    model: str
    names: Sequence[str]

    @classmethod
    def of(cls, session: Session, model: str, names: Sequence[str]) -> Board:
        """That of this machine's agent."""
        stores = [each for each in session.config(Config).senders.values() if isinstance(each, StoreConfig)]
        given = stores[0].path if stores else ""
        path = Path(given) if given else session.data_dir / "plugins" / "metrics" / FILE
        return cls(StoreReader(path), model, names)

    def rows(self) -> list[dict[str, Any]]:  # Any: a row has cells of several types.
        """The newest value of each series, sorted by unit, metric and labels."""
        return [
            {
                "unit": each.unit,
                "timestamp": each.time.isoformat(),
                "metric": each.key,
                "value": each.value,
                "labels": dict(each.labels),
            }
            for each in self._latest()
        ]

    def table(self, rows: Sequence[Mapping[str, Any]]) -> str:  # Any: as above.
        """The rows for people, with how each went."""
        lines = [("UNIT", "TIMESTAMP", "METRIC", "VALUE", "LABELS", "HISTORY")]
        now = SystemClock().now()
        series = {(each.unit, each.key, _text(each.labels)): each.series for each in self._latest()}
        for row in rows:
            number = series.get((row["unit"], row["metric"], _text(row["labels"])))
            past = self.reader.history(number, since=now - _HISTORY, limit=_MOST_POINTS) if number is not None else ()
            time, spark = str(row["timestamp"])[:19] + "Z", sparkline([float(each.value) for each in past])
            lines.append((row["unit"], time, row["metric"], row["value"], _text(row["labels"]), spark))
        return aligned(lines) if len(lines) > 1 else ""

    def _latest(self) -> list[Stored]:
        found = sorted(
            self.reader.latest(model=self.model), key=lambda each: (each.unit, each.key, sorted(each.labels.items()))
        )
        return [each for each in found if not self.names or {each.unit, each.unit.partition("/")[0]} & set(self.names)]


def sparkline(values: Sequence[float]) -> str:
    """Values as bars, the lowest of them the lowest."""
    if not values:
        return ""
    low, high = min(values), max(values)
    span = high - low
    if span == 0:
        return BARS[0] * len(values)
    return "".join(BARS[min(int((value - low) / span * len(BARS)), len(BARS) - 1)] for value in values)


def aligned(lines: Sequence[Sequence[str]]) -> str:
    """Lines of cells, in columns."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = (_GAP.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)
    return "\n".join(line.rstrip() for line in padded)


def spool_table(document: Mapping[str, Mapping[str, Any]]) -> str:  # Any: JSON.
    """How each sender's queue stands, and each dead letter with its reason."""
    lines = [("UNIT", "SENDER", "WAITING", "BYTES", "OLDEST", "DROPPED", "DEAD", "QUARANTINED")]
    letters = []
    for unit, senders in document.items():
        for sender, queue in senders.items():
            dead, quarantined = queue["dead-letters"], queue["quarantine"]
            dropped = sum(gap["batches"] for gap in queue["gaps"])
            numbers = (str(queue["batches"]), str(queue["bytes"]), str(queue["oldest"] or "")[:19])
            lines.append((unit, sender, *numbers, str(dropped), str(len(dead)), str(len(quarantined))))
            letters += [f"{unit} {sender} refused {each['id']}: {each['reason']}" for each in dead]
            letters += [f"{unit} {sender} quarantined {each['file']}: {each['reason']}" for each in quarantined]
    return "\n".join([aligned(lines), *letters])


async def asked(folder: Path, request: bytes, limits: Limits) -> Mapping[str, Any]:  # Any: JSON.
    """What the spool of the unit in `folder` answers: its agent's, or without one, as it is on the disk.

    The unit may be no more.
    """
    for place in (folder, spool_of(folder)):
        with suppress(OSError):
            return msgspec.json.decode(await ask(place / SOCKET, request + b"\n"), type=dict[str, Any])
    return msgspec.json.decode(await in_thread(_alone, folder, request, limits), type=dict[str, Any])


def _alone(folder: Path, request: bytes, limits: Limits) -> bytes:
    folders = Folders(spool_of(folder))
    if not folders.root.is_dir():
        return b"{}"
    owner = Owner(
        model=folder.parents[1].name,
        unit=unit_name(folder.name),
        folders=folders,
        limits=limits,
        clock=SystemClock(),
        rng=random.SystemRandom(),
    )
    spool = Spool(owner, folders.senders())
    try:
        spool.open()
        return answer(spool, request)
    except SpoolInUseError as error:
        return msgspec.json.encode({"error": f"{error}, and does not answer"})
    finally:
        spool.close()


def _text(labels: Mapping[str, str]) -> str:
    return ",".join(f"{name}={value}" for name, value in sorted(labels.items()))
