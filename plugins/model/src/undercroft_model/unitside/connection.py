"""Whether a unit's store can be reached."""

from __future__ import annotations

from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING

from undercroft_hookspecs.store import Compacted, StoreUnavailable
from undercroft_model.patience import Patience
from undercroft_model.tables import UNITS

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from undercroft_model.unitside.standpoint import Standpoint


class OwnConnection:
    """The facade `ConnectionFacade`: a watch of the unit's own record ends when the store cannot be reached."""

    def __init__(self, here: Standpoint) -> None:
        self._here = here

    @asynccontextmanager
    async def watch_connection(self) -> AsyncIterator[AsyncIterator[bool]]:
        """Whether the store can be reached, and again whenever that has changed."""
        async with aclosing(self._answers()) as answers, aclosing(_changes(answers)) as changes:
            yield changes

    async def _answers(self) -> AsyncGenerator[bool, None]:
        patience = Patience(clock=self._here.clock, rng=self._here.rng)
        while True:
            async with aclosing(self._try(patience)) as answers:
                async for is_connected in answers:
                    yield is_connected
            await patience.pause()

    async def _try(self, patience: Patience) -> AsyncGenerator[bool, None]:
        """Whether there is a connection; if there is one, also that it has ended."""
        store, key = self._here.store, UNITS.of(self._here.model).key(*self._here.parts)
        try:
            snapshot = await store.list(key)
            async with store.watch(key, snapshot.revision) as commits:
                patience.reset()
                yield True
                async for _ in commits:
                    pass
        except Compacted:
            return  # It is there all the same.
        except StoreUnavailable:
            yield False


async def _changes(answers: AsyncIterator[bool]) -> AsyncGenerator[bool, None]:
    shown = None
    async for answer in answers:
        if answer != shown:
            shown = answer
            yield answer
