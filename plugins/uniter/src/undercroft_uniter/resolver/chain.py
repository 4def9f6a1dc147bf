"""From what is and what is wanted to the next operation: each resolver is asked in turn, and the first answer counts.

The order is the meaning of this module. What is half done is seen to before anything new; what the charm must know
first (that there is a relation, that it leads, that there is storage) comes before what it does about it.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from undercroft_hookspecs import NotValidError
from undercroft_hookspecs.state import Life
from undercroft_uniter.errors import RestartResolving, Terminate
from undercroft_uniter.hook.info import HookKind
from undercroft_uniter.operation.state import OperationKind, Step
from undercroft_uniter.resolver.actions import next_action
from undercroft_uniter.resolver.conflict import next_in_conflict
from undercroft_uniter.resolver.failure import Failure
from undercroft_uniter.resolver.leadership import next_leadership
from undercroft_uniter.resolver.operations import Operations
from undercroft_uniter.resolver.reboot import next_after_reboot
from undercroft_uniter.resolver.secrets import next_secret
from undercroft_uniter.resolver.steady import next_steady
from undercroft_uniter.resolver.storage import next_storage

if TYPE_CHECKING:
    from undercroft_uniter.operation.rooms import Rooms
    from undercroft_uniter.operation.step import Operation
    from undercroft_uniter.remotestate.snapshot import Snapshot
    from undercroft_uniter.resolver.local import LocalState
    from undercroft_uniter.resolver.retry import HookRetry
    from undercroft_uniter.seams import RemoteState


class Chain:
    """The resolvers of a unit, in their order."""

    def __init__(self, rooms: Rooms, *, remote: RemoteState, retry: HookRetry, is_new: bool = False) -> None:
        """`is_new`: the agent has been away, and this is the first that it resolves."""
        self._rooms = rooms
        self._remote = remote
        self._retry = retry
        self._failure = Failure(rooms, remote=remote, retry=retry)
        self._is_new = is_new

    async def next(self, local: LocalState, snapshot: Snapshot) -> Operation | None:
        """The next operation; None: there is nothing to do.

        Raises:
            Waiting: something has to change first, and the unit is not idle.
            RestartResolving: all has to be watched and resolved anew.
            Terminate: the unit has come to its end.
        """
        operations = Operations(self._rooms, remote=self._remote, local=local, snapshot=snapshot)
        is_new, self._is_new = self._is_new, False
        if snapshot.life is Life.DEAD or local.state.removed:
            raise Terminate("the unit is to be dead")
        if (operation := _next_repair(local, snapshot, operations, is_new=is_new)) is not None:
            return operation
        boot_id = self._rooms.boot_id
        if (operation := next_after_reboot(local, snapshot, operations, boot_id=boot_id)) is not None:
            return operation
        if local.state.kind in (OperationKind.INSTALL, OperationKind.UPGRADE):
            return await self._next_deploy(local, snapshot, operations)
        if local.restart:
            raise RestartResolving("the unit has another charm")
        if not local.is_in_error:
            self._retry.reset()
        return await self._next_news(local, snapshot, operations) or await self._next_own(local, snapshot, operations)

    async def _next_deploy(self, local: LocalState, snapshot: Snapshot, operations: Operations) -> Operation | None:
        """Finish what was begun with the charm's folder, if it is still wanted."""
        state = local.state
        if state.kind is OperationKind.INSTALL:
            if snapshot.life is not Life.ALIVE:
                await self._rooms.storage.synchronize(snapshot)
                raise Terminate("the unit is dying before it was installed")
            return operations.install(snapshot.charm)
        if local.conflicted and state.charm is not None:
            return await next_in_conflict(state.charm, snapshot, operations, remote=self._remote)
        self._rooms.say(logging.INFO, "resuming the upgrade")
        return operations.upgrade(snapshot.charm)

    async def _next_news(self, local: LocalState, snapshot: Snapshot, operations: Operations) -> Operation | None:
        """What comes to the unit from outside, most of it even while it is in error."""
        return (
            await self._next_created(local, snapshot, operations)
            or next_leadership(local, snapshot, operations)
            or next_secret(local, snapshot, operations)
            or next_action(local, snapshot, operations)
            or (operations.run_commands(snapshot.commands[0]) if snapshot.commands else None)
            or await next_storage(local, snapshot, operations, storage=self._rooms.storage)
        )

    async def _next_created(self, local: LocalState, snapshot: Snapshot, operations: Operations) -> Operation | None:
        """Enter and leave relations, and tell the charm of new ones."""
        if not local.is_idle:
            return None
        await self._rooms.relations.synchronize(snapshot)
        if not local.state.installed or snapshot.life is not Life.ALIVE:
            return None
        hook = self._rooms.relations.created_hook(snapshot)
        return operations.run_hook(hook) if hook is not None else None

    async def _next_own(self, local: LocalState, snapshot: Snapshot, operations: Operations) -> Operation | None:
        """What the unit was at, or else what is next in its life."""
        state, hook = local.state, local.state.hook
        if state.kind is OperationKind.RUN_HOOK and hook is not None:
            if state.step is Step.PENDING:
                return await self._failure.next(hook, local, snapshot, operations)
            if state.step is Step.DONE:
                return operations.skip_hook(hook)
            if hook.kind is not HookKind.INSTALL:  # Which a dying unit does not run any more.
                return operations.run_hook(hook)
        elif state.kind is not OperationKind.CONTINUE:
            raise NotValidError(f"a unit cannot be at {state.kind} {state.step}", field="kind")
        return next_steady(local, snapshot, operations, relations=self._rooms.relations)


def _next_repair(local: LocalState, snapshot: Snapshot, operations: Operations, *, is_new: bool) -> Operation | None:
    """Put the charm in place that should be there: where the folder is damaged, or a hook failed before the agent was
    away, perhaps because of a charm that has been replaced meanwhile. The hook is kept."""
    state = local.state
    is_done = state.kind is OperationKind.RUN_HOOK and state.step is Step.DONE
    is_other = state.kind in (OperationKind.UPGRADE, OperationKind.RUN_ACTION)
    if not state.installed or is_other or is_done or snapshot.life is not Life.ALIVE:
        return None
    is_outdated = is_new and state.started and local.is_in_error and snapshot.charm != local.charm
    is_kept = state.hook is not None and state.hook.kind is HookKind.UPGRADE_CHARM
    if local.charm is None or (is_outdated and not is_kept):
        return operations.upgrade(snapshot.charm)
    return None
