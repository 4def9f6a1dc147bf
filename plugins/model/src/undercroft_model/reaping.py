"""Remove what is to be removed, in all models, as soon as somebody asks for it: `lifecycle.reap` does it.

Every agent does so, at any time; what one has done the others find done. Each waits for a moment of its own first, so
that usually one does it all.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

from undercroft_hookspecs.errors import UndercroftError
from undercroft_hookspecs.identity import ModelId
from undercroft_hookspecs.store import StoreUnusable
from undercroft_model.lifecycle import reap
from undercroft_model.patience import Patience
from undercroft_model.tables import CLEANUPS, MODEL_NAMES
from undercroft_model.watching import folder, newest

if TYPE_CHECKING:
    import random

    from undercroft_hookspecs.store import Store
    from undercroft_hookspecs.worker import Clock

LONGEST_WAIT_SECONDS = 0.05

logger = logging.getLogger(__name__)


class Reaping:
    """The removals of all models, while `go_on` runs."""

    def __init__(self, store: Store, *, clock: Clock, rng: random.Random) -> None:
        self._store, self._clock, self._rng = store, clock, rng
        self._reaped = 0

    @property
    def reaped(self) -> int:
        """How often something was removed."""
        return self._reaped

    async def go_on(self) -> None:
        """Reap whenever there is something, until cancelled."""
        tasks: dict[ModelId, asyncio.Task[None]] = {}
        async with asyncio.TaskGroup() as group, self._models() as states:
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
                    await self._clock.sleep(self._rng.uniform(0, LONGEST_WAIT_SECONDS))
                    await self._reap(model)

    async def _reap(self, model: ModelId) -> None:
        patience = Patience(clock=self._clock, rng=self._rng)
        while True:
            failure: BaseExceptionGroup[UndercroftError] | None = None
            try:
                await reap(self._store, model, clock=self._clock, rng=self._rng)
            except* StoreUnusable:
                raise
            except* UndercroftError as group:  # An outage, others that were faster, a record that cannot be read.
                failure = group
            if failure is None:
                self._reaped += 1
                return
            logger.warning("what is to be removed of model %s is tried again: %s", model, failure.exceptions[0])
            await patience.pause()
