"""A charm that cannot be upgraded in place, and waits for an operator."""

from __future__ import annotations

from typing import TYPE_CHECKING

from undercroft_uniter.errors import Waiting

if TYPE_CHECKING:
    from undercroft_uniter.operation.state import CharmReference
    from undercroft_uniter.operation.step import Operation
    from undercroft_uniter.remotestate.snapshot import Snapshot
    from undercroft_uniter.resolver.operations import Operations
    from undercroft_uniter.seams import RemoteState


async def next_in_conflict(
    charm: CharmReference, snapshot: Snapshot, operations: Operations, *, remote: RemoteState
) -> Operation:
    """Go on with the upgrade to `charm` once an operator says that it can be, or turn to another one by force.

    Raises:
        Waiting: neither is so.
    """
    if snapshot.resolved:
        await remote.clear_resolved()
        return operations.upgrade(charm, verb="continue upgrade to")
    if snapshot.force_charm and snapshot.charm != charm:
        return operations.upgrade(snapshot.charm, verb="switch upgrade to")
    raise Waiting("the upgrade failed: it waits to be resolved")
