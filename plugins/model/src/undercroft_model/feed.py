"""Hands commits out to watchers: to those who keep up from memory, to those who are behind from the file."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from undercroft_hookspecs.store import Commit, Compacted, Revision, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from undercroft_hookspecs.errors import UndercroftError
    from undercroft_hookspecs.store import Change

BACKLOG = 1000
"""How many commits are kept in memory for a watcher that is slow; one that is slower still reads from the file."""


@dataclass(frozen=True, slots=True)
class Page:
    """Commits under a prefix, all that there are up to and with `revision`; `oldest` is the oldest revision kept.

    Each is its revision and what it has changed: most of a batch's are never looked at, and a Commit has its price.
    """

    commits: Sequence[tuple[Revision, Sequence[Change]]]
    revision: Revision
    oldest: Revision
    is_last: bool


class Feed:
    """The commits that have been seen up to `revision`, and everybody who wants to know of them."""

    def __init__(self, read: Callable[[str, Revision], Awaitable[Page]]) -> None:
        self.revision = Revision(0)
        self._read = read
        self._watchers: set[Watcher] = set()
        self._end: UndercroftError | None = None

    def __len__(self) -> int:
        return len(self._watchers)

    @asynccontextmanager
    async def watch(self, prefix: str, since: Revision) -> AsyncIterator[Watcher]:
        """Every commit after `since` that touches `prefix`, in order."""
        if self._end is not None:
            raise self._end
        watcher = Watcher(self, self._read, prefix, since)
        self._watchers.add(watcher)
        try:
            await watcher.check()
            yield watcher
        finally:
            self._watchers.discard(watcher)
            watcher.on_end(StoreUnavailable("the watch has ended"))

    def on_written(self, before: Revision, page: Page) -> bool:
        """Hand out what this process has written on top of `before`, unless others came in between: then somebody has
        to look, and it is false.
        """
        if before != self.revision:
            return False
        if page.commits:
            self.deliver(page)
        return True

    def deliver(self, page: Page) -> None:
        """Hand out what has been committed since `revision`."""
        for watcher in self._watchers:
            watcher.on_page(page, since=self.revision)
        self.revision = max(self.revision, page.revision)

    def close(self) -> None:
        """Tell every watcher that there will be nothing more."""
        self.fail(StoreUnavailable("the store has been closed"))

    def fail(self, error: UndercroftError) -> None:
        """End every watch, and all that are asked for later, with an error."""
        if self._end is None:
            self._end = error
        for watcher in self._watchers:
            watcher.on_end(self._end)


class Watcher:
    """One watch. It is behind until it has read from the file all that the feed has handed out before."""

    __slots__ = ("_end", "_feed", "_is_behind", "_pending", "_prefix", "_read", "_seen", "_taken", "_woken")

    def __init__(
        self, feed: Feed, read: Callable[[str, Revision], Awaitable[Page]], prefix: str, since: Revision
    ) -> None:
        self._feed, self._read, self._prefix = feed, read, prefix
        self._taken = self._seen = since  # What has been given out; what is given out or pending.
        self._pending: deque[Commit] = deque()
        self._is_behind = since < feed.revision
        self._end: UndercroftError | None = None
        self._woken = asyncio.Event()

    def __aiter__(self) -> Watcher:
        return self

    async def __anext__(self) -> Commit:
        while True:
            if self._pending:
                commit = self._pending.popleft()
                self._taken = commit.revision
                return commit
            if self._end is not None:
                raise self._end
            if self._is_behind:
                await self._catch_up()
            else:
                self._woken.clear()
                await self._woken.wait()

    async def check(self) -> None:
        """Raise Compacted if the commits after `since` are no longer kept."""
        if self._is_behind:
            await self._catch_up()

    def on_page(self, page: Page, *, since: Revision) -> None:
        """Take from new commits, which follow on `since`, what this watcher wants."""
        if self._is_behind:
            return
        if not self._pending:
            self._taken = self._seen
        if page.oldest > max(since, self._seen):
            self._fall_behind()  # Some were compacted before anybody here had seen them.
            return
        for revision, changed in page.commits:
            changes = tuple([change for change in changed if change.key.startswith(self._prefix)])
            if changes and revision > self._seen:
                self._pending.append(Commit(revision, changes))
        self._seen = max(self._seen, page.revision)
        if len(self._pending) > BACKLOG:
            self._fall_behind()
        elif self._pending:
            self._woken.set()

    def on_end(self, error: UndercroftError) -> None:
        """Raise that, once what has been seen is given out."""
        self._end = error
        self._woken.set()

    def _fall_behind(self) -> None:
        self._pending.clear()
        self._is_behind = True
        self._woken.set()

    async def _catch_up(self) -> None:
        page = await self._read(self._prefix, self._taken)
        if page.oldest > self._taken:
            raise Compacted(page.oldest)
        self._pending.extend(Commit(revision, changes) for revision, changes in page.commits)
        if not page.commits:
            self._taken = page.revision
        if page.is_last and page.revision >= self._feed.revision:
            self._is_behind, self._seen = False, max(self._seen, page.revision)
