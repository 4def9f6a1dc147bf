"""What an operation is, and what one of its steps comes to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from undercroft_hookspecs import UndercroftError
    from undercroft_uniter.operation.state import OperationState
    from undercroft_uniter.remotestate.snapshot import Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a step has come to. A step that raises has come to nothing: the state stays as it was."""

    state: OperationState | None = None
    """What is to be written down, if it is something else."""
    error: UndercroftError | None = None
    """Raised once the state is written: nothing further of the operation is done."""
    is_all: bool = False
    """There is nothing to execute: from preparing straight to committing."""


class Operation:
    """Something that a unit does: prepared, executed and committed, its state written down after each of the three.

    Each step can be run again after a crash. Here are what most operations do in most steps: nothing.
    """

    __slots__ = ()

    @property
    def lock_reason(self) -> str:
        """What the machine lock is held for, from before preparing until after committing; empty: it is not needed."""
        return ""

    @property
    def changes_charm(self) -> bool:
        """Nobody else may be in the charm's folder meanwhile."""
        return False

    async def look(self) -> None:
        """See what there is to execute, before the lock is taken: what finds nothing may leave the lock off."""

    async def prepare(self, state: OperationState) -> Outcome:
        """Do what has to come before it is written down that the operation was begun."""
        del state
        return Outcome(is_all=True)

    async def execute(self, state: OperationState) -> Outcome:
        """Do it."""
        del state
        return Outcome()

    async def commit(self, state: OperationState) -> Outcome:
        """Do what follows from it, and say what is next."""
        del state
        return Outcome()

    def remote_changed(self, snapshot: Snapshot) -> None:
        """Something else is wanted now, while it is on its way."""

    def end(self) -> None:
        """The unit has been removed: what runs is to end soon."""
