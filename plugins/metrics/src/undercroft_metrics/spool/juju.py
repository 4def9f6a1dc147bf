"""Juju's own spool: a file with a line for each metric, and beside it one of that name with `.meta`."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Final

import msgspec

from undercroft_hookspecs.errors import NotValidError
from undercroft_hookspecs.metrics import MetricBatch, MetricSample
from undercroft_metrics.declarations import check_labels, check_value
from undercroft_metrics.spool.codec import DamagedError
from undercroft_metrics.spool.folders import read_bounded

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from undercroft_metrics.spool.spool import Spool

_NAME: Final = re.compile(r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.meta", re.ASCII)


class _Meta(msgspec.Struct, frozen=True, kw_only=True):
    charmurl: str
    uuid: str
    created: datetime
    unit_tag: str = msgspec.field(name="unit-tag")


class _Line(msgspec.Struct, frozen=True, kw_only=True):
    key: str = msgspec.field(name="Key")
    value: str = msgspec.field(name="Value")
    time: datetime = msgspec.field(name="Time")
    labels: dict[str, str] = msgspec.field(name="Labels", default_factory=dict)


def import_pairs(spool: Spool, folder: Path) -> dict[str, object]:
    """Publish the batches of this unit in Juju's spool `folder`, and remove them there; those of others stay.

    What cannot be read stays, too, and is named in the answer. Blocks.
    """
    imported, refused = 0, dict[str, str]()
    for meta in _metas(folder):
        try:
            batch = _read(spool, meta)
        except (DamagedError, NotValidError, OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
            refused[meta.name] = str(error)
            continue
        if batch is None:
            continue
        if batch.samples:
            spool.publish([batch])
            imported += 1
        meta.unlink()
        with suppress(FileNotFoundError):
            meta.with_suffix("").unlink()
    return {"imported": imported, "refused": refused}


def _metas(folder: Path) -> Iterator[Path]:
    """The files that commit a pair, whatever is written in them: names inside files lead nowhere."""
    for path in sorted(folder.iterdir()):
        if _NAME.fullmatch(path.name):
            yield path


def _read(spool: Spool, path: Path) -> MetricBatch | None:
    meta = msgspec.json.decode(read_bounded(path), type=_Meta)
    if meta.unit_tag != "unit-" + spool.owner.unit.replace("/", "-"):
        return None
    if meta.uuid != path.stem:
        raise DamagedError(f"it says that it is of {meta.uuid[:80]!r}")
    lines = read_bounded(path.with_suffix("")).splitlines()
    samples = [_sample(msgspec.json.decode(line, type=_Line)) for line in lines if line.strip()]
    return MetricBatch(
        id=path.stem,
        model=spool.owner.model,
        unit=spool.owner.unit,
        charm=meta.charmurl.rpartition("/")[2].rpartition(":")[2],
        created=meta.created,
        samples=samples,
    )


def _sample(line: _Line) -> MetricSample:
    check_value(line.value)
    check_labels(line.labels)
    return MetricSample(key=line.key, value=line.value, time=line.time, labels=line.labels)
