"""Takes one operation after the other through its steps, and writes down how far it is.

What is written is what a crash leaves: a state that says `pending` means that the operation was begun, and that nobody
knows how far it came. So `pending` is written immediately before the execution, and whatever can be refused, waited for
or left off comes before it.
"""

from __future__ import annotations

import logging
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING

from undercroft_hookspecs import UndercroftError
from undercroft_uniter.stopping import unless_stopped

if TYPE_CHECKING:
    from undercroft import Stop
    from undercroft_uniter.operation.state import OperationState
    from undercroft_uniter.operation.statefile import StateFile
    from undercroft_uniter.operation.step import Operation, Outcome
    from undercroft_uniter.seams import UnitLock

_log = logging.getLogger(__name__)


class Executor:
    """Runs operations, one at a time. `state` is what is written down, and only that."""

    def __init__(self, file: StateFile, state: OperationState, *, unit: str, lock: UnitLock, stop: Stop) -> None:
        self.state = state
        self._file = file
        self._unit = unit
        self._lock = lock
        self._stop = stop

    @classmethod
    async def open(cls, file: StateFile, *, initial: OperationState, unit: str, lock: UnitLock, stop: Stop) -> Executor:
        """Go on where the file says, or else from `initial`, which is not written before the first step.

        Raises:
            NotValidError: the file is damaged.
        """
        return cls(file, await file.read() or initial, unit=unit, lock=lock, stop=stop)

    async def run(self, operation: Operation) -> None:
        """Take an operation through its steps.

        A stop leaves off what is waited for and prepared; what is executed is finished. A cancellation looks like a
        crash.

        Raises:
            Stopping: the agent is asked to stop, and nothing was begun.
            UndercroftError: a step failed, or asked for something else to come first.
        """
        async with AsyncExitStack() as held:
            async with unless_stopped(self._stop):
                with _Noting("looking at", operation):
                    await operation.look()
                if operation.lock_reason:
                    await held.enter_async_context(self._lock.held(self._unit, operation.lock_reason))
                with _Noting("preparing", operation):
                    outcome = await operation.prepare(self.state)
            await self._take("preparing", operation, outcome)
            if not outcome.is_all:
                await self._execute(operation)
            await self._commit(operation)

    async def _execute(self, operation: Operation) -> None:
        say = partial(_log.info, "%s: stopping once this has ended: %s", self._unit, operation)
        self._stop.subscribe(say)
        try:
            with _Noting("executing", operation):
                outcome = await operation.execute(self.state)
            await self._take("executing", operation, outcome)
        finally:
            self._stop.unsubscribe(say)

    async def _commit(self, operation: Operation) -> None:
        with _Noting("committing", operation):
            outcome = await operation.commit(self.state)
        await self._take("committing", operation, outcome)

    async def _take(self, step: str, operation: Operation, outcome: Outcome) -> None:
        """Write the state that a step gave, even if it has an error, too; then raise that."""
        with _Noting(step, operation):
            if outcome.state is not None:
                await self._write(step, operation, outcome.state, outcome.error)
            if outcome.error is not None:
                raise outcome.error

    async def _write(
        self, step: str, operation: Operation, state: OperationState, error: UndercroftError | None
    ) -> None:
        try:
            await self._file.write(state)
        except (UndercroftError, OSError):
            if error is None:
                raise
            _log.exception("%s: what the unit is at could not be written after %s", operation, step)
        else:
            self.state = state


class _Noting:
    """Notes on an error which step of which operation it came from."""

    __slots__ = ("_operation", "_step")

    def __init__(self, step: str, operation: Operation) -> None:
        self._step, self._operation = step, operation

    def __enter__(self) -> None:
        return

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: object) -> None:
        if isinstance(error, Exception):
            error.add_note(f"while {self._step} {self._operation}")
