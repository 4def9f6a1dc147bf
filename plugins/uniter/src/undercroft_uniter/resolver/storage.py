"""Storage: announced before install, which waits for it, and let go of before stop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from undercroft_hookspecs.state import Life
from undercroft_uniter.errors import Waiting
from undercroft_uniter.hook.info import HookKind
from undercroft_uniter.operation.state import OperationKind, Step

if TYPE_CHECKING:
    from undercroft_uniter.operation.step import Operation
    from undercroft_uniter.remotestate.snapshot import Snapshot
    from undercroft_uniter.resolver.local import LocalState
    from undercroft_uniter.resolver.operations import Operations
    from undercroft_uniter.seams import StorageTracker


async def next_storage(
    local: LocalState, snapshot: Snapshot, operations: Operations, *, storage: StorageTracker
) -> Operation | None:
    """The next storage hook.

    Raises:
        Waiting: the unit is not to be installed before its storage is there.
    """
    await storage.synchronize(snapshot)
    if not (local.is_idle or _is_before_install(local)):
        return None
    if (hook := storage.next_hook(snapshot)) is not None:
        return operations.run_hook(hook)
    if not local.state.installed and snapshot.life is Life.ALIVE and storage.is_awaited(snapshot):
        raise Waiting("storage is yet to be provisioned")
    return None


def _is_before_install(local: LocalState) -> bool:
    state = local.state
    is_queued = state.kind is OperationKind.RUN_HOOK and state.step is Step.QUEUED
    return is_queued and not state.installed and state.hook is not None and state.hook.kind is HookKind.INSTALL
