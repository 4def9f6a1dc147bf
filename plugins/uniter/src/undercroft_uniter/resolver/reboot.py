"""start, once more after a reboot of the machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from undercroft_hookspecs.state import Life
from undercroft_uniter.hook.info import HookKind

if TYPE_CHECKING:
    from undercroft_uniter.operation.step import Operation
    from undercroft_uniter.remotestate.snapshot import Snapshot
    from undercroft_uniter.resolver.local import LocalState
    from undercroft_uniter.resolver.operations import Operations


def next_after_reboot(
    local: LocalState, snapshot: Snapshot, operations: Operations, *, boot_id: str
) -> Operation | None:
    """The hook start, if it was last run in another boot; nothing if it never was, or if this boot is not known."""
    state = local.state
    runs = state.started and not state.stopped and snapshot.life is Life.ALIVE
    if runs and local.is_idle and boot_id and state.boot_id != boot_id:
        return operations.run(HookKind.START)
    return None
