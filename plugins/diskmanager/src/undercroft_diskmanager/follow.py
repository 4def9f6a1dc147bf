"""Follow the block devices: wake up for what happens, read what it touched, and give the list when it has changed.

    udevd or the kernel ──┐
    mounts, swaps ────────┤
    udevd comes or goes ──┼── Pending ── Lister.refresh ── a new list, if it is one
    a node was written to ┤
    every 300 s: resync ──┘

An event is acted upon at once: attaching, formatting and mounting a device are three events within moments, and each is
wanted early. Only when readings come thick are they spaced out. What happens meanwhile is gathered, so that a burst of
any size is a few readings of the devices that it touched.
"""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from undercroft import PeriodicWorker, Stop, Timer
from undercroft.linux import mountinfo
from undercroft.linux.watch import IN_CLOSE_WRITE, IN_DELETE_SELF, Inotify, watching_proc
from undercroft_diskmanager.doubts import Doubts
from undercroft_diskmanager.touched import Pending
from undercroft_diskmanager.udev import Monitor, Source
from undercroft_diskmanager.udevd import UdevdWatch

if TYPE_CHECKING:
    import random

    import pyudev

    from undercroft_diskmanager.lister import Lister
    from undercroft_diskmanager.sysfs import Roots
    from undercroft_hookspecs.records import BlockDevice
    from undercroft_hookspecs.worker import Clock

READINGS_AT_ONCE = 10
READING_INTERVAL = 0.01
RESYNC_JITTER = 0.1

Counted = Literal["rescans", "overflows"]

logger = logging.getLogger(__name__)


class Follower:
    """Follows this machine's devices with a lister of its own; `counts` tells how often since it was made."""

    def __init__(
        self,
        lister: Lister,
        *,
        context: pyudev.Context,
        roots: Roots,
        clock: Clock,
        rng: random.Random,
        resync_seconds: float,
        buffer_bytes: int,
        counted: Callable[[Counted], None] | None = None,
    ) -> None:
        self._lister, self._context, self._roots = lister, context, roots
        self._clock, self._rng = clock, rng
        self._resync_seconds, self._buffer_bytes = resync_seconds, buffer_bytes
        self._counted = counted
        self.source: Source | None = None
        self.counts: dict[Counted, int] = {"rescans": 0, "overflows": 0}

    async def listings(self) -> AsyncGenerator[tuple[BlockDevice, ...], None]:
        """The devices now, and again whenever they have changed. Close it (`contextlib.aclosing`)."""
        pending = Pending()
        last: tuple[BlockDevice, ...] | None = None
        async with contextlib.AsyncExitStack() as stack:
            nodes = await stack.enter_async_context(self._watching(pending))
            doubts = stack.enter_context(Doubts(pending.touch, clock=self._clock))
            pace = Pace(self._clock)
            while True:
                touched = await pending.take()
                devices = await self._lister.refresh(touched, udev_lives=self.source == "udev")
                self._count("rescans")
                if self.source == "kernel":
                    nodes.cover(self._lister.disks)
                doubts.judge(self._lister.doubtful)
                if devices != last:
                    last = devices
                    yield devices
                await pace.keep()

    @contextlib.asynccontextmanager
    async def _watching(self, pending: Pending) -> AsyncIterator[NodeWatch]:
        """All sources of events, for as long as the block lasts."""

        async def resync(_: Stop) -> None:
            pending.touch_everything()

        def choose() -> None:
            self.source = "udev" if udevd.is_alive else "kernel"
            logger.info("following the events of block devices from %s", self.source)
            try:
                monitor.listen(self.source)
            except OSError as error:
                pending.fail(error)

        async with contextlib.AsyncExitStack() as stack:
            monitor = stack.enter_context(
                Monitor(
                    self._context, pending, buffer_bytes=self._buffer_bytes, overflowed=lambda: self._count("overflows")
                )
            )
            udevd = stack.enter_context(UdevdWatch(self._roots.udev, choose, clock=self._clock))
            choose()
            await stack.enter_async_context(mountinfo.watch(pending.touch_claims, self._roots.mountinfo))
            if self._roots.swaps.exists():
                await stack.enter_async_context(watching_proc(pending.touch_claims, self._roots.swaps))
            nodes = stack.enter_context(NodeWatch(pending, self._roots.dev))
            await stack.enter_async_context(
                PeriodicWorker(
                    resync,
                    self._resync_seconds,
                    jitter=RESYNC_JITTER,
                    # The first reading has been asked for by listening: the first resync comes a period later.
                    new_timer=lambda _: Timer(self._resync_seconds, self._clock),
                    name="disk-manager-resync",
                    clock=self._clock,
                    rng=self._rng,
                )
            )
            yield nodes

    def _count(self, what: Counted) -> None:
        self.counts[what] += 1
        if self._counted is not None:
            self._counted(what)


class Pace:
    """Lets a few readings follow one another at once, and spaces out the rest."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due = -math.inf

    async def keep(self) -> None:
        """Wait if there have been many of late; called after each."""
        now = self._clock.monotonic()
        self._due = max(self._due, now - READINGS_AT_ONCE * READING_INTERVAL) + READING_INTERVAL
        if self._due > now:
            await self._clock.sleep(self._due - now)


class NodeWatch:
    """Touches a device after a program that could write to it has closed its node; a context manager.

    Only this tells of a new filesystem where no udevd runs: the kernel has no event for it, and udevd itself learns of
    it in this way.
    """

    def __init__(self, pending: Pending, dev: Path) -> None:
        self._pending, self._dev = pending, dev
        self._inotify = Inotify(self._on_close)
        self._covered: tuple[str, ...] = ()
        self._is_full = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._inotify.close()

    def cover(self, paths: tuple[str, ...]) -> None:
        """Watch these nodes too; cheap if they are the same as before."""
        if paths == self._covered:
            return
        self._covered = paths
        try:
            for path in paths:
                self._inotify.watch(Path(path), IN_CLOSE_WRITE | IN_DELETE_SELF)
        except OSError as error:
            if not self._is_full:
                logger.warning("cannot watch all devices for writers: %s; new filesystems are seen at a resync", error)
            self._is_full = True

    def _on_close(self, path: Path, _: str) -> None:
        self._covered = ()  # The node may have been removed, and another one of its name is another file.
        self._pending.touch(str(path.relative_to(self._dev)))
