"""One watch: a stream that is opened anew behind what was seen last, however it ended."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from undercroft_etcd import messages
from undercroft_etcd.faults import Fault
from undercroft_hookspecs.store import Change, Commit, Compacted, Delete, LeaseId, Put, Revision, StoreUnavailable

if TYPE_CHECKING:
    from undercroft_etcd.client import Client
    from undercroft_etcd.keys import Keys
    from undercroft_etcd.messages import Event, WatchAnswer
    from undercroft_etcd.transport import Stream

BACKLOG = 200
"""How many commits are kept for a watcher that is slow; the rest waits in the stream, and then in etcd."""

CANCEL_SECONDS = 1.0
"""How long is waited for etcd to say from which revision on it has kept the history."""

logger = logging.getLogger(__name__)


class Watcher:
    """Commits under a prefix. Its task reads ahead, so that whoever stops waiting for a commit loses none."""

    def __init__(self, client: Client, keys: Keys, prefix: str, since: Revision) -> None:
        self._client, self._keys, self._prefix = client, keys, prefix
        self._begin, self._end = keys.range(prefix)
        self._since = since  # All up to here has been handed over, or lies in `_ready`.
        self._ready: deque[Commit] = deque()
        self._partial: list[Event] = []  # The events of one revision, of which there may be more to come.
        self._woken, self._has_room = asyncio.Event(), asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def __aiter__(self) -> Watcher:
        return self

    async def __anext__(self) -> Commit:
        while not self._ready:
            if self._task is None:
                raise StoreUnavailable("the watch has ended")
            if self._task.done():
                self._task.result()
            self._woken.clear()
            await self._woken.wait()
        self._has_room.set()
        return self._ready.popleft()

    async def start(self) -> None:
        """Begin to watch.

        Raises:
            Compacted: what is behind `since` is no longer kept.
            Fault: etcd refuses.
            StoreUnavailable: nobody answered in time.
        """
        stream = await self._open()
        self._task = asyncio.get_running_loop().create_task(self._run(stream), name=f"etcd-watch {self._prefix}")
        self._task.add_done_callback(lambda _: self._woken.set())

    async def stop(self) -> None:
        """Watch no longer."""
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # Whoever iterates has been told, or did not want to know.
        self._woken.set()

    async def _run(self, stream: Stream) -> None:
        while True:
            try:
                await self._follow(stream)
            except Fault as fault:
                logger.info("the watch of %r is cut off behind revision %d: %s", self._prefix, self._since, fault)
            finally:
                stream.cancel()
            stream = await self._open_again()
            logger.info("the watch of %r goes on behind revision %d", self._prefix, self._since)

    async def _open_again(self) -> Stream:
        """Open a stream, however long it takes."""
        while True:
            try:
                return await self._open()
            except Fault as fault:
                raise StoreUnavailable(f"etcd refuses to go on with the watch of {self._prefix!r}: {fault}") from None
            except StoreUnavailable as error:
                if self._client.is_closed:
                    raise
                logger.debug("the watch of %r is still cut off: %s", self._prefix, error)

    async def _open(self) -> Stream:
        self._partial.clear()
        stream, _ = await self._client.open_stream(messages.WATCH, self._create)
        try:
            await self._check_kept(stream)
        except BaseException:
            stream.cancel()
            raise
        return stream

    async def _create(self, stream: Stream) -> None:
        await stream.write(messages.watch_request(self._begin, self._end, self._since + 1))
        answer = messages.watch_answer(await stream.read())
        if not answer.is_cancelled:
            return
        if not answer.compacted:
            # Some versions say of a token that has run out that permission is denied, so somebody else has to say it.
            request = messages.range_request(self._begin, self._end, limit=1)
            await self._client.call(messages.RANGE, request, repeatable=True)
        raise self._cancelled(answer)

    async def _check_kept(self, stream: Stream) -> None:
        """Make sure that nothing is missing between `since` and the first event.

        etcd serves a watch from the very revision that it has compacted, but has forgotten what was deleted in it. A
        read at `since` tells: it is refused whenever something behind `since` might be gone.
        """
        request = messages.range_request(self._begin, revision=max(self._since, 1), keys_only=True)
        try:
            await self._client.call(messages.RANGE, request, repeatable=True)
        except Fault as fault:
            if fault.is_future:
                return
            if not fault.is_compacted:
                raise
            raise Compacted(await self._oldest(stream)) from None

    async def _oldest(self, stream: Stream) -> Revision:
        try:
            async with asyncio.timeout(CANCEL_SECONDS):
                while not (answer := messages.watch_answer(await stream.read())).compacted:
                    pass
        except (TimeoutError, Fault):
            return Revision(self._since + 1)  # It serves what is behind, so that it can only be this one.
        return Revision(answer.compacted)

    async def _follow(self, stream: Stream) -> None:
        while True:
            answer = messages.watch_answer(await stream.read())
            if answer.is_cancelled:
                raise self._cancelled(answer)
            for event in answer.events:
                if self._partial and event.kv.revision != self._partial[0].kv.revision:
                    await self._hand_over()
                if event.kv.revision > self._since:
                    self._partial.append(event)
            if answer.is_fragment:
                continue
            await self._hand_over()
            if not answer.events and not answer.is_created:
                self._since = Revision(max(self._since, answer.revision))  # There was nothing up to then.

    async def _hand_over(self) -> None:
        """Make a commit of the events of one revision, which are now complete."""
        if not self._partial:
            return
        while len(self._ready) >= BACKLOG:
            self._has_room.clear()
            await self._has_room.wait()
        revision = Revision(self._partial[0].kv.revision)
        self._ready.append(Commit(revision, self._changes(self._partial)))
        self._partial, self._since = [], revision
        self._woken.set()

    def _changes(self, events: Sequence[Event]) -> Sequence[Change]:
        changes: list[Change] = []
        for is_delete, kv in events:
            key = self._keys.decoded(kv.key)
            changes.append(Delete(key) if is_delete else Put(key, kv.value, LeaseId(kv.lease) if kv.lease else None))
        return tuple(changes)

    def _cancelled(self, answer: WatchAnswer) -> Exception:
        if answer.compacted:
            return Compacted(Revision(answer.compacted))
        return Fault("UNAVAILABLE", answer.reason or "etcd has cancelled the watch", is_sent=False)
