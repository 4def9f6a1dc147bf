"""Running an action, or putting an end to one."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Literal

from undercroft_hookspecs import NotFoundError, NotValidError
from undercroft_uniter.errors import ActionNotValid
from undercroft_uniter.operation.state import OperationKind, Step
from undercroft_uniter.operation.step import Operation, Outcome

if TYPE_CHECKING:
    from undercroft_hookspecs.state import Action
    from undercroft_uniter.operation.rooms import Rooms
    from undercroft_uniter.operation.state import OperationState
    from undercroft_uniter.remotestate.snapshot import Snapshot
    from undercroft_uniter.seams import Execution


class RunAction(Operation):
    """Run an action. A hook that had failed before has still failed afterwards."""

    __slots__ = ("_execution", "_is_aborted", "_rooms", "action")

    def __init__(self, action: Action, rooms: Rooms) -> None:
        self.action = action
        self._rooms = rooms
        self._execution: Execution | None = None
        self._is_aborted = False

    def __str__(self) -> str:
        return f"run action {self.action.id} ({self.action.name})"

    @property
    def lock_reason(self) -> str:
        """The action, unless its charm says that it may run beside all others."""
        if self.action.parallel and not self.action.execution_group:
            return ""
        return f"action {self.action.name}"

    async def prepare(self, state: OperationState) -> Outcome:
        """Check the action, and mark it as running; one that is not valid fails."""
        action, rooms = self.action, self._rooms
        try:
            self._execution = await rooms.executions.action(action)
        except (ActionNotValid, NotValidError) as error:
            rooms.say(logging.INFO, f"action {action.id} fails: {error}")
            await rooms.model.actions.finish(action.id, "failed", message=str(error))
            return Outcome(is_all=True)
        try:
            # One that runs already was marked just before a crash, and never begun: the state would say so.
            if action.status == "pending":
                await rooms.model.actions.begin(action.id)
        except (NotFoundError, NotValidError) as error:
            rooms.say(logging.INFO, f"action {action.id} is not run: {error}")
            return Outcome(is_all=True)
        await rooms.agent_status.set("executing", f"running action {action.name}")
        return Outcome(state=_at(state, Step.PENDING, action.id))

    async def execute(self, state: OperationState) -> Outcome:
        """Run it; how it ended is the action's own matter."""
        assert self._execution is not None
        ending = await self._execution.run()
        how = f"failed: {ending.failure}" if ending.failure else "ended"
        self._rooms.say(logging.INFO, f"action {self.action.id} ({self.action.name}) {how}")
        return Outcome(state=_at(state, Step.DONE, self.action.id))

    async def commit(self, state: OperationState) -> Outcome:
        """Go back to what the unit was at."""
        return Outcome(state=_back(state))

    def remote_changed(self, snapshot: Snapshot) -> None:
        """Kill it, if it is to be aborted."""
        is_unwanted = any(action.id == self.action.id and action.status == "aborting" for action in snapshot.actions)
        if is_unwanted and not self._is_aborted and self._execution is not None:
            self._is_aborted = True
            self._rooms.say(logging.INFO, f"aborting action {self.action.id}")
            self._execution.abort()

    def end(self) -> None:
        """End it."""
        if self._execution is not None:
            self._execution.end()


class EndAction(Operation):
    """End an action that cannot be run (again): the agent crashed while it ran, or it was aborted before it began."""

    __slots__ = ("_rooms", "_status", "action")

    def __init__(self, action: int, rooms: Rooms, *, status: Literal["failed", "aborted"]) -> None:
        self.action = action
        self._rooms = rooms
        self._status = status

    def __str__(self) -> str:
        return f"end action {self.action} as {self._status}"

    @property
    def lock_reason(self) -> str:
        """The end of the action."""
        return f"end of action {self.action}"

    async def prepare(self, state: OperationState) -> Outcome:
        """Keep which action it is."""
        return Outcome(state=_at(state, Step.PENDING, self.action))

    async def execute(self, state: OperationState) -> Outcome:
        """Tell whoever asked for it; nothing if they have been told."""
        try:
            await self._rooms.model.actions.finish(self.action, self._status, message="action terminated")
        except NotFoundError as error:
            self._rooms.say(logging.INFO, f"{error}")
        return Outcome(state=_at(state, Step.DONE, self.action))

    async def commit(self, state: OperationState) -> Outcome:
        """Go back to what the unit was at."""
        return Outcome(state=_back(state))


class LeaveAction(Operation):
    """Go back to what the unit was at before an action that was executed before a crash."""

    __slots__ = ("action",)

    def __init__(self, action: int) -> None:
        self.action = action

    def __str__(self) -> str:
        return f"leave action {self.action}"

    async def commit(self, state: OperationState) -> Outcome:
        """Go back."""
        return Outcome(state=_back(state))


def _at(state: OperationState, step: Step, action: int) -> OperationState:
    return state.to(OperationKind.RUN_ACTION, step, hook=state.hook, action=action)


def _back(state: OperationState) -> OperationState:
    kind = OperationKind.CONTINUE if state.hook is None else OperationKind.RUN_HOOK
    return state.to(kind, Step.PENDING, hook=state.hook)
