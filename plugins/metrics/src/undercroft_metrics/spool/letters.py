"""Dead letters: batches that a sender will never take, until somebody has looked at them. All calls block."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from undercroft_metrics.spool.codec import encode
from undercroft_metrics.spool.folders import Why, kept, put_away, remove_kept, write_new, write_why
from undercroft_metrics.spool.names import FileName
from undercroft_metrics.spool.queue import disk_usage

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from undercroft_metrics.spool.codec import Line
    from undercroft_metrics.spool.queue import Owner, Queue

MOST_DEAD: Final = 1000


def bury(queue: Queue, owner: Owner, batch_id: str, reason: str) -> None:
    """Put a batch that was claimed to the dead letters; nothing if it was not.

    Where it cannot be kept, it is dropped, and counted: a batch that is in the way would stop all others.
    """
    found = queue.claimed(batch_id)
    if found is not None:
        name, line = found
        given = FileName.parse(name)
        assert given is not None
        why = Why(reason=reason, at=owner.clock.now(), sender=queue.sender, ids=(batch_id,))
        try:
            _keep(queue, owner, given, line, why)
        except OSError as error:
            queue.refuse(given.created, 1, len(line.batch.samples), f"refused, and not kept: {error.strerror}")
    queue.acknowledge({batch_id})


def requeue(queue: Queue, owner: Owner, ids: set[str] | None, fresh: Callable[[FileName], FileName]) -> int:
    """Put dead letters, those or all, at the end of the queue, under the names that `fresh` gives; how many."""
    moved = 0
    for path, why in list(kept(owner.folders.dead(queue.sender))):
        name = FileName.parse(path.name)
        if name is None or not _is_meant(path, why, ids):
            continue
        renamed = fresh(name)
        target = queue.folder / str(renamed)
        path.rename(target)
        remove_kept(path)
        queue.admit(renamed, disk_usage(target.lstat()))
        queue.dead -= 1
        moved += 1
    return moved


def purge(queue: Queue, owner: Owner, ids: set[str] | None, *, quarantine: bool) -> int:
    """Remove dead letters, or what is in quarantine, those or all; how many."""
    folder = (owner.folders.quarantine if quarantine else owner.folders.dead)(queue.sender)
    removed = [path for path, why in list(kept(folder)) if _is_meant(path, why, ids)]
    for path in removed:
        remove_kept(path)
    if quarantine:
        queue.quarantined -= len(removed)
    else:
        queue.dead -= len(removed)
    return len(removed)


def _is_meant(path: Path, why: Why | None, ids: set[str] | None) -> bool:
    if ids is None:
        return True
    name = FileName.parse(path.name)
    return bool(ids & {path.name, *(why.ids if why else ()), *((name.id,) if name is not None else ())})


def _keep(queue: Queue, owner: Owner, given: FileName, line: Line, why: Why) -> None:
    folder = owner.folders.dead(queue.sender)
    if given.batches == 1:
        put_away(queue.folder / str(given), folder, why)
    else:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        own = FileName(given.created, given.number, line.batch.id, 1, len(line.batch.samples))
        write_new(folder / str(own), encode([line.batch]), durable=True)
        write_why(folder / str(own), why)
    queue.dead += 1
    if queue.dead > MOST_DEAD:
        path, _ = next(iter(kept(folder)))
        name = FileName.parse(path.name)
        remove_kept(path)
        queue.dead -= 1
        queue.refuse(given.created, 1, name.samples if name is not None else 0, "too many dead letters")
