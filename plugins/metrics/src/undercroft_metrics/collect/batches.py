"""From a recording to batches: series within their budget, and no batch too large for those who take it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from undercroft_hookspecs.metrics import MetricBatch
from undercroft_metrics.identity import part_id

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from undercroft_hookspecs.metrics import MetricSample
    from undercroft_metrics.collect.recording import Recording

MOST_BYTES: Final = 900_000
"""Of a batch's JSON: with what is around the samples it stays under a sender's 1 MiB."""
DAY_SECONDS: Final = 86400.0


class SeriesBudget:
    """How many sets of labels each metric may have within a day: what is beyond that is dropped, and counted."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._seen: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
        self.dropped: dict[str, int] = {}

    def within(self, samples: Sequence[MetricSample], now: float) -> list[MetricSample]:
        """The samples that are within the budget at `now`, in seconds of any clock."""
        return [sample for sample in samples if self._admits(sample, now)]

    def _admits(self, sample: MetricSample, now: float) -> bool:
        known = self._seen.setdefault(sample.key, {})
        labels = tuple(sorted(sample.labels.items()))
        if labels not in known and len(known) >= self._most:
            for old in [each for each, seen in known.items() if seen < now - DAY_SECONDS]:
                del known[old]
        if labels not in known and len(known) >= self._most:
            self.dropped[sample.key] = self.dropped.get(sample.key, 0) + 1
            return False
        known[labels] = now
        return True


def batches_of(
    recording: Recording, samples: Sequence[MetricSample], *, model: str, unit: str, status: int | None, most: int
) -> list[MetricBatch]:
    """The batches of one collection, with `most` samples each at the most; none where nothing was added."""
    header = recording.header
    parts = list(_parts(samples, most))
    return [
        MetricBatch(
            id=part_id(header.id, number),
            model=model,
            unit=unit,
            charm=header.charm,
            created=header.created,
            samples=part,
            part=number,
            parts=len(parts),
            hook_status=status,
        )
        for number, part in enumerate(parts, 1)
    ]


def _parts(samples: Sequence[MetricSample], most: int) -> Iterator[Sequence[MetricSample]]:
    part: list[MetricSample] = []
    size = 0
    for sample in samples:
        own = len(msgspec.json.encode(sample)) + 1
        if part and (len(part) >= most or size + own > MOST_BYTES):
            yield part
            part, size = [], 0
        part.append(sample)
        size += own
    if part:
        yield part
