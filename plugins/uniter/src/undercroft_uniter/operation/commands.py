"""Running commands for somebody on this machine."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from undercroft_hookspecs import NotFoundError, UndercroftError
from undercroft_uniter.errors import Stopping
from undercroft_uniter.operation.reboot import say_rebooting
from undercroft_uniter.operation.step import Operation, Outcome
from undercroft_uniter.seams import CommandsEnding

if TYPE_CHECKING:
    from undercroft_uniter.operation.rooms import Rooms
    from undercroft_uniter.operation.state import OperationState
    from undercroft_uniter.seams import CommandsExecution

_log = logging.getLogger(__name__)


class RunCommands(Operation):
    """Run the commands of that number. They are no part of what the unit is at: a crash forgets them."""

    __slots__ = ("_execution", "_rooms", "number")

    def __init__(self, number: int, rooms: Rooms) -> None:
        self.number = number
        self._rooms = rooms
        self._execution: CommandsExecution | None = None

    def __str__(self) -> str:
        return f"run commands {self.number}"

    @property
    def lock_reason(self) -> str:
        """Commands."""
        return "juju-exec"

    async def prepare(self, state: OperationState) -> Outcome:
        """See what is to be run, and whether it can be."""
        del state
        rooms = self._rooms
        try:
            self._execution = await rooms.executions.commands(rooms.commands.get(self.number))
        except NotFoundError as error:
            _log.debug("%s: commands %d are not run: %s", rooms.unit, self.number, error)
            self._answer_failure(error)
            return Outcome(is_all=True)
        except UndercroftError as error:
            self._answer_failure(error)
            return Outcome(is_all=True)
        await rooms.agent_status.set("executing", "running commands")
        return Outcome()

    async def execute(self, state: OperationState) -> Outcome:
        """Run them, and tell who waits before anything else can happen."""
        assert self._execution is not None
        try:
            ending = await self._execution.run()
        except UndercroftError as error:
            self._answer_failure(error)
            raise
        except asyncio.CancelledError:
            self._answer_failure(Stopping("command execution aborted"))
            raise
        answer = self._execution.answer or CommandsEnding(returncode=1, failure=ending.failure)
        self._rooms.commands.answer(self.number, answer)
        if not ending.reboot:
            return Outcome()
        if ending.reboot == "now":
            self._rooms.say(logging.INFO, "commands are not run again after a reboot")
        return await say_rebooting(state, self._rooms, by="juju-exec")

    def end(self) -> None:
        """End them."""
        if self._execution is not None:
            self._execution.end()

    def _answer_failure(self, error: UndercroftError) -> None:
        self._rooms.commands.answer(self.number, CommandsEnding(returncode=1, failure=str(error)))
