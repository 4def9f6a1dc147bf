"""The end of a unit."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from undercroft_hookspecs import NotFoundError, UnitHasSubordinates
from undercroft_hookspecs.state import Life
from undercroft_uniter.stopping import unless_stopped

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from undercroft import Stop
    from undercroft_hookspecs.state import Unit
    from undercroft_hookspecs.unit_facades import UnitFacade

_log = logging.getLogger(__name__)


async def become_dead(unit: UnitFacade, stop: Stop) -> None:
    """Wait until the unit's subordinates are gone, and let it be dead: whoever deployed it removes what is left.

    Raises:
        Stopping: the stop came while it waited. To be dead is not left off: the deployer stops who says so.
    """
    try:
        async with unless_stopped(stop):
            await unit.remove_subordinates()
        async with unit.watch_unit() as states:
            while not await _is_dead_at(states, unit, stop):
                pass
    except NotFoundError:
        _log.info("the unit has been removed already")


async def _is_dead_at(states: AsyncIterator[Unit], unit: UnitFacade, stop: Stop) -> bool:
    async with unless_stopped(stop):
        state = await anext(states)
    return state.life is Life.DEAD or (not state.subordinates and await _has_died(unit))


async def _has_died(unit: UnitFacade) -> bool:
    try:
        await unit.ensure_dead()
    except UnitHasSubordinates:  # One has come in between; the unit will be seen again when it goes.
        return False
    return True
