"""The file that says what a unit was at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from undercroft.files import read_bytes, write_atomic
from undercroft_hookspecs import NotValidError
from undercroft_uniter.operation.state import OperationState

if TYPE_CHECKING:
    from pathlib import Path


class StateFile:
    """Keeps an `OperationState`, durably, and only valid ones."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._written = b""

    async def read(self) -> OperationState | None:
        """What was written last; None if nothing ever was.

        Raises:
            NotValidError: the file is damaged, or says what cannot be; its message names it.
        """
        try:
            content = await read_bytes(self.path)
        except FileNotFoundError:
            return None
        try:
            state = msgspec.json.decode(content, type=OperationState).validate()
        except (msgspec.MsgspecError, ValueError) as error:
            message = f"{self.path} does not say what the unit was at ({error}): restore it from a backup"
            raise NotValidError(message, field="operation") from error
        self._written = content
        return state

    async def write(self, state: OperationState) -> None:
        """Replace what was written; nothing if it is the same.

        Raises:
            NotValidError: the state cannot be; what was written stays.
        """
        content = msgspec.json.encode(state.validate())
        if content != self._written:
            await write_atomic(self.path, content)
            self._written = content
