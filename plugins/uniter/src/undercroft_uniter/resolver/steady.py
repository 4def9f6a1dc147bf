"""What a unit does next that has nothing half done: its whole life, from install to remove."""

from __future__ import annotations

from typing import TYPE_CHECKING

from undercroft_hookspecs.state import Life
from undercroft_uniter.errors import Terminate
from undercroft_uniter.hook.info import HookKind

if TYPE_CHECKING:
    from undercroft_uniter.operation.step import Operation
    from undercroft_uniter.remotestate.snapshot import Snapshot
    from undercroft_uniter.resolver.local import LocalState
    from undercroft_uniter.resolver.operations import Operations
    from undercroft_uniter.seams import RelationTracker


def next_steady(
    local: LocalState, snapshot: Snapshot, operations: Operations, *, relations: RelationTracker
) -> Operation | None:
    """The next of what is done in peace; the relations have been synchronized with the snapshot.

    Raises:
        Terminate: the unit is dying, and has run its last hook.
    """
    if snapshot.life is not Life.ALIVE:
        return _next_dying(local, snapshot, operations, relations)
    state = local.state
    if not state.installed and not state.started:
        return operations.run(HookKind.INSTALL)
    if local.is_outdated(snapshot):
        return operations.upgrade(snapshot.charm)
    if not state.has_seen(snapshot.hashes):
        return operations.run(HookKind.CONFIG_CHANGED)
    if (operation := _next_relation(local, snapshot, operations, relations)) is not None:
        return operation
    if local.update_status_version != snapshot.update_status_version:
        return operations.run(HookKind.UPDATE_STATUS)
    return None


def _next_dying(
    local: LocalState, snapshot: Snapshot, operations: Operations, relations: RelationTracker
) -> Operation | None:
    if (operation := _next_relation(local, snapshot, operations, relations)) is not None:
        return operation
    if local.state.started and not local.state.stopped:
        return operations.run(HookKind.STOP)
    if local.state.installed and not local.state.removed:
        return operations.run(HookKind.REMOVE)
    raise Terminate("the unit is dying, and has run its last hook")


def _next_relation(
    local: LocalState, snapshot: Snapshot, operations: Operations, relations: RelationTracker
) -> Operation | None:
    hook = relations.next_hook(snapshot) if local.is_idle else None
    return operations.run_hook(hook) if hook is not None else None
