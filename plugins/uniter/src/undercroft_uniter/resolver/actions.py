"""Actions: run while the unit has nothing else to do, or is in error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from undercroft_uniter.operation.state import OperationKind, Step

if TYPE_CHECKING:
    from undercroft_uniter.operation.step import Operation
    from undercroft_uniter.remotestate.snapshot import Snapshot
    from undercroft_uniter.resolver.local import LocalState
    from undercroft_uniter.resolver.operations import Operations


def next_action(local: LocalState, snapshot: Snapshot, operations: Operations) -> Operation | None:
    """The next action; first of all the end of one that the agent crashed in: it cannot be run twice."""
    state = local.state
    if state.kind is OperationKind.RUN_ACTION and state.action is not None:
        if state.step is Step.DONE:
            return operations.leave_action(state.action)
        is_unwanted = any(action.id == state.action and action.status == "aborting" for action in snapshot.actions)
        return operations.end_action(state.action, "aborted" if is_unwanted else "failed")
    if not (local.is_idle or local.is_in_error):
        return None
    for action in snapshot.actions:
        if action.id not in local.completed_actions:
            if action.status == "aborting":
                return operations.end_action(action.id, "aborted")
            return operations.run_action(action)
    return None
