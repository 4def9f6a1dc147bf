"""What waits for one sender, oldest first. All calls block, and are one at a time."""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import dropwhile, islice, takewhile
from typing import TYPE_CHECKING, Final

from undercroft.clock import boot_seconds
from undercroft_hookspecs.metrics import MetricBatch
from undercroft_metrics.identity import new_id
from undercroft_metrics.seams import QueueStats
from undercroft_metrics.spool.codec import DamagedError, UnknownVersionError, decode
from undercroft_metrics.spool.folders import LEDGER, Why, kept, put_away, read_bounded, trim_quarantine
from undercroft_metrics.spool.ledger import EPOCH, Ledger, time_of, told
from undercroft_metrics.spool.names import FileName

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from undercroft_hookspecs import Clock
    from undercroft_metrics.spool.codec import Line
    from undercroft_metrics.spool.folders import Folders
    from undercroft_metrics.spool.ledger import Gap
    from undercroft_metrics.spool.limits import Limits

_log = logging.getLogger(__name__)

TOO_OLD: Final = "too old"
FULL: Final = "the queue is full"
_BLOCK: Final = 4096
_MOST_AHEAD: Final = 1000
"""Files that are read ahead."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose spool it is, and what it is run by."""

    model: str
    unit: str
    folders: Folders
    limits: Limits
    clock: Clock
    rng: random.Random
    on_drop: Callable[[str, str, int], object] = field(default=lambda *_: None)
    """Told of every drop: the sender, the reason, how many batches."""


@dataclass(slots=True)
class Entry:
    """A file in the queue. `batches` and `samples` are those that have not arrived; `since` is on the boot clock."""

    name: str
    created: int
    batches: int
    samples: int
    size: int
    since: float
    done: set[str] = field(default_factory=set)


class Queue:
    """The queue of one sender."""

    def __init__(self, sender: str, owner: Owner) -> None:
        self.sender, self._owner = sender, owner
        self.folder: Path = owner.folders.queue(sender)
        self._path = str(self.folder)
        self.entries: list[Entry] = []
        self.last_created = 0
        self.unknown = 0
        self.ledger = Ledger(self.folder / LEDGER)
        self._batches = self._bytes = 0
        self.dead = self.quarantined = 0
        self._claimed: dict[str, list[Line]] = {}
        self._ahead: dict[str, list[Line]] = {}
        """What was read while something else was being sent."""
        self._has_moved = False
        """Whether anything has arrived since the last claim."""
        self._unremoved: list[str] = []

    def open(self) -> None:
        """Read the folder, made if need be: what is foreign is put into quarantine, what was on its way out goes."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.ledger.load()
        first, last = self.ledger.books.going
        now, boot = nanoseconds(self._owner.clock.now()), boot_seconds(self._owner.clock)
        with os.scandir(self.folder) as found:
            for entry in found:
                if entry.name == LEDGER:
                    continue
                name = FileName.parse(entry.name)
                if name is None or not entry.is_file(follow_symlinks=False):
                    self._quarantine(entry.name, "its name is none of ours" if name is None else "it is no file")
                elif first <= entry.name <= last:
                    (self.folder / entry.name).unlink()
                else:
                    since = boot - max(now - name.created, 0) / 1e9
                    self._add(entry.name, name, disk_usage(entry.stat(follow_symlinks=False)), since)
        self.entries.sort(key=lambda each: each.name)
        self.last_created = max(self.last_created, *(each.created for each in self.entries[-1:]), 0)
        self.dead = sum(1 for _ in kept(self._owner.folders.dead(self.sender)))
        self.quarantined = sum(1 for _ in kept(self._owner.folders.quarantine(self.sender)))

    def stats(self) -> QueueStats:
        """How it stands."""
        # Asked for while a thread is at work, too: a list that changes can still be looked into like this.
        oldest = next((time_of(entry.created) for entry in self.entries), None)
        return QueueStats(
            batches=self._batches, bytes=self._bytes, oldest=oldest, dead=self.dead, quarantined=self.quarantined
        )

    @property
    def has_any(self) -> bool:
        """Whether there is something to claim."""
        return bool(self._batches or self.ledger.waiting())

    def admit(self, name: FileName, size: int) -> None:
        """A file is in the folder from now on."""
        self._add(str(name), name, size, boot_seconds(self._owner.clock))
        self.last_created = max(self.last_created, name.created)

    def has_room(self, batches: int, size: int, *, drop: bool = False) -> bool:
        """Whether that much more is within the limits; with `drop`, once the oldest have been dropped for it."""
        self._expire()
        limits = self._owner.limits
        batches, size = self._batches + batches - limits.batches, self._bytes + size - limits.bytes
        if drop and max(batches, size) > 0:
            batches, size = self.drop_oldest(batches, size, FULL)
        return batches <= 0 and size <= 0

    def drop_oldest(self, batches: int, size: int, reason: str) -> tuple[int, int]:
        """Drop the oldest files, until that many batches, and that much of the disk, are free; what is then wanting.
        What is being sent stays: it may have arrived."""
        going: list[Entry] = []
        for each in self._droppable():
            if batches <= 0 and size <= 0:
                break
            going.append(each)
            batches, size = batches - each.batches, size - each.size
        self._drop(going, reason)
        return batches, size

    def refuse(self, created: int, batches: int, samples: int, reason: str) -> None:
        """Count what has not come in, or is not kept."""
        self._count([created], batches, samples, reason)
        self.ledger.save()

    def claim(self, max_batches: int, max_bytes: int) -> Sequence[MetricBatch]:
        """The oldest within the limits; what cannot be read is put into quarantine."""
        known, self._claimed = self._claimed | self._ahead, {}
        self._expire()
        if self.ledger.seal():
            self.ledger.save()
        found = self._oldest(known, max_batches, max_bytes)
        kept = known if self._has_moved else {}
        self._ahead = {name: lines for name, lines in kept.items() if name not in self._claimed}
        return found

    def _oldest(self, known: Mapping[str, list[Line]], max_batches: int, max_bytes: int) -> Sequence[MetricBatch]:
        found = [self._gap_batch(gap) for gap in self.ledger.books.sealed][:max_batches]
        size = 0
        for entry in tuple(self.entries):
            if len(found) >= max_batches or size >= max_bytes:
                break
            lines = known.get(entry.name) or self._read(entry)
            if lines is None:
                continue
            self._claimed[entry.name] = lines
            for line in lines:
                if line.batch.id in entry.done:
                    continue
                if found and (len(found) >= max_batches or size + line.size > max_bytes):
                    return found
                found.append(line.batch)
                size += line.size
        return found

    def tidy(self, most: int) -> None:
        """While what was claimed is on its way: remove what arrived before, and read what is claimed next, about as
        many bytes. Not for a sender whose last claim has not arrived: the memory would be for nothing."""
        self._remove_rest()
        if not self._has_moved:
            return
        self._has_moved = False
        size = sum(line.size for lines in self._ahead.values() for line in lines)
        for entry in tuple(islice(self.entries, len(self._claimed) + _MOST_AHEAD)):
            if size >= most:
                break
            if self._is_free(entry) and entry.name not in self._ahead and (lines := self._read(entry)) is not None:
                self._ahead[entry.name] = lines
                size += sum(line.size for line in lines)

    def acknowledge(self, ids: set[str]) -> None:
        """Forget batches that were claimed. Their files go in time: what a crash brings back is a duplicate."""
        if self.ledger.settle(ids):
            self.ledger.save()
        claimed = list(islice((each for each in self.entries if each.name in self._claimed), len(self._claimed)))
        gone: list[Entry] = []
        for entry in claimed:
            lines = self._claimed[entry.name]
            for line in lines:
                if line.batch.id in ids and line.batch.id not in entry.done:
                    entry.done.add(line.batch.id)
                    self._less(entry, 1, len(line.batch.samples))
            if entry.batches == 0:
                del self._claimed[entry.name]
                gone.append(entry)
        if gone:
            self._has_moved = True
            self._forget_among(gone)
            self._unremoved.extend(entry.name for entry in gone)
        if not (gone and self.entries):
            self._remove_rest()  # Else by `tidy`, when nobody waits for it.

    def claimed(self, batch_id: str) -> tuple[str, Line] | None:
        """A batch that was claimed, and the name of its file."""
        for name, lines in self._claimed.items():
            for line in lines:
                if line.batch.id == batch_id:
                    return name, line
        return None

    def _add(self, text: str, name: FileName, size: int, since: float) -> None:
        self.entries.append(Entry(text, name.created, name.batches, name.samples, size, since))
        self._batches += name.batches
        self._bytes += size

    def _droppable(self) -> Iterator[Entry]:
        """The oldest that are not being sent, and next to one another: a crash meanwhile drops from the first to the
        last of what goes."""
        return takewhile(self._is_free, dropwhile(lambda each: not self._is_free(each), self.entries))

    def _is_free(self, entry: Entry) -> bool:
        return entry.name not in self._claimed

    def _less(self, entry: Entry, batches: int, samples: int) -> None:
        entry.batches, entry.samples = entry.batches - batches, entry.samples - samples
        self._batches -= batches

    def _forget(self, gone: Sequence[Entry]) -> None:
        start = self.entries.index(gone[0])
        if self.entries[start : start + len(gone)] != list(gone):
            raise ValueError("the files that go are not next to one another")
        del self.entries[start : start + len(gone)]
        self._bytes -= sum(each.size for each in gone)
        self._batches -= sum(each.batches for each in gone)

    def _forget_among(self, gone: Sequence[Entry]) -> None:
        """Forget files that are near the beginning, though not all next to one another, without a look at the rest."""
        end = self.entries.index(gone[-1]) + 1
        names = {each.name for each in gone}
        self.entries[:end] = [each for each in self.entries[:end] if each.name not in names]
        self._bytes -= sum(each.size for each in gone)

    def _expire(self) -> None:
        """Drop what has waited for too long."""
        oldest = boot_seconds(self._owner.clock) - self._owner.limits.seconds
        self._drop(list(takewhile(lambda each: each.since < oldest, self._droppable())), TOO_OLD)

    def _drop(self, going: Sequence[Entry], reason: str) -> None:
        """Drop files that are next to one another: they are counted first, so that a crash cannot count them twice."""
        if not going:
            return
        batches, samples = sum(each.batches for each in going), sum(each.samples for each in going)
        self._count([going[0].created, going[-1].created], batches, samples, reason)
        self.ledger.books.going = (going[0].name, going[-1].name)
        self.ledger.save()
        self._forget(going)
        for each in going:
            self._ahead.pop(each.name, None)
        self._unremoved.extend(each.name for each in going)
        self._remove_rest()

    def _count(self, created: Sequence[int], batches: int, samples: int, reason: str) -> None:
        fresh = new_id(self._owner.clock.now(), self._owner.rng)
        self.ledger.count(reason, fresh, created=created, batches=batches, samples=samples)
        self._owner.on_drop(self.sender, reason, batches)

    def _remove_rest(self) -> None:
        """Remove the files of what is gone; on a disk that cannot be written to, later."""
        left: list[str] = []
        for name in self._unremoved:
            try:
                os.unlink(f"{self._path}/{name}")  # noqa: PTH108  # There may be thousands.
            except FileNotFoundError:
                continue
            except OSError as error:
                if not left:
                    _log.warning("%s stays for now: %s", self.folder / name, error)
                left.append(name)
        self._unremoved = left

    def _read(self, entry: Entry) -> list[Line] | None:
        try:
            lines = decode(read_bounded(f"{self._path}/{entry.name}"))
            name = FileName.parse(entry.name)
            if name is None or (lines[0].batch.id, len(lines)) != (name.id, name.batches):
                raise DamagedError("it holds something else than its name says")
        except (DamagedError, IndexError) as error:
            self._forget([entry])
            self._quarantine(entry.name, str(error), lost=entry)
            return None
        except UnknownVersionError as error:
            _log.warning("%s is left where it is: %s", self.folder / entry.name, error)
            self._forget([entry])
            self.unknown += 1
            return None
        except FileNotFoundError:
            self._forget([entry])
            self._count([entry.created], entry.batches, entry.samples, "its file was taken away")
            self.ledger.save()
            return None
        except OSError as error:
            _log.warning("%s cannot be read now: %s", self.folder / entry.name, error)
            return None
        return lines

    def _quarantine(self, name: str, reason: str, *, lost: Entry | None = None) -> None:
        _log.warning("%r is put into quarantine: %s", str(self.folder / name), reason)
        if lost is not None:
            self._count([lost.created], lost.batches, lost.samples, f"damaged: {reason}")
            with suppress(OSError):
                self.ledger.save()
        folder = self._owner.folders.quarantine(self.sender)
        try:
            put_away(self.folder / name, folder, Why(reason=reason, at=self._owner.clock.now(), sender=self.sender))
            self.quarantined = trim_quarantine(folder)
        except OSError as error:
            _log.warning("%s could not be put into quarantine: %s", self.folder / name, error)

    def _gap_batch(self, gap: Gap) -> MetricBatch:
        gone = told(gap)
        owner = self._owner
        return MetricBatch(
            id=gap.id, model=owner.model, unit=owner.unit, charm="", created=gone.last, samples=(), gap=gone
        )


def on_disk(size: int) -> int:
    """What a file of that size takes on the disk."""
    return -(-size // _BLOCK) * _BLOCK


def disk_usage(status: os.stat_result) -> int:
    return max(status.st_blocks * 512, on_disk(status.st_size))


def nanoseconds(time: datetime) -> int:
    return (time - EPOCH) // timedelta(microseconds=1) * 1000
