"""Secrets: rotated, expired, removed, and followed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from undercroft_hookspecs.state import Life

if TYPE_CHECKING:
    from undercroft_uniter.operation.step import Operation
    from undercroft_uniter.remotestate.snapshot import Snapshot
    from undercroft_uniter.resolver.local import LocalState
    from undercroft_uniter.resolver.operations import Operations


def next_secret(local: LocalState, snapshot: Snapshot, operations: Operations) -> Operation | None:
    """The most urgent secret hook, for a unit that is there to stay."""
    if local.state.installed and local.is_idle and snapshot.life is Life.ALIVE and snapshot.secrets:
        return operations.run_hook(snapshot.secrets[0])
    return None
