"""Hands commits out to watchers: to those who keep up from memory, to those who are behind from the file.

Watchers are kept by prefix, and found by the folders of a key: a process has thousands of them, and a commit is of
interest to a few.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from undercroft_hookspecs.store import Commit, Compacted, Revision, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence

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
        self._folders: dict[str, dict[str, set[Watcher]]] = {}
        self._end: UndercroftError | None = None

    def __len__(self) -> int:
        return len(self._watchers)

    @asynccontextmanager
    async def watch(self, prefix: str, since: Revision) -> AsyncIterator[Watcher]:
        """Every commit after `since` that touches `prefix`, in order."""
        if self._end is not None:
            raise self._end
        watcher = Watcher(self, self._read, prefix, since)
        self._add(watcher, prefix)
        try:
            await watcher.check()
            yield watcher
        finally:
            self._remove(watcher, prefix)
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
        if page.oldest > self.revision:
            for watcher in self._watchers:
                watcher.on_gap(page.oldest)
        for revision, changed in page.commits:
            for prefix, changes in self._wanted(changed).items():
                commit = Commit(revision, tuple(changes))
                for watcher in self._folders[_folder_of(prefix)][prefix]:
                    watcher.on_commit(commit)
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

    def _add(self, watcher: Watcher, prefix: str) -> None:
        self._watchers.add(watcher)
        self._folders.setdefault(_folder_of(prefix), {}).setdefault(prefix, set()).add(watcher)

    def _remove(self, watcher: Watcher, prefix: str) -> None:
        self._watchers.discard(watcher)
        folder = _folder_of(prefix)
        prefixes = self._folders[folder]
        prefixes[prefix].discard(watcher)
        if not prefixes[prefix]:
            del prefixes[prefix]
        if not prefixes:
            del self._folders[folder]

    def _wanted(self, changes: Sequence[Change]) -> dict[str, list[Change]]:
        """The prefixes that are watched, and which of the changes are for them."""
        found: dict[str, list[Change]] = {}
        for change in changes:
            for prefix in self._watched(change.key):
                found.setdefault(prefix, []).append(change)
        return found

    def _watched(self, key: str) -> Iterator[str]:
        for folder in _folders_with(key):
            yield from (prefix for prefix in self._folders.get(folder, ()) if key.startswith(prefix))


def _folders_with(key: str) -> Iterator[str]:
    """Each folder that a key is in, from "" on."""
    end = 0
    yield ""
    while end := key.find("/", end) + 1:
        yield key[:end]


def _folder_of(prefix: str) -> str:
    """What of a prefix is whole names; each key under the prefix is in that folder."""
    return prefix[: prefix.rfind("/") + 1]


class Watcher:
    """One watch. It is behind until it has read from the file all that the feed has handed out before; from then on it
    has seen what the feed has."""

    __slots__ = ("_ahead", "_end", "_feed", "_is_behind", "_pending", "_prefix", "_read", "_taken", "_woken")

    def __init__(
        self, feed: Feed, read: Callable[[str, Revision], Awaitable[Page]], prefix: str, since: Revision
    ) -> None:
        self._feed, self._read, self._prefix = feed, read, prefix
        self._taken = self._ahead = since  # What has been given out; what was read before the feed came to it.
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

    def on_gap(self, oldest: Revision) -> None:
        """What is older than `oldest` was compacted, perhaps before anybody here had seen it."""
        if not self._is_behind and oldest > self._note_seen():
            self._fall_behind()

    def on_commit(self, commit: Commit) -> None:
        """Take a commit, which is the next one under the watcher's prefix."""
        if self._is_behind or commit.revision <= self._note_seen():
            return
        self._pending.append(commit)
        if len(self._pending) > BACKLOG:
            self._fall_behind()
        else:
            self._woken.set()

    def on_end(self, error: UndercroftError) -> None:
        """Raise that, once what has been seen is given out."""
        self._end = error
        self._woken.set()

    def _note_seen(self) -> Revision:
        """How far it has seen; where nothing is pending, all of that has been given out."""
        seen = max(self._ahead, self._feed.revision)
        if not self._pending:
            self._taken = max(self._taken, seen)
        return seen

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
            self._is_behind, self._ahead = False, max(self._ahead, page.revision)
