"""When others than the unit's own hooks may call its charm."""

from __future__ import annotations

from typing import TYPE_CHECKING

from undercroft import AbortedError
from undercroft_uniter.errors import Stopping
from undercroft_uniter.hook.info import HookKind
from undercroft_uniter.operation.state import OperationKind

if TYPE_CHECKING:
    from undercroft import Stop
    from undercroft.fortress import Guard
    from undercroft_uniter.operation.state import OperationState


def is_available(state: OperationState) -> bool:
    """The charm is started, and nobody is replacing it."""
    is_replaced = state.kind in (OperationKind.INSTALL, OperationKind.UPGRADE)
    takes_over = state.hook is not None and state.hook.kind is HookKind.UPGRADE_CHARM
    return state.started and not state.stopped and not is_replaced and not takes_over


async def set_available(guard: Guard, available: bool, stop: Stop) -> None:
    """Let others in, or keep them out, and wait until they have left.

    Raises:
        Stopping: the stop came first.
    """
    if available:
        await guard.unlock()
        return
    try:
        await guard.lockdown(abort=stop)
    except AbortedError as error:
        raise Stopping("the unit's agent is asked to stop") from error
