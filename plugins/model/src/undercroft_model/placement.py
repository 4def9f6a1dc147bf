"""The units that are placed on this host, in all models, for whoever runs them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from undercroft_hookspecs.identity import ModelId
from undercroft_model.tables import MACHINES, MODEL_NAMES, REMOVED_UNITS, UNITS, parts_of
from undercroft_model.transaction import change
from undercroft_model.units import unit_gone
from undercroft_model.watching import folder, newest

if TYPE_CHECKING:
    import random
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

    from undercroft_hookspecs.identity import HostId
    from undercroft_hookspecs.state import RemovedUnit, Unit
    from undercroft_hookspecs.store import Store
    from undercroft_hookspecs.worker import Clock
    from undercroft_model.transaction import Transaction


class Placement:
    """The facade `PlacementFacade`. It remembers the machines of the units that it has shown."""

    def __init__(self, store: Store, host: HostId, *, clock: Clock, rng: random.Random) -> None:
        self._store, self._host = store, str(host)
        self._clock, self._rng = clock, rng
        self._machines: dict[ModelId, Mapping[str, str]] = {}

    def machine_of(self, model: ModelId, unit: str) -> str | None:
        """The machine of a unit that was shown, as it was then."""
        return self._machines.get(model, {}).get(unit)

    def watch_models(self) -> AbstractAsyncContextManager[AsyncIterator[Sequence[ModelId]]]:
        """The models that there are."""
        names = folder(MODEL_NAMES)

        def build() -> Sequence[ModelId]:
            return tuple(sorted(ModelId.parse(name.uuid) for _, name in names.items()))

        return newest([names], build, store=self._store, clock=self._clock, rng=self._rng)

    def watch_units(self, model: ModelId) -> AbstractAsyncContextManager[AsyncIterator[Mapping[str, Unit]]]:
        """A model's units on this host, by name, whatever their life."""
        machines, units = folder(MACHINES.of(model)), folder(UNITS.of(model))

        def build() -> Mapping[str, Unit]:
            mine = {machine.id for machine in machines.records() if machine.host == self._host}
            found = {unit.name: unit for unit in units.records() if unit.machine in mine}
            self._machines[model] = {name: unit.machine for name, unit in found.items()}
            return found

        return newest([machines, units], build, store=self._store, clock=self._clock, rng=self._rng)

    async def unit_gone(self, model: ModelId, unit: str) -> None:
        """Nothing of a dead unit is left on this host: its records can go."""
        await change(self._store, lambda tx: unit_gone(tx, model, unit), clock=self._clock, rng=self._rng)


class RemovedUnits:
    """The facade `RemovedUnitsFacade`."""

    def __init__(self, store: Store, host: HostId, *, clock: Clock, rng: random.Random) -> None:
        self._store, self._host = store, str(host)
        self._clock, self._rng = clock, rng

    def watch_removed(self) -> AbstractAsyncContextManager[AsyncIterator[Sequence[RemovedUnit]]]:
        """Those of which something may be left here."""
        removed = folder(REMOVED_UNITS, self._host)

        def build() -> Sequence[RemovedUnit]:
            return tuple(record for _, record in removed.items())

        return newest([removed], build, store=self._store, clock=self._clock, rng=self._rng)

    async def forget_removed(self, removed: RemovedUnit) -> None:
        """Nothing of that one is left."""
        parts = (self._host, removed.model, *parts_of(removed.unit))

        async def forget(tx: Transaction) -> None:
            if await tx.get(REMOVED_UNITS, *parts) == removed:  # Else it is another one by now, or none.
                tx.delete(REMOVED_UNITS, *parts)

        await change(self._store, forget, clock=self._clock, rng=self._rng)
