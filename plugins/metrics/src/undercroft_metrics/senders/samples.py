"""What all senders read a batch by: its samples and its gap as one list, and names as Prometheus wants them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from undercroft_hookspecs import MetricSample

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from undercroft_hookspecs import MetricBatch

GAP_KEY = "undercroft-dropped-batches"
"""The metric that tells of batches that were dropped before they could be sent."""

_NOT_METRIC = re.compile(r"[^a-zA-Z0-9_:]")
_NOT_LABEL = re.compile(r"[^a-zA-Z0-9_]")


def samples_of(batch: MetricBatch) -> Sequence[MetricSample]:
    """The batch's samples, and one more for its gap where it tells of one."""
    if (gap := batch.gap) is None:
        return batch.samples
    told = MetricSample(
        key=GAP_KEY, value=str(gap.batches), time=gap.last, kind="absolute", labels={"reason": gap.reason}
    )
    return [*batch.samples, told]


def metric_name(key: str) -> str:
    """A name that Prometheus can be asked for: what it cannot have in a name becomes `_`."""
    return _led(_NOT_METRIC.sub("_", key))


def label_name(name: str) -> str:
    """The same for labels. Two underscores at the beginning are Prometheus' own: they become one."""
    clean = _led(_NOT_LABEL.sub("_", name))
    return f"_{clean.lstrip('_')}" if clean.startswith("__") else clean


def labels_of(own: Mapping[str, str], sample: Mapping[str, str]) -> dict[str, str]:
    """A series' labels: ours, and the sample's; one of the sample's with a name of ours is `exported_NAME`.

    Empty values are left out: to Prometheus they are labels that are not there.
    """
    labels = {label_name(name): value for name, value in own.items() if value}
    for name, value in sorted(sample.items()):
        clean = label_name(name)
        if value:
            labels[f"exported_{clean}" if clean in own else clean] = value
    return labels


def _led(name: str) -> str:
    return f"_{name}" if not name or name[0].isdigit() else name
