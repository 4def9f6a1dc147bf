"""Where a unit's facades stand: the store, the model, and the unit that they are bound to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from undercroft_hookspecs.errors import NotLeaderError
from undercroft_hookspecs.state import Unit
from undercroft_model.tables import LEADERS, parts_of
from undercroft_model.transaction import Transaction, change
from undercroft_model.units import need_unit
from undercroft_model.watching import newest

if TYPE_CHECKING:
    import random
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
    from contextlib import AbstractAsyncContextManager

    from undercroft_hookspecs.identity import HostId, ModelId
    from undercroft_hookspecs.store import Store
    from undercroft_hookspecs.worker import Clock
    from undercroft_model.watching import Sight

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Standpoint:
    """What all of a unit's facades work with."""

    store: Store
    model: ModelId
    unit: str
    host: HostId
    clock: Clock
    rng: random.Random

    @property
    def application(self) -> str:
        """The name of the unit's application."""
        return self.parts[0]

    @property
    def parts(self) -> tuple[str, ...]:
        """The unit's id in a table."""
        return parts_of(self.unit)

    async def change(self, decide: Callable[[Transaction], Awaitable[T]]) -> T:
        """Make one change, all or nothing; tried again where somebody else was faster."""
        return await change(self.store, decide, clock=self.clock, rng=self.rng)

    async def run(
        self, operation: Callable[Concatenate[Transaction, ModelId, P], Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run one operation of the model as a change of its own."""
        return await self.change(lambda tx: operation(tx, self.model, *args, **kwargs))

    def look(self) -> Transaction:
        """A transaction that only reads."""
        return Transaction(self.store)

    async def need_unit(self, tx: Transaction) -> Unit:
        """The unit's record. Raises NotFoundError."""
        return await need_unit(tx, self.model, self.unit)

    async def leads(self, tx: Transaction) -> bool:
        """Whether the unit leads its application; what is decided on that is checked at the commit."""
        leader = await tx.get(LEADERS.of(self.model), self.application)
        return leader is not None and leader.unit == self.unit

    async def need_leadership(self, tx: Transaction) -> None:
        """See that the unit leads its application, at the commit, too.

        Raises:
            NotLeaderError: it does not.
        """
        if not await self.leads(tx):
            raise NotLeaderError(f"unit {self.unit} is not the leader of {self.application}")

    # Any: sights of all kinds are watched together.
    def watch(
        self, sights: Sequence[Sight[Any]], build: Callable[[], T]
    ) -> AbstractAsyncContextManager[AsyncIterator[T]]:
        """What `build` makes of the records now, and again whenever that is something else."""
        return newest(sights, build, store=self.store, clock=self.clock, rng=self.rng)
