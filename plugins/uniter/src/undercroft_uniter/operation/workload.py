"""What the agent says of the workload before the charm can, and after it could have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from undercroft_uniter.hook.info import HookKind

if TYPE_CHECKING:
    from undercroft_hookspecs.unit_facades import StatusFacade
    from undercroft_uniter.operation.state import OperationState


async def say_before(kind: HookKind, state: OperationState, status: StatusFacade) -> None:
    """Before a hook: what it is about to do, where that is worth a word."""
    if kind is HookKind.INSTALL and not state.status_set:
        await status.set_workload_status("maintenance", "installing charm software")
    elif kind is HookKind.STOP:
        await status.set_workload_status("maintenance", "stopping charm software")
    elif kind is HookKind.REMOVE:
        await status.set_workload_status("maintenance", "cleaning up prior to charm deletion")


async def say_after(kind: HookKind, state: OperationState, status: StatusFacade) -> None:
    """After a hook that was run: nobody knows how the workload is if the charm has never said so."""
    if kind is HookKind.START and not state.status_set:
        await status.set_workload_status("unknown")
    elif kind is HookKind.STOP:
        await status.set_workload_status("maintenance")
    elif kind is HookKind.REMOVE:
        await status.set_workload_status("terminated")
