"""The file that says what a unit was at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from undercroft_hookspecs import NotValidError
from undercroft_uniter.operation.state import OperationState
from undercroft_uniter.statefile import read_state, write_state

if TYPE_CHECKING:
    from pathlib import Path


class StateFile:
    """Keeps an `OperationState`, durably, and only valid ones."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._written: OperationState | None = None

    async def read(self) -> OperationState | None:
        """What was written last; None if nothing ever was.

        Raises:
            NotValidError: the file is damaged, or says what cannot be; its message names it, and it is left as it is.
        """
        state = await read_state(self.path, OperationState)
        if state is not None:
            try:
                state.validate()
            except NotValidError as error:
                message = f"{self.path} is damaged ({error}): restore it from a backup"
                raise NotValidError(message, field=error.field) from error
        self._written = state
        return state

    async def write(self, state: OperationState) -> None:
        """Replace what was written; nothing if it is the same.

        Raises:
            NotValidError: the state cannot be; what was written stays.
        """
        state.validate()
        if state != self._written:
            await write_state(self.path, state)
            self._written = state
