"""A unit's spool on the disk: files go in once for all senders, each of which has its own queue. All calls block."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from typing import TYPE_CHECKING, Final

from undercroft.files import sync
from undercroft_hookspecs.errors import NotFoundError, NotValidError
from undercroft_metrics.seams import SpoolFullError
from undercroft_metrics.spool.codec import MOST_BYTES, DamagedError, UnknownVersionError, decode, encode
from undercroft_metrics.spool.folders import SpoolInUseError, create, read_bounded, write_new
from undercroft_metrics.spool.names import FileName
from undercroft_metrics.spool.queue import Queue, nanoseconds, on_disk

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from undercroft_hookspecs.metrics import MetricBatch
    from undercroft_metrics.spool.queue import Owner

DISK_FULL: Final = "the disk is full"
_FULL_ERRORS: Final = frozenset((errno.ENOSPC, errno.EDQUOT))
_NO_LINKS: Final = frozenset((errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOSYS))


class Spool:
    """The spool of one unit, of which this process holds the lock from `open` to `close`."""

    def __init__(self, owner: Owner, senders: Iterable[str]) -> None:
        self.owner = owner
        self.queues: dict[str, Queue] = {}
        self._wanted = sorted(senders)
        self._lock_fd = -1
        self._placed: list[Path] = []
        self._number = 0
        self._last_created = 0

    def open(self) -> None:
        """Take the lock, read the queues, and finish what a crash has interrupted.

        Raises:
            SpoolInUseError: another process has it.
            OSError: the folder cannot be made or read.
        """
        folders = self.owner.folders
        folders.make()
        fd = os.open(folders.lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            raise SpoolInUseError(f"another process has the spool in {folders.root}") from None
        self._lock_fd = fd
        try:
            whole = self._swept()
            for sender in self._wanted:
                self.queue(sender)
            self._finish(whole)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the lock; may be repeated."""
        if self._lock_fd >= 0:
            for queue in self.queues.values():
                queue.tidy(0)
            os.close(self._lock_fd)
            self._lock_fd = -1

    def queue(self, sender: str) -> Queue:
        """The queue of a sender, made if need be.

        Raises:
            NotValidError: it cannot have that name.
        """
        known = self.queues.get(sender)
        if known is not None:
            return known
        if not sender or sender.startswith(".") or len(sender) > 100 or not sender.replace("-", "_").isidentifier():
            raise NotValidError(f"{sender!r} is no name for a sender", field="sender")
        queue = Queue(sender, self.owner)
        queue.open()
        self._last_created = max(self._last_created, queue.last_created)
        self.queues[sender] = queue
        return queue

    def known(self, sender: str) -> Queue:
        """The queue of a sender that there is. Raises NotFoundError."""
        try:
            return self.queues[sender]
        except KeyError:
            raise NotFoundError(sender, f"there is no sender {sender!r} here; there are {list(self.queues)}") from None

    def check_room(self, batches: int = 1, size: int = 0) -> None:
        """Raise SpoolFullError where a queue has no room, and its policy is to wait."""
        limits = self.owner.limits
        if limits.when_full == "block":
            for queue in self.queues.values():
                if not queue.has_room(batches, size):
                    raise SpoolFullError(f"the queue of sender {queue.sender} is full")
        if limits.when_disk_full == "block" and self._is_disk_full(size):
            raise SpoolFullError(f"the disk of {self.owner.folders.root} is full")

    def publish(self, batches: Sequence[MetricBatch]) -> None:
        """Put batches, as one file, into every queue, durably, as `commit` does, and tidy up."""
        try:
            self.commit(batches)
        finally:
            self.tidy()

    def tidy(self) -> None:
        """Remove what a commit has left in `tmp`: it is to be called before anything else, but need not be waited for.

        What stays there costs a duplicate at the next start.
        """
        while self._placed:
            with contextlib.suppress(OSError):
                self._placed.pop().unlink()

    def commit(self, batches: Sequence[MetricBatch]) -> None:
        """Put batches, as one file, into every queue, durably: all or none. `tidy` is to follow.

        Raises:
            SpoolFullError: a queue or the disk is full, and the policy is to wait; nothing was published.
            NotValidError: they are too many for one file.
            OSError: the disk fails; nothing was published.
        """
        data = encode(batches)
        if len(data) > MOST_BYTES:
            raise NotValidError(
                f"{len(batches)} batches of {len(data)} bytes are too large for one file", field="batches"
            )
        samples = sum(len(batch.samples) for batch in batches)
        name = self.fresh(FileName(0, 0, batches[0].id, len(batches), samples))
        size = on_disk(len(data))
        self.check_room(len(batches), size)
        targets = [queue for queue in self.queues.values() if self._makes_room(queue, name, size)]
        if targets:
            self._write(name, data, size, targets)

    def fresh(self, name: FileName) -> FileName:
        """The name for a file that is put into a queue now: after all others, whatever the clock says."""
        self._number += 1
        self._last_created = max(nanoseconds(self.owner.clock.now()), self._last_created + 1)
        return FileName(self._last_created, self._number, name.id, name.batches, name.samples)

    def _makes_room(self, queue: Queue, name: FileName, size: int) -> bool:
        limits = self.owner.limits
        if not queue.has_room(name.batches, size, drop=limits.when_full == "drop-oldest"):
            queue.refuse(name.created, name.batches, name.samples, "the queue is full")
            return False
        return not self._is_disk_full(size) or self._is_worth_it(queue, name, size)

    def _is_worth_it(self, queue: Queue, name: FileName, size: int) -> bool:
        """Apply the policy for a full disk to a file that would take `size` of it; whether it is to be written."""
        if self.owner.limits.when_disk_full == "drop-oldest" and queue.entries:
            queue.drop_oldest(0, size, DISK_FULL)
            return True
        queue.refuse(name.created, name.batches, name.samples, DISK_FULL)
        return False

    def _is_disk_full(self, size: int) -> bool:
        keep = self.owner.limits.free_bytes
        if not keep:
            return False
        found = os.statvfs(self.owner.folders.root)
        return found.f_bavail * found.f_frsize < keep + size

    def _write(self, name: FileName, data: bytes, size: int, targets: Sequence[Queue]) -> None:
        for last_try in (False, True):
            try:
                self._place(name, data, targets)
                break
            except OSError as error:
                if error.errno not in _FULL_ERRORS:
                    raise
                targets = self._after_no_space(name, size, targets, last_try=last_try)
                if not targets:
                    return
        for queue in targets:
            queue.admit(name, size)

    def _after_no_space(
        self, name: FileName, size: int, targets: Sequence[Queue], *, last_try: bool
    ) -> Sequence[Queue]:
        """Who still wants a file that found no room on the disk, after the policy was applied."""
        if self.owner.limits.when_disk_full == "block":
            raise SpoolFullError(f"the disk of {self.owner.folders.root} is full")
        if last_try:
            for queue in targets:
                queue.refuse(name.created, name.batches, name.samples, DISK_FULL)
            return ()
        return [queue for queue in targets if self._is_worth_it(queue, name, size)]

    def _place(self, name: FileName, data: bytes, targets: Sequence[Queue]) -> None:
        """Have a file in every queue, durably.

        All its names are there before the first sync, for which a filesystem with a journal then writes that once; the
        other syncs find that there is nothing left to do. Until the last of them has returned, the name in `tmp` says
        that a crash may have left less than all.
        """
        durability = self.owner.limits.durability
        made = [self.owner.folders.tmp / str(name)]
        fd = create(made[0], data)
        try:
            for queue in targets:
                made.append(queue.folder / made[0].name)
                link(made[0], made[-1], data, durable=durability != "none")
            if durability != "none":
                os.fsync(fd)
            if durability == "full":
                for queue in targets:
                    sync(queue.folder)
        except BaseException:
            for path in reversed(made):
                with contextlib.suppress(OSError):
                    path.unlink()
            raise
        finally:
            os.close(fd)
        self._placed.append(made[0])

    def _swept(self) -> list[tuple[Path, FileName, bytes]]:
        """What was on its way in when a process ended, and is whole. What is not is removed, under all its names."""
        folders = self.owner.folders
        whole: list[tuple[Path, FileName, bytes]] = []
        with os.scandir(folders.tmp) as entries:
            paths = sorted(folders.tmp / entry.name for entry in entries)
        for path in paths:
            name = FileName.parse(path.name)
            try:
                data = read_bounded(path)
                lines = decode(data)
            except UnknownVersionError:
                continue
            except (DamagedError, IsADirectoryError):
                data, lines = b"", []
            if name is not None and lines and (lines[0].batch.id, len(lines)) == (name.id, name.batches):
                whole.append((path, name, data))
                continue
            for torn in (*(folders.queue(sender) / path.name for sender in self._wanted), path):
                with contextlib.suppress(OSError):
                    torn.unlink()
        return whole

    def _finish(self, whole: Iterable[tuple[Path, FileName, bytes]]) -> None:
        """Have in every queue what was on its way in."""
        for path, name, data in whole:
            # What a kill has left is perhaps only in memory.
            sync(path)
            for queue in self.queues.values():
                if not (queue.folder / path.name).exists():
                    link(path, queue.folder / path.name, data, durable=True)
                    queue.admit(name, on_disk(len(data)))
                    queue.entries.sort(key=lambda each: each.name)
                sync(queue.folder)
            self._last_created = max(self._last_created, name.created)
            path.unlink()


def link(source: Path, target: Path, data: bytes, *, durable: bool) -> None:
    """Have a file under another name, too: by a copy, where the filesystem has no hard links."""
    try:
        os.link(source, target)
    except FileExistsError:
        return
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        write_new(target, data, durable=durable)
