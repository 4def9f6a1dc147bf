"""How much of its history a cluster keeps: etcd forgets none by itself, and its database grows until it is full.

Whoever makes the commit whose revision is a multiple of `EVERY` has etcd forget what lies `KEPT` behind it. So one
client does it for all of them, without a clock and without anybody being chosen; a turn that falls to another's commit,
or to the end of a lease, or that fails, is made up for by the next.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from undercroft_hookspecs.store import Revision, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

KEPT = 20_000
"""How many revisions are kept for watchers that resume: as many as a store in a file keeps."""

EVERY = 1_000

logger = logging.getLogger(__name__)


class History:
    """Has the history shortened as commits are made."""

    def __init__(self, compact: Callable[[Revision], Awaitable[None]], *, kept: int = KEPT, every: int = EVERY) -> None:
        self._compact = compact
        self._kept, self._every = kept, every
        self._task: asyncio.Task[None] | None = None
        self._has_warned = False

    def committed(self, revision: Revision) -> None:
        """A transaction of this client has made a commit; nothing is waited for."""
        if revision % self._every or revision <= self._kept or self._task is not None:
            return
        before = Revision(revision - self._kept)
        self._task = asyncio.get_running_loop().create_task(self._shorten(before), name="etcd-compaction")

    async def close(self) -> None:
        """Leave it to others from now on."""
        task = self._task
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def _shorten(self, before: Revision) -> None:
        try:
            await self._compact(before)
        except StoreUnavailable as error:
            # It is nobody's commit that has failed.
            level = logging.DEBUG if self._has_warned else logging.WARNING
            logger.log(level, "the history of etcd before revision %d was not compacted: %s", before, error)
            self._has_warned = True
        finally:
            self._task = None
