"""Leadership: taken up and given up, and followed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from undercroft_hookspecs.state import Life
from undercroft_uniter.hook.info import HookKind
from undercroft_uniter.operation.leadership import AcceptLeadership, ResignLeadership

if TYPE_CHECKING:
    from undercroft_uniter.operation.step import Operation
    from undercroft_uniter.remotestate.snapshot import Snapshot
    from undercroft_uniter.resolver.local import LocalState
    from undercroft_uniter.resolver.operations import Operations


def next_leadership(local: LocalState, snapshot: Snapshot, operations: Operations) -> Operation | None:
    """Take up leadership, or give it up: the latter also in error. Who does not lead hears of what the leader says."""
    state, is_alive = local.state, snapshot.life is Life.ALIVE
    if not state.installed:
        return None
    if state.leader and not (snapshot.is_leader and is_alive):
        return ResignLeadership()
    if not local.is_idle or state.leader or state.stopped:
        return None
    if snapshot.is_leader and is_alive:
        return AcceptLeadership()
    if local.leader_settings_version != snapshot.leader_settings_version:
        return operations.run(HookKind.LEADER_SETTINGS_CHANGED)
    return None
