"""Tell a batch that can never be sent from a receiver that is down, where both look the same.

A receiver may answer 500 to one batch for ever, and be well. So a batch that has failed in the same words so many times
is suspected; it is proved guilty when another batch has gone through meanwhile and it fails in these words once more.
"""

from __future__ import annotations

from dataclasses import dataclass

SUSPECTED_AFTER = 5
MOST_RECORDS = 10_000


@dataclass(slots=True)
class _Record:
    reason: str
    times: int = 0
    others_went: bool = False


class Suspects:
    """The batches that have failed while they were alone, or were named."""

    __slots__ = ("_records",)

    def __init__(self) -> None:
        self._records: dict[str, _Record] = {}

    def failed(self, batch: str, reason: str) -> bool:
        """A batch has failed, in these words: whether it is poison."""
        record = self._records.get(batch)
        if record is None or record.reason != reason:
            if len(self._records) >= MOST_RECORDS:  # Of batches that have left the queue some other way.
                self._records.clear()
            record = self._records[batch] = _Record(reason)
        record.times += 1
        return record.times > SUSPECTED_AFTER and record.others_went

    def is_suspected(self, batch: str) -> bool:
        """Whether another batch should be tried now, to see whose fault it is."""
        record = self._records.get(batch)
        return record is not None and record.times % SUSPECTED_AFTER == 0 and not record.others_went

    def went(self, batches: frozenset[str]) -> None:
        """These have gone through: they are cleared, and whoever is suspected has less of an excuse."""
        for batch in batches & self._records.keys():
            del self._records[batch]
        for record in self._records.values():
            record.others_went = True

    def forget(self, batch: str) -> None:
        """The batch is out of the queue."""
        self._records.pop(batch, None)
