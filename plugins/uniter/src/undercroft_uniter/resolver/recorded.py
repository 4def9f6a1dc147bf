"""An operation whose progress is noted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from undercroft_uniter.operation.step import Operation

if TYPE_CHECKING:
    from collections.abc import Callable

    from undercroft_uniter.operation.state import OperationState
    from undercroft_uniter.operation.step import Outcome
    from undercroft_uniter.remotestate.snapshot import Snapshot


class Recorded(Operation):
    """Calls `on_prepared` when the operation is about to be executed, and `on_committed` when it is over."""

    __slots__ = ("_on_committed", "_on_prepared", "operation")

    def __init__(
        self,
        operation: Operation,
        *,
        on_prepared: Callable[[], None] | None = None,
        on_committed: Callable[[], None] | None = None,
    ) -> None:
        self.operation = operation
        self._on_prepared = on_prepared
        self._on_committed = on_committed

    def __str__(self) -> str:
        return str(self.operation)

    @property
    def lock_reason(self) -> str:
        """The operation's."""
        return self.operation.lock_reason

    @property
    def changes_charm(self) -> bool:
        """As the operation does."""
        return self.operation.changes_charm

    async def look(self) -> None:
        """Have it look."""
        await self.operation.look()

    async def prepare(self, state: OperationState) -> Outcome:
        """Prepare it."""
        outcome = await self.operation.prepare(state)
        if outcome.error is None and not outcome.is_all and self._on_prepared is not None:
            self._on_prepared()
        return outcome

    async def execute(self, state: OperationState) -> Outcome:
        """Execute it."""
        return await self.operation.execute(state)

    async def commit(self, state: OperationState) -> Outcome:
        """Commit it."""
        outcome = await self.operation.commit(state)
        if outcome.error is None and self._on_committed is not None:
            self._on_committed()
        return outcome

    def remote_changed(self, snapshot: Snapshot) -> None:
        """Tell it."""
        self.operation.remote_changed(snapshot)

    def end(self) -> None:
        """End it."""
        self.operation.end()
