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
        async with aclosing(self._states()) as states:
            yield states

    async def _states(self) -> AsyncGenerator[bool, None]:
        here, shown = self._here, None
        key = UNITS.of(here.model).key(*here.parts)
        patience = Patience(clock=here.clock, rng=here.rng)
        while True:
            try:
                snapshot = await here.store.list(key)
                async with here.store.watch(key, snapshot.revision) as commits:
                    patience.reset()
                    if shown is not True:
                        shown = True
                        yield True
                    async for _ in commits:
                        pass
            except Compacted:
                pass
            except StoreUnavailable:
                if shown is not False:
                    shown = False
                    yield False
            await patience.pause()
