"""Taking up leadership, and giving it up."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import msgspec

from undercroft_hookspecs import NotValidError
from undercroft_uniter.hook.info import HookInfo, HookKind
from undercroft_uniter.operation.state import OperationKind, Step
from undercroft_uniter.operation.step import Operation, Outcome

if TYPE_CHECKING:
    from undercroft_uniter.operation.state import OperationState

_log = logging.getLogger(__name__)


class AcceptLeadership(Operation):
    """Queue leader-elected."""

    __slots__ = ()

    def __str__(self) -> str:
        return "accept leadership"

    async def prepare(self, state: OperationState) -> Outcome:
        """Refuse where something else would be forgotten for it."""
        if state.kind is not OperationKind.CONTINUE:
            raise NotValidError(f"cannot accept leadership in the middle of {state.kind}", field="kind")
        return Outcome(is_all=True)

    async def commit(self, state: OperationState) -> Outcome:
        """Queue the hook; nothing if the unit leads already."""
        if state.leader:
            return Outcome()
        hook = HookInfo(kind=HookKind.LEADER_ELECTED)
        led = msgspec.structs.replace(state, leader=True)
        return Outcome(state=led.to(OperationKind.RUN_HOOK, Step.QUEUED, hook=hook))


class ResignLeadership(Operation):
    """Keep that the unit leads no longer; charms are not told (leader-deposed is never run)."""

    __slots__ = ()

    def __str__(self) -> str:
        return "resign leadership"

    async def commit(self, state: OperationState) -> Outcome:
        """Forget the leadership, and nothing else."""
        if not state.leader:
            return Outcome()
        _log.info("the unit leads its application no longer")
        return Outcome(state=msgspec.structs.replace(state, leader=False))
