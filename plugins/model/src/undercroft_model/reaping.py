"""Remove what is to be removed, in all models, as soon as somebody asks for it: `lifecycle.reap` does it, and for the
blobs that go with it `blobremoval`.

Every agent does so, at any time; what one has done the others find done. Each waits for a moment of its own first, so
that usually one does it all.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import TYPE_CHECKING

from undercroft_hookspecs.errors import UndercroftError
from undercroft_hookspecs.identity import ModelId
from undercroft_hookspecs.store import StoreUnusable
from undercroft_model.blobremoval import remove_unneeded
from undercroft_model.lifecycle import reap
from undercroft_model.patience import Patience
from undercroft_model.tables import BLOB_HOLDS, BLOB_NOTES, BLOB_REMOVALS, CLEANUPS, MODEL_NAMES
from undercroft_model.watching import folder, newest

if TYPE_CHECKING:
    import random

    from undercroft_hookspecs.store import Store
    from undercroft_hookspecs.worker import Clock
    from undercroft_model.blobs import Blobs

LONGEST_WAIT_SECONDS = 0.05

logger = logging.getLogger(__name__)


class Reaping:
    """The removals of all models, while `go_on` runs."""

    def __init__(self, store: Store, blobs: Blobs, *, clock: Clock, rng: random.Random) -> None:
        self._store, self._blobs, self._clock, self._rng = store, blobs, clock, rng
        self._reaped = 0

    @property
    def reaped(self) -> int:
        """How often something was removed."""
        return self._reaped

    async def go_on(self) -> None:
        """Reap whenever there is something, until cancelled."""
        tasks: dict[ModelId, asyncio.Task[None]] = {}
        async with asyncio.TaskGroup() as group, self._models() as states:
            group.create_task(self._follow_blobs(), name="remove blobs")
            async for models in states:
                for gone in tasks.keys() - models:
                    tasks.pop(gone).cancel()
                for model in models - tasks.keys():
                    tasks[model] = group.create_task(self._follow(model), name=f"reap {model}")

    def _models(self) -> AbstractAsyncContextManager[AsyncIterator[frozenset[ModelId]]]:
        names = folder(MODEL_NAMES)

        def build() -> frozenset[ModelId]:
            return frozenset(ModelId.parse(name.uuid) for _, name in names.items())

        return newest([names], build, store=self._store, clock=self._clock, rng=self._rng)

    async def _follow(self, model: ModelId) -> None:
        notes = folder(CLEANUPS.of(model))

        def build() -> Mapping[tuple[str, ...], int]:
            return notes.versions()

        async with newest([notes], build, store=self._store, clock=self._clock, rng=self._rng) as states:
            async for present in states:
                if present:
                    await self._until_done(f"of model {model}", partial(self._reap, model))

    async def _follow_blobs(self) -> None:
        notes, holds, removals = folder(BLOB_NOTES), folder(BLOB_HOLDS), folder(BLOB_REMOVALS)

        def build() -> Mapping[str, int]:
            busy = {parts[0] for sight in (holds, removals) for parts in sight.versions()}
            return {sha256: version for (sha256,), version in notes.versions().items() if sha256 not in busy}

        sights = (notes, holds, removals)
        async with newest(sights, build, store=self._store, clock=self._clock, rng=self._rng) as states:
            async for noted in states:
                if noted:
                    await self._until_done("of the blobs", self._remove_blobs)

    async def _reap(self, model: ModelId) -> None:
        await reap(self._store, model, clock=self._clock, rng=self._rng)

    async def _remove_blobs(self) -> None:
        await remove_unneeded(self._store, self._blobs, clock=self._clock)

    async def _until_done(self, what: str, work: Callable[[], Awaitable[None]]) -> None:
        await self._clock.sleep(self._rng.uniform(0, LONGEST_WAIT_SECONDS))
        patience = Patience(clock=self._clock, rng=self._rng)
        while True:
            failure: BaseExceptionGroup[UndercroftError] | None = None
            try:
                await work()
            except* StoreUnusable:
                raise
            except* UndercroftError as group:  # An outage, others that were faster, a record that cannot be read.
                failure = group
            if failure is None:
                self._reaped += 1
                return
            logger.warning("what is to be removed %s is tried again: %s", what, failure.exceptions[0])
            await patience.pause()
