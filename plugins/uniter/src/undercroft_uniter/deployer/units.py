"""The units of one model on this machine."""

from __future__ import annotations

import contextlib
import logging
from functools import partial
from typing import TYPE_CHECKING

from undercroft import DeadError
from undercroft.files import in_thread
from undercroft_hookspecs import NotFoundError, NotValidError, StoreUnavailable, UndercroftError, UnitName
from undercroft_hookspecs.state import Life
from undercroft_uniter.deployer.folders import remove_model, remove_unit

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from undercroft import Runner
    from undercroft_hookspecs import Clock, ModelId, PlacementFacade, RemovedUnitsFacade, UnitEngines, Worker
    from undercroft_hookspecs.state import RemovedUnit, Unit

TELL_AGAIN_SECONDS = 5.0

_log = logging.getLogger(__name__)


class ModelUnits:
    """Has the units run that are to run, and sees the others off.

    A unit that is being stopped or removed is in `_busy`; then nothing else is done to it, and it is looked at anew.
    """

    def __init__(
        self,
        model: ModelId,
        folder: Path,
        group: asyncio.TaskGroup,
        *,
        runner: Runner,
        placement: PlacementFacade,
        removals: RemovedUnitsFacade,
        engines: UnitEngines,
        clock: Clock,
    ) -> None:
        self._model, self._folder, self._group = model, folder, group
        self._runner, self._placement, self._removals = runner, placement, removals
        self._engines, self._clock = engines, clock
        self._wanted: Mapping[str, Unit] | None = None
        self._removed: Sequence[RemovedUnit] = ()
        self._running: dict[str, datetime | None] = {}
        self._busy: set[str] = set()
        self._told: set[tuple[str, datetime | None]] = set()
        self._is_gone = False

    def busy(self) -> Sequence[str]:
        """The units that are being stopped or removed."""
        return sorted(f"{self._model}/{name}" for name in self._busy)

    async def follow(self) -> None:
        """Follow what is wanted, until cancelled."""
        self._is_gone = False
        async with self._placement.watch_units(self._model) as states:
            async for units in states:
                self._wanted = units
                await self._apply()

    async def take_removed(self, removed: Sequence[RemovedUnit]) -> None:
        """These are no more, of all that there were in this model."""
        self._removed = removed
        await self._apply()

    async def model_gone(self) -> None:
        """There is no such model any more."""
        self._wanted, self._is_gone = {}, True
        await self._apply()
        await in_thread(remove_model, self._folder)

    async def _apply(self) -> None:
        if self._wanted is None:
            return  # Until it is known what there is, nothing can be told of what is not.
        for name, created in [*self._running.items()]:
            wanted = self._wanted.get(name)
            if wanted is None or wanted.created != created:
                self._begin(name, partial(self._stop, name))
        for name, unit in self._wanted.items():
            if name in self._busy or (name in self._running and unit.life is not Life.DEAD):
                continue
            if unit.life is not Life.DEAD:
                await self._start(unit)
            elif (name, unit.created) not in self._told:
                self._begin(name, partial(self._see_off, unit))
        for removed in self._removed:
            self._look_at(removed, self._wanted.get(removed.unit))

    def _look_at(self, removed: RemovedUnit, wanted: Unit | None) -> None:
        """A unit is no more: remove what is left, unless its name is another one's by now, whose the folder is then."""
        if removed.unit in self._busy or (wanted is not None and wanted.created == removed.created):
            return  # It is looked at again: when that is done, and when its absence is seen.
        self._begin(removed.unit, partial(self._clear_away, removed, has_heir=wanted is not None))

    def _begin(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        if name in self._busy:
            return
        self._busy.add(name)

        async def do() -> None:
            try:
                await work()
            except DeadError:
                return  # All units are being stopped, and this one with them.
            self._busy.discard(name)
            await self._apply()

        self._group.create_task(do(), name=f"see off {name}")

    async def _start(self, unit: Unit) -> None:
        self._running[unit.name] = unit.created
        starter = self._starter(UnitName.parse(unit.name), is_new=not unit.charm)
        await self._runner.start_worker(self._id(unit.name), starter)

    def _starter(self, unit: UnitName, *, is_new: bool) -> Callable[[], Awaitable[Worker]]:
        """What starts the unit's engine.

        A folder that is there before the unit has ever run anything is that of an older one of its name, which was
        removed while nobody here was looking; going on with what that was at would skip the new one's install.
        """
        is_stale = is_new

        async def start() -> Worker:
            nonlocal is_stale
            if is_stale:
                await in_thread(remove_unit, self._agents, unit)
                is_stale = False
            return self._engines.engine(self._model, unit)

        return start

    async def _stop(self, name: str) -> None:
        """Stop a unit's workers."""
        try:
            await self._runner.stop_and_remove_worker(self._id(name))
        except NotFoundError:
            pass
        except DeadError:
            raise
        except UndercroftError as error:
            _log.warning("unit %s of model %s did not end well: %s", name, self._model, error)
        self._running.pop(name, None)

    async def _see_off(self, unit: Unit) -> None:
        """Stop a dead unit's workers, remove its folder, and have the model remove its records."""
        await self._remove(unit.name)
        with contextlib.suppress(NotValidError):  # It is another one of that name by now.
            await self._insist(lambda: self._placement.unit_gone(self._model, unit.name))
        self._told.add((unit.name, unit.created))

    async def _clear_away(self, removed: RemovedUnit, *, has_heir: bool) -> None:
        """Remove what is left of a unit that has no records any more."""
        if not has_heir:
            await self._remove(removed.unit)
        await self._insist(lambda: self._removals.forget_removed(removed))
        self._removed = [other for other in self._removed if other != removed]
        self._told.discard((removed.unit, removed.created))
        if self._is_gone:
            await in_thread(remove_model, self._folder)

    async def _remove(self, name: str) -> None:
        await self._stop(name)
        await in_thread(remove_unit, self._agents, UnitName.parse(name))
        _log.info("unit %s of model %s is removed from this machine", name, self._model)

    async def _insist(self, tell: Callable[[], Awaitable[None]]) -> None:
        """Tell the model, as soon as that can be told anything."""
        while True:
            try:
                await tell()
            except StoreUnavailable as error:
                _log.warning("the model is told again later what became of a unit: %s", error)
                await self._clock.sleep(TELL_AGAIN_SECONDS)
            else:
                return

    @property
    def _agents(self) -> Path:
        return self._folder / "agents"

    def _id(self, name: str) -> str:
        return f"{self._model}/{name}"
